//! The JSON that programs read; documented in `docs/cli.md`, and stable: fields are added, never changed.

use crate::moment;
use conclave_client::{
    Compared, ContentKind, Delivered, Epoch, GroupDetail, GroupReceipt, GroupState, GroupSummary, Identity,
    MemberDetail, Notice, NoticeKind, Person, Role, StoredMessage,
};
use serde::Serialize;

/// `init`, `whoami`.
#[derive(Serialize)]
pub(crate) struct IdentityShape {
    name: String,
    account: String,
    device: String,
    server: String,
}

impl From<&Identity> for IdentityShape {
    fn from(identity: &Identity) -> Self {
        Self {
            name: identity.name.to_string(),
            account: identity.account.to_string(),
            device: identity.device.to_string(),
            server: identity.server.clone(),
        }
    }
}

/// `group create`, `add`, `remove`, `list`, and with members `show`.
#[derive(Serialize)]
pub(crate) struct GroupShape {
    group: String,
    group_id: String,
    epoch: u32,
    state: &'static str,
    cursor: u64,
    member_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberShape>>,
}

impl From<&GroupSummary> for GroupShape {
    fn from(summary: &GroupSummary) -> Self {
        Self {
            group: summary.label.clone(),
            group_id: summary.id.to_string(),
            epoch: summary.epoch.0,
            state: state(summary.state),
            cursor: summary.cursor.0,
            member_count: summary.members,
            members: None,
        }
    }
}

impl From<&GroupDetail> for GroupShape {
    fn from(detail: &GroupDetail) -> Self {
        let members = detail.members.iter().map(MemberShape::from).collect();
        Self { members: Some(members), ..Self::from(&detail.summary) }
    }
}

#[derive(Serialize)]
struct MemberShape {
    name: Option<String>,
    account: String,
    role: &'static str,
    devices: usize,
    me: bool,
}

impl From<&MemberDetail> for MemberShape {
    fn from(member: &MemberDetail) -> Self {
        Self {
            name: member.name.as_ref().map(ToString::to_string),
            account: member.account.to_string(),
            role: role(member.role),
            devices: member.devices,
            me: member.me,
        }
    }
}

/// `send`.
#[derive(Serialize)]
pub(crate) struct DeliveredShape {
    group: String,
    group_id: String,
    seq: u64,
    id: String,
}

impl From<&Delivered> for DeliveredShape {
    fn from(delivered: &Delivered) -> Self {
        Self {
            group: delivered.label.clone(),
            group_id: delivered.group.to_string(),
            seq: delivered.seq.0,
            id: delivered.id.to_string(),
        }
    }
}

/// A line of `listen` and `log`. The first six fields are in every line, `null` where there is no such thing.
#[derive(Default, Serialize)]
pub(crate) struct EventShape {
    kind: &'static str,
    group: String,
    sender: Option<String>,
    seq: u64,
    text: Option<String>,
    time: Option<String>,
    group_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    who: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl EventShape {
    /// A line of `log`.
    pub(crate) fn stored(summary: &GroupSummary, message: &StoredMessage) -> Self {
        Self {
            group: summary.label.clone(),
            group_id: summary.id.to_string(),
            ..Self::message("message", message)
        }
    }

    fn message(kind: &'static str, message: &StoredMessage) -> Self {
        let known = message.kind == ContentKind::Text;
        Self {
            kind: if known { kind } else { "unknown_content" },
            sender: message.sender_name.as_ref().map(ToString::to_string),
            seq: message.seq.0,
            text: Some(message.text.clone()),
            time: moment::rfc3339(message.sent_at),
            sender_account: Some(message.sender.to_string()),
            id: Some(message.id.to_string()),
            own: Some(message.own),
            ..Self::default()
        }
    }

    fn by(kind: &'static str, by: &Person, who: &[Person]) -> Self {
        Self {
            kind,
            sender: by.name.as_ref().map(ToString::to_string),
            sender_account: Some(by.account.to_string()),
            who: who.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }
}

impl From<&Notice> for EventShape {
    fn from(notice: &Notice) -> Self {
        let event = match &notice.kind {
            NoticeKind::Message(message) => Self::message("message", message),
            NoticeKind::Sent(message) => Self::message("sent", message),
            NoticeKind::Joined { by } => Self::by("joined", by, &[]),
            NoticeKind::Added { by, who } => Self::by("added", by, who),
            NoticeKind::RemovedMember { by, who } => Self::by("removed", by, who),
            NoticeKind::RoleChanged { by, who, role: new } => {
                Self { role: Some(role(*new)), ..Self::by("role_changed", by, std::slice::from_ref(who)) }
            }
            NoticeKind::RemovedMe { by } => Self::by("removed_me", by, &[]),
            NoticeKind::Repaired { who: Some(who) } => Self::by("repaired", who, &[]),
            NoticeKind::Repaired { who: None } => Self { kind: "repaired", ..Self::default() },
            NoticeKind::Trimmed { .. } => {
                Self { kind: "trimmed", text: Some(TRIMMED.to_owned()), ..Self::default() }
            }
            NoticeKind::Alarm { what, advice } => Self {
                kind: "alarm",
                text: Some(what.clone()),
                advice: Some(advice.clone()),
                ..Self::default()
            },
            _ => Self { kind: "unknown", ..Self::default() },
        };
        Self { group: notice.label.clone(), group_id: notice.group.to_string(), seq: notice.seq.0, ..event }
    }
}

/// What is said of entries that are no longer kept.
pub(crate) const TRIMMED: &str =
    "older messages are no longer on the server: this device was away for longer than it keeps them";

/// The receipt of a group; `null` where there is none.
#[derive(Default, Serialize)]
pub(crate) struct ReceiptShape {
    epoch: Option<u32>,
    receipt: Option<String>,
}

impl From<Option<&GroupReceipt>> for ReceiptShape {
    fn from(receipt: Option<&GroupReceipt>) -> Self {
        Self {
            epoch: receipt.map(|receipt| receipt.epoch.0),
            receipt: receipt.map(|receipt| receipt.text.clone()),
        }
    }
}

/// What came of comparing two receipts.
#[derive(Serialize)]
pub(crate) struct ComparedShape {
    compared: &'static str,
    epoch: Option<u32>,
    proof: Option<String>,
    server_key: Option<String>,
}

impl From<&Compared> for ComparedShape {
    fn from(compared: &Compared) -> Self {
        let shape =
            |compared, epoch: Epoch| Self { compared, epoch: Some(epoch.0), proof: None, server_key: None };
        match compared {
            Compared::Same { epoch } => shape("same", *epoch),
            Compared::Kept { epoch } => shape("kept", *epoch),
            Compared::Contradicts { epoch } => shape("contradicts", *epoch),
            Compared::Fork { epoch, proof, server_key } => Self {
                proof: Some(proof.clone()),
                server_key: Some(server_key.clone()),
                ..shape("fork", *epoch)
            },
            _ => Self { compared: "unknown", epoch: None, proof: None, server_key: None },
        }
    }
}

/// A group's state in a word.
pub(crate) fn state(state: GroupState) -> &'static str {
    match state {
        GroupState::Active => "active",
        GroupState::NeedWelcome => "need_welcome",
        GroupState::Removed => "removed",
        _ => "unknown",
    }
}

/// A role in a word.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}
