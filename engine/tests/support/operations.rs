//! What people do beside adding, removing and sending: heal, reset, leave.

use super::{Log, Person};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::ids::Opaque;
use conclave_engine::wire::manifest::Manifest;
use conclave_engine::wire::signature::SigningKey;
use conclave_engine::{CommitUpload, PrekeyBook, Scope, StageError};
use minicbor::Encoder;

impl Person {
    /// New prekeys, which everybody's book has from then on.
    pub fn begin_heal(&mut self, book: &mut PrekeyBook) {
        let changes = self.device.begin_heal(self.now, &mut self.rng).unwrap();
        self.save(changes);
        book.insert(&self.device.prekeys().unwrap().encode()).unwrap();
    }

    pub fn stage_heal(&mut self, book: &PrekeyBook) -> Result<CommitUpload, StageError> {
        let (now, rng) = (self.now, &mut self.rng);
        let staged = self.group.as_mut().unwrap().heal(&self.device, book, now, rng)?;
        self.save(staged.changes);
        Ok(staged.upload)
    }

    /// The whole of it.
    pub fn heal(&mut self, log: &mut Log, book: &mut PrekeyBook) {
        self.catch_up(log);
        self.begin_heal(book);
        let upload = self.stage_heal(book).unwrap();
        log.commit(&upload).unwrap();
        self.catch_up(log);
    }

    pub fn stage_reset(
        &mut self,
        operations: Vec<Operation>,
        book: &PrekeyBook,
    ) -> Result<CommitUpload, StageError> {
        let (now, rng) = (self.now, &mut self.rng);
        let staged = self.group.as_mut().unwrap().reset(&self.device, operations, book, now, rng)?;
        self.save(staged.changes);
        Ok(staged.upload)
    }

    /// Resets the group, with other operations, and sees it.
    pub fn reset(&mut self, log: &mut Log, book: &PrekeyBook, operations: Vec<Operation>) {
        self.catch_up(log);
        let upload = self.stage_reset(operations, book).unwrap();
        log.commit(&upload).unwrap();
        self.catch_up(log);
    }

    /// What another commits so that this person's account leaves.
    pub fn leave_operation(&mut self) -> Operation {
        let now = self.now;
        let request = self.group.as_ref().unwrap().leave_request(&self.device, now).unwrap();
        Operation::Leave { request: Opaque(request) }
    }

    /// Holds an account's key and newest manifest, in which this person's device is listed.
    pub fn hold(&mut self, account: &SigningKey, manifest: &Manifest) {
        let device = super::Forger::of(self).device;
        let mut identity = vec![1];
        let mut encoder = Encoder::new(&mut identity);
        encoder.array(3).unwrap().bytes(&account.to_bytes()).unwrap().bytes(&device.to_bytes()).unwrap();
        encoder.bytes(self.device.id().as_bytes()).unwrap();
        self.put_record(Scope::Device, b"identity", identity);
        let known = self.device.manifest();
        if !manifest.follows(&known.account(), known.body().version, &known.hash()) {
            self.store.retain(|key, _| !key.name.starts_with(b"manifest/"));
        }
        let name = [b"manifest/", &manifest.body().version.0.to_be_bytes()[..]].concat();
        let mut record = vec![1];
        Encoder::new(&mut record).bytes(manifest.encoded()).unwrap();
        self.put_record(Scope::Device, &name, record);
        self.restart();
    }
}
