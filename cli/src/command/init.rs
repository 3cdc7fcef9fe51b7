//! `conclave init`: a profile, and a name on a server.

use crate::escape;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{Asking, Settings};
use crate::shape::IdentityShape;
use conclave_client::{Access, Client, Name};

pub(super) async fn run(
    name: Name,
    server: &str,
    access: Access,
    settings: &Settings,
    output: &mut Output,
) -> Result<(), Failure> {
    let dir = settings.profile()?;
    let unlock = settings.unlock(Asking::New)?;
    let client = Client::create_with(dir, &unlock, name, server, access).await?;
    if settings.json {
        output.object(&IdentityShape::from(client.identity()))?;
    } else {
        let identity = client.identity();
        output.line(&format!("{} is registered on {}", identity.name, escape::line(&identity.server)))?;
        output.line(&format!("the profile is in {}", escape::line(&dir.display().to_string())))?;
    }
    client.close().await;
    Ok(())
}
