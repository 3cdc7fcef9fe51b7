//! `conclave listen`: what is new, once or until interrupted.

use super::open;
use crate::escape;
use crate::failure::Failure;
use crate::interrupt::interrupted;
use crate::moment;
use crate::output::Output;
use crate::settings::Settings;
use crate::shape::{self, EventShape};
use conclave_client::{Client, Notice, NoticeKind, Person, StoredMessage};

pub(super) async fn run(follow: bool, settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let mut client = open(settings).await?;
    let shown = tokio::select! {
        shown = show_notices(&mut client, follow, settings, output) => shown,
        () = interrupted() => Ok(()),
    };
    client.close().await;
    shown
}

async fn show_notices(
    client: &mut Client,
    follow: bool,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    if !follow {
        for notice in client.sync().await? {
            show(&notice, settings, output)?;
        }
        return Ok(());
    }
    loop {
        show(&client.next().await?, settings, output)?;
        // Whoever follows wants each line when it comes, through a pipe too.
        output.flush()?;
    }
}

fn show(notice: &Notice, settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    if settings.json { output.object(&EventShape::from(notice)) } else { output.line(&notice_text(notice)) }
}

fn notice_text(notice: &Notice) -> String {
    let said = match &notice.kind {
        NoticeKind::Message(message) => message_text(message),
        NoticeKind::Sent(message) => format!("{} (sent now)", message_text(message)),
        NoticeKind::Joined { by } => format!("#{}  * {by} added you", notice.seq),
        NoticeKind::Added { by, who } => format!("#{}  * {by} added {}", notice.seq, people(who)),
        NoticeKind::RemovedMember { by, who } => format!("#{}  * {by} removed {}", notice.seq, people(who)),
        NoticeKind::RoleChanged { by, who, role } => {
            format!("#{}  * {by} made {who} {}", notice.seq, shape::role(*role))
        }
        NoticeKind::RemovedMe { by } => {
            format!("#{}  * {by} removed you; you keep what you have read", notice.seq)
        }
        NoticeKind::Repaired { who: Some(who) } => {
            format!("#{}  * messages of {who} can be read again", notice.seq)
        }
        NoticeKind::Repaired { who: None } => {
            format!("#{}  * this device can follow the group again", notice.seq)
        }
        NoticeKind::Trimmed { .. } => format!("#{}  * {}", notice.seq, shape::TRIMMED),
        NoticeKind::Alarm { what, advice } => {
            format!("#{}  ! {}\n    → {}", notice.seq, escape::line(what), escape::line(advice))
        }
        _ => format!("#{}  * something that this version does not know", notice.seq),
    };
    format!("[{}] {said}", escape::line(&notice.label))
}

/// A message as people read it, the same in `listen` and in `log`.
pub(super) fn message_text(message: &StoredMessage) -> String {
    let sender = match &message.sender_name {
        Some(name) => name.to_string(),
        None => format!("{:.8}", message.sender.to_string()),
    };
    let text = escape::block(&message.text, "    | ");
    format!("#{}  {}  {sender}: {text}", message.seq, moment::short(message.sent_at))
}

fn people(who: &[Person]) -> String {
    who.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
