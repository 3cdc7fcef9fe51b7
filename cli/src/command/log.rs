//! `conclave log`: what this profile has read of a group.

use super::{ended, open, refresh};
use crate::command::listen::message_text;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;
use crate::shape::EventShape;

pub(super) async fn run(group: &str, settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let mut client = open(settings).await?;
    let stale = refresh(&mut client).await?;
    let detail = client.group(group)?;
    for message in client.history(group)? {
        if settings.json {
            output.object(&EventShape::stored(&detail.summary, &message))?;
        } else {
            output.line(&message_text(&message))?;
        }
    }
    client.close().await;
    ended(stale)
}
