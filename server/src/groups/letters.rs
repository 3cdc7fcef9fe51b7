//! What is checked of a letter before it is kept: both devices are in the group, and a request is the sender's own.

use super::{invalid, invalid_entry};
use crate::session::Identity;
use crate::store::StoredGroup;
use conclave_wire::ids::{DeviceId, Opaque};
use conclave_wire::letter::LetterKind;
use conclave_wire::limits::MAX_LETTER;
use conclave_wire::repair::UnverifiedRepairRequest;
use conclave_wire::reply::Refusal;

/// Checks a letter against its group. An answer is an envelope, of which the server sees nothing but its size.
pub(crate) fn check_letter(
    stored: &StoredGroup,
    from: &Identity,
    to: &DeviceId,
    kind: LetterKind,
    body: &Opaque,
) -> Result<(), Refusal> {
    let roster = stored.public.roster();
    if roster.index_of(&from.device).is_none() {
        return Err(Refusal::NotMember);
    }
    if *to == from.device || roster.index_of(to).is_none() {
        return Err(invalid("the letter is not for another device of the group"));
    }
    if body.0.len() > MAX_LETTER {
        return Err(Refusal::TooLarge { what: "bytes of a letter".to_owned(), max: MAX_LETTER as u64 });
    }
    match kind {
        LetterKind::RepairAnswer => Ok(()),
        LetterKind::RepairRequest => {
            let unverified = UnverifiedRepairRequest::decode(&body.0).map_err(invalid_entry)?;
            let claimed = unverified.claimed();
            let asks = claimed.question.to().is_none_or(|asked| asked == *to);
            if claimed.group != stored.public.id() || claimed.asker != from.device || !asks {
                return Err(invalid(
                    "the request is another device's, for another group, or asks somebody else",
                ));
            }
            let verified = unverified.verify(from.key.as_bytes());
            verified.map(drop).map_err(|_| invalid("the request is not signed by the device that sends it"))
        }
    }
}
