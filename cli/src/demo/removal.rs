//! Section 5: Carol is removed, and what she can do about it.

use super::cast::{Person, exactly};
use super::talk::show_said;
use super::{GROUP, Story};
use crate::failure::Failure;
use conclave_client::{ClientError, Entry, EntryKind, NoticeKind, Seq};

/// Removes Carol, then lets her try everything.
pub(super) async fn run(story: &mut Story<'_>) -> Result<(), Failure> {
    story.page.section(
        "Carol is removed",
        "One signed commit with a fresh secret, sealed for those who stay, and it is done: nobody else has to \
         do anything. Carol is no fool: before it happens she keeps a copy of her whole profile, key and all.",
    )?;
    let cast = &mut story.cast;
    cast.carol.leave().await;
    let mut thief = cast.carol.copy(&story.people_dir.join("carol-copied"))?;
    cast.carol.come_back().await?;
    let (cast, ledger) = (&mut story.cast, &mut story.ledger);
    // What the copy can read shows that what it cannot read is not due to a flaw of the attempt.
    let control = cast.bob.say("Carol still reads this one.", ledger).await?;
    cast.carol.catch_up().await?;
    cast.alice.catch_up().await?;
    let had = cast.carol.history()?;

    let carol = cast.carol.name.clone();
    let removed = cast.alice.client()?.remove(GROUP, &[carol]).await;
    cast.alice.step("remove Carol", removed)?;
    let after = cast.alice.say("Carol is out. The new key is under the red stone.", ledger).await?;
    cast.bob.say("Good. The telescope stays where it is.", ledger).await?;
    cast.dave.say("The albatross does not miss her either.", ledger).await?;
    show_said(story, control)?;

    story.page.line("")?;
    own_client(story, &had, after).await?;
    from_the_server(story, &mut thief, after).await?;
    with_the_copy(story, &mut thief, control, after).await?;
    thief.leave().await;
    story.cast.carol.come_back().await?;

    let (cast, ledger) = (&mut story.cast, &story.ledger);
    let mut all = true;
    for person in [&mut cast.alice, &mut cast.bob, &mut cast.dave] {
        person.catch_up().await?;
        all &= exactly(&person.history()?, &ledger.said) == ledger.said.len();
    }
    story.page.check("Alice, Bob and Dave read all of it", all)
}

/// Her own client: what it is told, what it keeps, what it refuses.
async fn own_client(
    story: &mut Story<'_>,
    had: &[conclave_client::StoredMessage],
    after: Seq,
) -> Result<(), Failure> {
    let carol = &mut story.cast.carol;
    let notices = carol.catch_up().await?;
    let told = notices.iter().any(|notice| matches!(notice.kind, NoticeKind::RemovedMe { .. }));
    let has = carol.history()?;
    let reads = has.iter().filter(|message| message.seq >= after).count();
    let sending = carol.client()?.send(GROUP, "Let me in again!").await;
    story.counts.removed_could_read += reads;
    let page = &mut story.page;
    page.check("Carol is told that she was removed, and by whom", told)?;
    page.check(&format!("she keeps the {} messages that she had", had.len()), has == had)?;
    page.check("what follows does not reach her client", reads == 0)?;
    let refused = matches!(sending, Err(ClientError::NotMember { .. }));
    page.check("she cannot send to the group", refused)
}

/// The server: what it gives to her device, whose copy has not processed the removal and asks for more.
async fn from_the_server(story: &mut Story<'_>, thief: &mut Person, after: Seq) -> Result<(), Failure> {
    story.cast.carol.leave().await;
    thief.come_back().await?;
    let given = match thief.client()?.sealed_entries(GROUP, after).await {
        Ok(entries) => messages(&entries, after).len(),
        Err(ClientError::NotMember { .. } | ClientError::Refused(_)) => 0,
        Err(error) => return thief.step("ask the server for the log", Err(error)).map_err(Failure::from),
    };
    story.page.check(&format!("the server gives her {given} of the sealed messages that follow"), given == 0)
}

/// The strongest try: a friend hands her everything that the server stored since, and she has the copy.
async fn with_the_copy(
    story: &mut Story<'_>,
    thief: &mut Person,
    control: Seq,
    after: Seq,
) -> Result<(), Failure> {
    let log = story.cast.bob.sealed(control).await?;
    let before: Vec<Entry> = log.iter().filter(|entry| entry.seq < after).cloned().collect();
    let read_before = thief.opens(&messages(&before, control))?;

    // In log order, the removal included.
    let all = thief.opens(&log)?.saturating_sub(thief.opens(&messages(&before, control))?);
    // Each message by itself, as if nothing had come between.
    let mut alone = 0;
    for entry in messages(&log, after) {
        alone += thief.opens(&[entry])?;
    }
    story.counts.removed_could_read += all + alone;
    let handed = messages(&log, after).len();
    story.page.line("")?;
    story.page.say(
        "A friend hands her all that the server stored since; she feeds it to the copy, which knows nothing of a \
         removal: in order, and each message by itself.",
    )?;
    story.page.line("")?;
    story
        .page
        .check("the copy reads the last message from before (so the attempt works)", read_before == 1)?;
    story.page.check(&format!("of the {handed} after her removal it reads {}", all + alone), all + alone == 0)
}

fn messages(entries: &[Entry], from: Seq) -> Vec<Entry> {
    let wanted = |entry: &&Entry| entry.kind == EntryKind::Message && entry.seq >= from;
    entries.iter().filter(wanted).cloned().collect()
}
