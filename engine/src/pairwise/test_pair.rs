//! Alice, who sends, and Bob, who receives: what the tests of deliveries share.

use super::{Dispatch, Opened, Pairwise, Upload};
use crate::addressee::Addressee;
use crate::device::Device;
use crate::envelope::{CommittedSecret, EnvelopeContext, OpenError, Purpose};
use crate::prekeys::{PrekeyBook, Reach};
use crate::record::Changes;
use crate::support::{START, SeedRng};
use conclave_wire::ids::{Commitment, Epoch, GroupId, Timestamp};

pub(super) const CONTEXT: EnvelopeContext =
    EnvelopeContext { purpose: Purpose::CommitSecret, group: GroupId::from_bytes([1; 32]), epoch: Epoch(3) };

/// Alice, Bob, and what is between them in one group.
pub(super) struct Pair {
    pub(super) alice: Device,
    pub(super) bob: Device,
    /// Alice's chains, and Bob's.
    pub(super) from: Pairwise,
    pub(super) to: Pairwise,
    pub(super) book: PrekeyBook,
    pub(super) rng: SeedRng,
    /// By Alice's clock.
    pub(super) now: Timestamp,
}

impl Pair {
    pub(super) fn new() -> Self {
        let mut rng = SeedRng::new(1);
        let (alice, _changes) = Device::create(START, &mut rng).unwrap();
        let (bob, _changes) = Device::create(START, &mut rng).unwrap();
        let mut book = PrekeyBook::default();
        book.insert(&bob.prekeys().unwrap().encode()).unwrap();
        let (from, to) = (Pairwise::new(CONTEXT.group), Pairwise::new(CONTEXT.group));
        Self { alice, bob, from, to, book, rng, now: START }
    }

    /// A secret from Alice to Bob: a first contact, or a wrap once she has been told that the first arrived.
    pub(super) fn deliver(&mut self) -> (CommittedSecret, Vec<u8>) {
        let secret = CommittedSecret::for_commit(&mut self.rng);
        let reach = Reach { book: &self.book, now: self.now };
        let to = [self.addressee()];
        let mut changes = Changes::default();
        let dispatch = Dispatch { from: &self.alice, context: CONTEXT, upload: Upload::Commit, reach };
        let sent = self.from.deliver(&secret, &to, dispatch, &mut self.rng, &mut changes).remove(0);
        (secret, sent.unwrap())
    }

    pub(super) fn addressee(&self) -> Addressee {
        Addressee { account: self.bob.account(), device: self.bob.id(), pinned: None }
    }

    pub(super) fn confirm(&mut self) {
        self.from.install(Upload::Commit, &mut Changes::default());
    }

    pub(super) fn open(&self, delivery: &[u8], commitment: &Commitment) -> Result<Opened, OpenError> {
        let opened = self.to.open_secret(&self.bob, Some(delivery), &self.alice.id(), CONTEXT, commitment);
        opened.map(|(_, opened)| opened)
    }

    pub(super) fn refusal(&self, delivery: &[u8], secret: &CommittedSecret) -> OpenError {
        self.open(delivery, &secret.commitment).map(drop).unwrap_err()
    }

    pub(super) fn accept(&mut self, delivery: &[u8], secret: &CommittedSecret) -> Changes {
        let opened = self.open(delivery, &secret.commitment).unwrap();
        let mut changes = Changes::default();
        self.to.accept(&mut self.bob, opened, START, &mut changes);
        changes
    }
}
