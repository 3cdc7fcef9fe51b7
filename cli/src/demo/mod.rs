//! The demonstration.

use crate::failure::Failure;
use crate::output::Output;
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum DemoError {}

pub(crate) async fn run(_json: bool, _output: &mut Output) -> Result<(), Failure> {
    Ok(())
}
