//! Sections 2 to 4: a group, messages both ways, and somebody who was away.

use super::cast::exactly;
use super::{GROUP, Story};
use crate::failure::Failure;
use crate::input;
use conclave_client::{ContentKind, MAX_TEXT, NoticeKind, Seq};

/// This repository's README: a message of some length, with everything that a text can have.
const README: &str = include_str!("../../../README.md");

const FIRST: [&str; 3] = [
    "The keeper leaves the lighthouse key under the blue stone.",
    "Understood. I bring the telescope after midnight.",
    "Nobody mentions the observatory to the harbourmaster, please.",
];

/// Alice makes a group.
pub(super) async fn create(story: &mut Story<'_>) -> Result<(), Failure> {
    story.page.section(
        "A group",
        "Alice makes a group with Bob, Carol and Dave. Each of them walks the group's signed history from its \
         first entry and checks every step, before a secret is taken from it.",
    )?;
    let cast = &mut story.cast;
    let names = [cast.bob.name.clone(), cast.carol.name.clone(), cast.dave.name.clone()];
    let created = cast.alice.client()?.create_group(GROUP, &names).await;
    let summary = cast.alice.step("create a group", created)?;
    story.page.line(&format!("group {GROUP}, id {:.32}…", summary.id.to_string()))?;

    let mut joined = 0;
    let mut same_group = true;
    for person in [&mut cast.bob, &mut cast.carol, &mut cast.dave] {
        let notices = person.catch_up().await?;
        joined += notices.iter().filter(|notice| matches!(notice.kind, NoticeKind::Joined { .. })).count();
        let detail = person.client()?.group(GROUP);
        let detail = person.step("look at the group", detail)?;
        same_group &= detail.summary.id == summary.id && detail.summary.epoch == summary.epoch;
        same_group &= detail.members.len() == 4;
    }
    story.page.check("Bob, Carol and Dave have joined", joined == 3)?;
    story.page.check("all four see the same group, the same epoch and the same four members", same_group)
}

/// Everybody says something.
pub(super) async fn both_ways(story: &mut Story<'_>) -> Result<(), Failure> {
    story.page.section(
        "Messages both ways",
        "Alice, Bob and Carol write, each to all. Then Bob sends this repository's README, read as \
         `conclave send GROUP -` reads standard input: one message of many lines.",
    )?;
    let (cast, ledger) = (&mut story.cast, &mut story.ledger);
    let [first, second, third] = FIRST;
    cast.alice.say(first, ledger).await?;
    cast.bob.say(second, ledger).await?;
    cast.carol.say(third, ledger).await?;
    let readme = input::read_message(README.as_bytes(), MAX_TEXT)?;
    cast.bob.say(&readme, ledger).await?;
    show_said(story, Seq(0))?;

    let (cast, ledger) = (&mut story.cast, &story.ledger);
    let mut rows = Vec::new();
    let mut all = true;
    for person in [&mut cast.alice, &mut cast.bob, &mut cast.carol, &mut cast.dave] {
        person.catch_up().await?;
        let history = person.history()?;
        let others =
            ledger.said.iter().filter(|said| said.sender != person.name).cloned().collect::<Vec<_>>();
        let exact = exactly(&history, &others);
        all &= history.len() == ledger.said.len() && exactly(&history, &ledger.said) == ledger.said.len();
        rows.push(vec![person.name.to_string(), format!("{exact} of {}", others.len())]);
    }
    story.page.line("")?;
    story.page.table(&["reader", "read of the others, byte for byte"], &rows)?;
    story.page.check("everybody has every message, byte for byte, in the same order", all)
}

/// Dave is away and comes back.
pub(super) async fn offline(story: &mut Story<'_>) -> Result<(), Failure> {
    story.page.section(
        "Dave was away",
        "Dave's device is switched off: no process, no socket. The others go on. Then it is switched on, and \
         everything that it knows comes from its own profile and from the server's log.",
    )?;
    let (cast, ledger) = (&mut story.cast, &mut story.ledger);
    cast.dave.leave().await;
    let from = cast.alice.say("Dave is at sea. The schooner Wilhelmina leaves on Thursday.", ledger).await?;
    cast.carol.say("Then somebody else has to feed the albatross.", ledger).await?;
    cast.bob.say("I will, every morning before breakfast.", ledger).await?;
    show_said(story, from)?;

    let (cast, ledger) = (&mut story.cast, &mut story.ledger);
    let missed = ledger.between(from, Seq(u64::MAX));
    cast.dave.come_back().await?;
    let before = cast.dave.history()?.len();
    let notices = cast.dave.catch_up().await?;
    let told: Vec<_> = notices
        .iter()
        .filter_map(|notice| match &notice.kind {
            NoticeKind::Message(message) if message.kind == ContentKind::Text => Some(message.text.as_str()),
            _ => None,
        })
        .collect();
    let in_order = told.iter().copied().eq(missed.iter().map(|said| said.text.as_str()));
    let again = cast.dave.catch_up().await?.len();
    let answer = cast.dave.say("Back on land. Thank you for the albatross.", ledger).await?;
    for person in [&mut cast.alice, &mut cast.bob, &mut cast.carol] {
        person.catch_up().await?;
    }
    show_said(story, answer)?;
    let (cast, ledger) = (&mut story.cast, &story.ledger);
    let heard = exactly(&cast.bob.history()?, &ledger.between(answer, Seq(u64::MAX)));
    story.page.line("")?;
    let kept = before + missed.len() + 1 == ledger.said.len();
    story.page.check(&format!("Dave still had the {before} messages from before"), kept)?;
    story.page.check(&format!("Dave was told of all {} that he missed, in order", missed.len()), in_order)?;
    story.page.check("and of none of them a second time", again == 0)?;
    story.page.check("Dave answers, and Bob reads it", heard == 1)
}

/// Lists what was said from `from` on.
pub(super) fn show_said(story: &mut Story<'_>, from: Seq) -> Result<(), Failure> {
    for said in story.ledger.between(from, Seq(u64::MAX)) {
        let text = if said.text.len() < 64 {
            said.text.clone()
        } else {
            let lines = said.text.lines().count();
            format!("(README.md: {lines} lines, {} bytes)", said.text.len())
        };
        story.page.line(&format!("#{:<3} {:6} {text}", said.seq.0, said.sender.as_str()))?;
    }
    Ok(())
}
