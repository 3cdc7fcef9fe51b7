//! Section 6: Erin is added, and what she can read of the past.

use super::cast::exactly;
use super::talk::show_said;
use super::{GROUP, Story};
use crate::failure::Failure;
use conclave_client::{ClientError, Entry, EntryKind, NoticeKind, Seq};

/// Adds Erin, then lets her try everything.
pub(super) async fn run(story: &mut Story<'_>) -> Result<(), Failure> {
    story.page.section(
        "Erin is added",
        "Erin gets a welcome that begins with the epoch that she joins. Of the past she can check who was added \
         and removed by whom, and read nothing.",
    )?;
    let (cast, ledger) = (&mut story.cast, &mut story.ledger);
    let erin = cast.erin.name.clone();
    let added = cast.alice.client()?.add(GROUP, &[erin]).await;
    cast.alice.step("add Erin", added)?;
    let notices = cast.erin.catch_up().await?;
    let joined = notices.iter().find(|notice| matches!(notice.kind, NoticeKind::Joined { .. }));
    let joined_at = joined.map_or(Seq(u64::MAX), |notice| notice.seq);
    let past = cast.erin.history()?.len();

    let given = match cast.erin.client()?.sealed_entries(GROUP, Seq(1)).await {
        Ok(entries) => entries.iter().filter(|entry| is_message_before(entry, joined_at)).count(),
        Err(ClientError::NotMember { .. } | ClientError::Refused(_)) => 0,
        Err(error) => return cast.erin.step("ask for the log", Err(error)).map_err(Failure::from),
    };

    // Alice hands her the whole past, in order and each message by itself as if it were the next entry.
    let log = cast.alice.sealed(Seq(1)).await?;
    let old: Vec<Entry> = log.iter().filter(|entry| is_message_before(entry, joined_at)).cloned().collect();
    let next = joined_at.next().unwrap_or(joined_at);
    let mut opened = cast.erin.opens(&old)?;
    for entry in &old {
        opened += cast.erin.opens(std::slice::from_ref(entry))?;
    }
    story.counts.newcomer_read_past += past + opened;

    // The same attempt with what she may read, before she has read it.
    let from = cast.alice.say("Welcome, Erin. The observatory is ours on Fridays.", ledger).await?;
    let fresh = cast.alice.sealed(next).await?;
    let control = cast.erin.opens(&fresh)?;
    cast.erin.catch_up().await?;
    cast.erin.say("Thank you. I bring the star charts and a thermos.", ledger).await?;
    cast.dave.say("Friday it is.", ledger).await?;
    let mut all = true;
    for person in [&mut cast.alice, &mut cast.bob, &mut cast.dave, &mut cast.erin] {
        person.catch_up().await?;
        let since = ledger.between(from, Seq(u64::MAX));
        all &= exactly(&person.history()?, &since) == since.len();
    }
    show_said(story, from)?;

    let page = &mut story.page;
    page.line("")?;
    page.check("Erin has joined", joined.is_some())?;
    page.check(&format!("her client has read {past} of the {} messages before", old.len()), past == 0)?;
    page.check(&format!("the server gives her {given} of them, sealed as they are"), given == 0)?;
    page.check(&format!("handed to her by Alice, her keys open {opened} of {}", old.len()), opened == 0)?;
    page.check("the same attempt opens the first message after (so the attempt works)", control == 1)?;
    page.check("from then on everybody reads her and she reads everybody", all)
}

fn is_message_before(entry: &Entry, joined: Seq) -> bool {
    entry.kind == EntryKind::Message && entry.seq < joined
}
