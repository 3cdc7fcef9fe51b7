//! `conclave whoami`: who this profile is.

use super::open;
use crate::escape;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;
use crate::shape::IdentityShape;

pub(super) async fn run(settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let client = open(settings).await?;
    let identity = client.identity();
    if settings.json {
        output.object(&IdentityShape::from(identity))?;
    } else {
        output.line(&format!("name     {}", identity.name))?;
        output.line(&format!("account  {}", identity.account))?;
        output.line(&format!("device   {}", identity.device))?;
        output.line(&format!("server   {}", escape::line(&identity.server)))?;
    }
    client.close().await;
    Ok(())
}
