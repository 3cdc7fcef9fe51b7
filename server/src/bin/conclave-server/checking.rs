//! Saying whether a server would start.

use crate::arguments::{Gathered, Served};
use crate::failure::{Failure, code_of};
use conclave_server::Checked;

/// Prints a line for each thing that was looked at. Ends as a start would end that met the first of what is wrong.
pub(crate) fn check(served: Served) -> Result<(), Failure> {
    let Gathered { settings, exposed } = served.gather()?;
    let config = settings.config()?;
    if let Some(file) = exposed {
        println!("warning  settings: everybody on this machine can read the password in {}", file.display());
    }
    let (mut code, mut wrong) = (None, 0);
    for Checked { what, found, .. } in conclave_server::check(&config) {
        match found {
            Ok(said) => println!("ok       {what}: {said}"),
            Err(error) => {
                println!("wrong    {what}: {error}");
                code = code.or(Some(code_of(&error)));
                wrong += 1;
            }
        }
    }
    match code {
        None => Ok(()),
        Some(code) => {
            let things = if wrong == 1 { "one thing is".to_owned() } else { format!("{wrong} things are") };
            Err(Failure::new(format_args!("{things} wrong; no server would start with these settings"), code))
        }
    }
}
