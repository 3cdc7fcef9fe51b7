//! As much of a server's frame as a thin receiver needs, read in place: no copy, no check that it is canonical.

use conclave_engine::wire::codec::VERSION;
use conclave_engine::wire::entry::EntryKind;
use conclave_engine::wire::ids::GroupId;
use minicbor::Decoder;

/// A frame, as far as it was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Glance<'a> {
    /// A new entry.
    Push { group: GroupId, seq: u64, kind: EntryKind, body: &'a [u8] },
    /// Something else, to be decoded in full.
    Other,
}

/// Looks at a frame; `None` if it is no frame.
pub(super) fn glance(frame: &[u8]) -> Option<Glance<'_>> {
    let (&VERSION, item) = frame.split_first()? else { return None };
    let mut decoder = Decoder::new(item);
    (decoder.array().ok()? == Some(2)).then_some(())?;
    if decoder.u8().ok()? != PUSH {
        return Some(Glance::Other);
    }
    (decoder.array().ok()? == Some(1)).then_some(())?;
    (decoder.array().ok()? == Some(5)).then_some(())?;
    let group = GroupId::from_bytes(decoder.bytes().ok()?.try_into().ok()?);
    let seq = decoder.u64().ok()?;
    let kind = decoder.decode().ok()?;
    decoder.skip().ok()?;
    let body = decoder.bytes().ok()?;
    Some(Glance::Push { group, seq, kind, body })
}

/// Number of the variant.
const PUSH: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_engine::wire::codec;
    use conclave_engine::wire::entry::Entry;
    use conclave_engine::wire::frame::{RequestId, ServerFrame};
    use conclave_engine::wire::ids::{Opaque, Seq};
    use conclave_engine::wire::reply::Reply;

    /// What the codec writes, with and without a delivery.
    #[test]
    fn agrees_with_the_codec() {
        for delivery in [None, Some(Opaque(vec![1; 40]))] {
            let group = GroupId::from_bytes([3; 32]);
            let body = vec![7; 300];
            let kind = EntryKind::Message;
            let entry = Entry { group, seq: Seq(70_000), kind, delivery, body: Opaque(body.clone()) };
            let frame = codec::encode(&ServerFrame::Push { entry });
            assert_eq!(glance(&frame), Some(Glance::Push { group, seq: 70_000, kind, body: &body }));
            for cut in 0..frame.len() {
                assert_eq!(glance(&frame[..cut]), None, "{cut}");
            }
        }
        let reply = codec::encode(&ServerFrame::Reply { id: RequestId(1), reply: Reply::Done });
        assert_eq!(glance(&reply), Some(Glance::Other));
    }
}
