//! `conclave send`: one message, from an argument or from standard input.

use super::open;
use crate::escape;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::settings::Settings;
use crate::shape::DeliveredShape;
use conclave_client::MAX_TEXT;

pub(super) async fn run(
    group: &str,
    text: String,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    // Before the profile is opened: a passphrase is not asked for what cannot be sent.
    let text = if text == "-" { input::read_message(std::io::stdin().lock(), MAX_TEXT)? } else { text };
    let mut client = open(settings).await?;
    let delivered = client.send(group, &text).await?;
    if settings.json {
        output.object(&DeliveredShape::from(&delivered))?;
    } else {
        output.line(&format!("sent to {} as #{}", escape::line(&delivered.label), delivered.seq))?;
    }
    client.close().await;
    Ok(())
}
