//! `conclave group`: create, list, show, add, remove.

use super::{ended, open, refresh};
use crate::args::GroupCommand;
use crate::escape;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;
use crate::shape::{self, ComparedShape, GroupShape, ReceiptShape};
use conclave_client::{Client, Compared, GroupDetail, GroupState, GroupSummary, Name, Role};

pub(super) async fn run(
    command: GroupCommand,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut client = open(settings).await?;
    let done = match command {
        GroupCommand::Create { group, names } => {
            let summary = client.create_group(&group, &names).await?;
            changed("created", &[], &summary, settings, output)
        }
        GroupCommand::Add { group, names } => {
            let summary = client.add(&group, &names).await?;
            changed("added", &names, &summary, settings, output)
        }
        GroupCommand::Remove { group, names } => {
            let summary = client.remove(&group, &names).await?;
            changed("removed", &names, &summary, settings, output)
        }
        GroupCommand::List => list(&mut client, settings, output).await,
        GroupCommand::Receipt { group, receipt: None } => {
            receipt(&mut client, &group, settings, output).await
        }
        GroupCommand::Receipt { group, receipt: Some(theirs) } => {
            compare(&mut client, &group, &theirs, settings, output).await
        }
        GroupCommand::Show { group } => show(&mut client, &group, settings, output).await,
    };
    client.close().await;
    done
}

fn changed(
    verb: &str,
    names: &[Name],
    summary: &GroupSummary,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    if settings.json {
        return output.object(&GroupShape::from(summary));
    }
    let whom: String = names.iter().map(|name| format!(" {name}")).collect();
    let label = escape::line(&summary.label);
    output.line(&format!("{verb}{whom}: {label} has {}, epoch {}", members(summary.members), summary.epoch))
}

async fn list(client: &mut Client, settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let stale = refresh(client).await?;
    let groups = client.groups()?;
    if settings.json {
        for summary in &groups {
            output.object(&GroupShape::from(summary))?;
        }
        return ended(stale);
    }
    if groups.is_empty() {
        output.line("no groups; make one with `conclave group create GROUP NAME...`")?;
    }
    let width = groups.iter().map(|summary| escape::line(&summary.label).chars().count()).max().unwrap_or(0);
    for summary in &groups {
        let label = escape::line(&summary.label);
        let line = format!("{label:width$}  {:>10}  epoch {}", members(summary.members), summary.epoch);
        output.line(&format!("{line}{}", remark(summary.state)))?;
    }
    ended(stale)
}

async fn show(
    client: &mut Client,
    group: &str,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    let stale = refresh(client).await?;
    let mut detail = client.group(group)?;
    detail.members.sort_by_key(|member| (rank(member.role), member.name.clone(), member.account));
    if settings.json {
        output.object(&GroupShape::from(&detail))?;
    } else {
        show_text(&detail, output)?;
    }
    ended(stale)
}

fn show_text(detail: &GroupDetail, output: &mut Output) -> Result<(), Failure> {
    let GroupDetail { summary, members: list } = detail;
    output.line(&format!("{}{}", escape::line(&summary.label), remark(summary.state)))?;
    output.line(&format!("id       {}", summary.id))?;
    output.line(&format!("epoch    {}", summary.epoch))?;
    output.line(&format!("members  {}", summary.members))?;
    for member in list {
        let account = member.account.to_string();
        let name = member.name.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        let me = if member.me { "  (you)" } else { "" };
        let role = shape::role(member.role);
        output.line(&format!("  {name:16}  {role:6}  account {account:.16}…{me}"))?;
    }
    Ok(())
}

async fn receipt(
    client: &mut Client,
    group: &str,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    let stale = refresh(client).await?;
    let receipt = client.receipt(group)?;
    if settings.json {
        output.object(&ReceiptShape::from(receipt.as_ref()))?;
        return ended(stale);
    }
    match receipt {
        Some(receipt) => output.line(&receipt.text)?,
        None => output.line("the server has given no receipt for this group")?,
    }
    ended(stale)
}

async fn compare(
    client: &mut Client,
    group: &str,
    theirs: &str,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    let stale = refresh(client).await?;
    let compared = client.compare_receipt(group, theirs)?;
    let forked = matches!(compared, Compared::Contradicts { .. } | Compared::Fork { .. });
    if settings.json {
        output.object(&ComparedShape::from(&compared))?;
    } else {
        match &compared {
            Compared::Same { epoch } => {
                output.line(&format!("the same: you both see epoch {epoch} of one group"))?;
            }
            Compared::Kept { epoch } => {
                output.line(&format!(
                    "kept: this profile has no receipt of epoch {epoch} to compare it with"
                ))?;
            }
            Compared::Fork { epoch, proof, server_key } => {
                output.line(&format!(
                    "proof that the server {server_key} forked the group in epoch {epoch}: {proof}"
                ))?;
            }
            _ => {}
        }
    }
    if forked { Err(Failure::Forked) } else { ended(stale) }
}

/// Who may do most comes first.
fn rank(role: Role) -> u8 {
    match role {
        Role::Owner => 0,
        Role::Admin => 1,
        Role::Member => 2,
    }
}

fn members(count: usize) -> String {
    if count == 1 { "1 member".to_owned() } else { format!("{count} members") }
}

fn remark(state: GroupState) -> &'static str {
    match state {
        GroupState::Active => "",
        GroupState::Removed => "  (you were removed; you keep what you have read)",
        GroupState::NeedWelcome => "  (a secret was missed; ask an admin to remove and add you)",
        _ => "  (in a state that this version does not know)",
    }
}
