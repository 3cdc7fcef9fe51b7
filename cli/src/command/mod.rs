//! The commands, one a file; each resolves what it needs, asks the client, and shows what came.

mod group;
mod init;
mod listen;
mod log;
mod send;
mod whoami;

use crate::args::Command;
use crate::demo;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::settings::{Asking, Settings};
use conclave_client::{Access, Client, ClientError};

/// Runs one command to its end.
pub(crate) async fn run(command: Command, settings: &Settings) -> Result<(), Failure> {
    let mut output = Output::stdout();
    match command {
        Command::Init { name, server, invite_file, open_network } => {
            let access = Access { open_network, invite: input::invite(invite_file.as_deref())? };
            init::run(name, &server, access, settings, &mut output).await?;
        }
        Command::Whoami => whoami::run(settings, &mut output).await?,
        Command::Group(command) => group::run(command, settings, &mut output).await?,
        Command::Send { group, text } => send::run(&group, text, settings, &mut output).await?,
        Command::Listen { follow } => listen::run(follow, settings, &mut output).await?,
        Command::Log { group } => log::run(&group, settings, &mut output).await?,
        Command::Demo => demo::run(settings.json, &mut output).await?,
    }
    output.flush()
}

/// Opens the profile.
async fn open(settings: &Settings) -> Result<Client, Failure> {
    Ok(Client::open(settings.profile()?, &settings.unlock(Asking::Known)?).await?)
}

/// Fetches what is new. What a profile has is shown also where the server cannot be reached; that it could not comes
/// back as the error to end with.
async fn refresh(client: &mut Client) -> Result<Option<Failure>, Failure> {
    match client.fetch().await {
        Ok(()) => Ok(None),
        Err(error @ (ClientError::Unreachable { .. } | ClientError::Unavailable)) => Ok(Some(error.into())),
        Err(error) => Err(error.into()),
    }
}

/// Ends a command that has shown what it could.
fn ended(stale: Option<Failure>) -> Result<(), Failure> {
    stale.map_or(Ok(()), Err)
}
