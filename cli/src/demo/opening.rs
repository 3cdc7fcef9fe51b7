//! Section 1: a server and five people.

use super::cast::{Cast, Person};
use super::page::Page;
use crate::failure::Failure;
use conclave_server::Server;
use std::path::Path;

/// Registers everybody.
pub(super) async fn run(page: &mut Page<'_>, server: &Server, people: &Path) -> Result<Cast, Failure> {
    page.section(
        "A server and five people",
        "The server runs inside this process, on a port of its own. Each person has a profile directory and a \
         socket of their own. What the server learns of them is a name and public keys.",
    )?;
    let url = server.url();
    let mut cast = Cast {
        alice: Person::register("alice", people, &url).await?,
        bob: Person::register("bob", people, &url).await?,
        carol: Person::register("carol", people, &url).await?,
        dave: Person::register("dave", people, &url).await?,
        erin: Person::register("erin", people, &url).await?,
    };
    let mut rows = Vec::new();
    let mut accounts = std::collections::HashSet::new();
    for person in cast.everybody() {
        let identity = person.client()?.identity();
        accounts.insert(identity.account);
        rows.push(vec![
            identity.name.to_string(),
            format!("{:.16}…", identity.account.to_string()),
            format!("{:.16}…", identity.device.to_string()),
        ]);
    }
    page.line(&format!("server {url}"))?;
    page.line("")?;
    page.table(&["name", "account key", "device"], &rows)?;
    page.check("five people are registered, each with keys that no other has", accounts.len() == 5)?;
    Ok(cast)
}
