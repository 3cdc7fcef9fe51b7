//! The settings file: TOML, one key for each setting, named as its flag is.
//!
//! What is said about it when it cannot be used never repeats a value. Libraries' own words would: "invalid type: string
//! …" is helpful until the string is the store's password.

use super::error::SettingsError;
use super::given::Settings;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use toml::Value;

/// Most bytes of a settings file. It has a line for each setting, and what was said about them.
const MAX_BYTES: u64 = 64 << 10;

/// Everybody who is neither the file's owner nor in its group may read it.
const READABLE_BY_OTHERS: u32 = 0o004;

impl Settings {
    /// Reads a settings file, of at most 64 KiB.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        let unreadable =
            |error: io::Error| SettingsError::Unreadable { file: file.to_owned(), reason: error.to_string() };
        let mut text = String::new();
        let read = File::open(file).and_then(|open| open.take(MAX_BYTES + 1).read_to_string(&mut text));
        if read.map_err(unreadable)? as u64 > MAX_BYTES {
            return Err(unreadable(io::Error::other("it is larger than 64 KiB")));
        }
        toml::from_str(&text).map_err(|error| invalid(file, &text, error))
    }

    /// Whether these hold a password and came from a file that everybody on the machine may read.
    pub fn are_exposed_in(&self, file: &Path) -> bool {
        let open =
            file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & READABLE_BY_OTHERS != 0);
        open && self.store.as_ref().is_some_and(|store| store.has_password())
    }
}

/// Where the error is and what it is, without the line.
fn invalid(file: &Path, text: &str, mut error: toml::de::Error) -> SettingsError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    // Without its input the library quotes nothing, and names the key instead.
    error.set_input(None);
    let reason = error.to_string().trim_end().replace('\n', ", ");
    SettingsError::Invalid { file: file.to_owned(), line, column, reason }
}

/// Text that means something.
pub(super) fn parsed<'de, D, T>(value: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    from_text(&Value::deserialize(value)?).map(Some).map_err(D::Error::custom)
}

/// A list of texts, each of which means something.
pub(super) fn several<'de, D, T>(value: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    match Value::deserialize(value)? {
        Value::Array(items) => {
            let items = items.iter().map(from_text).collect::<Result<Vec<T>, _>>();
            items.map(Some).map_err(D::Error::custom)
        }
        _ => Err(D::Error::custom("write a list, as in [\"10.0.0.1\"]")),
    }
}

/// A number of things.
pub(super) fn number<'de, D: Deserializer<'de>>(value: D) -> Result<Option<usize>, D::Error> {
    let number = match Value::deserialize(value)? {
        Value::Integer(number) => usize::try_from(number).ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| D::Error::custom("write a number, without quotes"))
}

/// The reasons of `FromStr` are the settings' own or the standard library's, and repeat nothing.
fn from_text<T: FromStr<Err: Display>>(value: &Value) -> Result<T, String> {
    match value {
        Value::String(text) => text.parse().map_err(|error: T::Err| error.to_string()),
        _ => Err("write it in quotes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use crate::settings::LogFormat;
    use std::fs::{self, Permissions};

    /// The example of the operator's guide, with a password.
    fn example() -> String {
        let guide =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
        let (_, example) = guide.split_once("```toml\n").unwrap();
        example.split_once("```").unwrap().0.replace("PASSWORD", "hunter2")
    }

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.toml");
        fs::write(&file, text).unwrap();
        Settings::read(&file)
    }

    #[test]
    fn every_setting_is_a_key() {
        let settings = read(&example()).unwrap();
        // All of them by name, so that a new one is not forgotten here.
        let Settings {
            store: Some(_),
            listen: Some(_),
            name: Some(_),
            tls_cert: Some(_),
            tls_key: Some(_),
            metrics_listen: Some(_),
            registration: Some(Admission::Invite),
            trust_proxy: Some(proxies),
            workers: Some(4),
            keep_messages: Some(_),
            keep_bytes: Some(_),
            log_format: Some(LogFormat::Json),
        } = settings
        else {
            panic!("{settings:?}")
        };
        assert_eq!(proxies.len(), 2);
        assert_eq!(read(""), Ok(Settings::default()));
    }

    #[test]
    fn what_is_wrong_is_told_without_what_is_there() {
        let place = |text: &str| match read(text).unwrap_err() {
            error @ SettingsError::Invalid { line, column, .. } => {
                let said = error.to_string();
                assert!(!said.contains("hunter2") && !said.contains('\n'), "{said}");
                (line, column, said)
            }
            error => panic!("{error}"),
        };
        let url = "postgres://me:hunter2@db/c";
        for (text, at, word) in [
            // Not TOML.
            (format!("listen = \"127.0.0.1:1\"\nstore = {url}"), (2, 9), ""),
            (format!("store = \"{url}"), (1, 36), ""),
            (url.to_owned(), (1, 27), ""),
            (format!("\u{fc} = 1\nstore = '{url}'\nstore = '{url}'"), (1, 1), ""),
            (format!("store = '{url}'\nstore = '{url}'"), (2, 1), "duplicate key"),
            (format!("store = \"{url}\\q\""), (1, 37), "escape"),
            // Not a setting.
            (format!("stor = '{url}'"), (1, 1), "unknown field `stor`"),
            (format!("[store]\nurl = '{url}'"), (1, 1), "in `store`"),
            // Not a value of it.
            ("store = 'mysql://me:hunter2@db'".to_owned(), (1, 9), "fjall:DIRECTORY"),
            (format!("store = ['{url}']"), (1, 9), "in quotes"),
            (format!("\nlisten = '{url}'"), (2, 10), "in `listen`"),
            (format!("workers = '{url}'"), (1, 11), "number"),
            ("workers = -1".to_owned(), (1, 11), "number"),
            (format!("trust-proxy = '{url}'"), (1, 15), "list"),
            (format!("trust-proxy = ['::1', '{url}']"), (1, 15), "in `trust-proxy`"),
            (format!("registration = '{url}'"), (1, 16), "open, invite or closed"),
            (format!("log-format = '{url}'"), (1, 14), "pretty or json"),
        ] {
            let (line, column, said) = place(&text);
            assert!(said.contains(word), "{text}: {said}");
            assert_eq!((line, column), at, "{text}: {said}");
        }
    }

    #[test]
    fn a_file_that_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("server.toml");
        for file in [missing.as_path(), dir.path(), Path::new("/dev/zero")] {
            let error = Settings::read(file).unwrap_err();
            assert!(matches!(error, SettingsError::Unreadable { .. }), "{error}");
            assert!(error.to_string().contains("--config"), "{error}");
        }
    }

    #[test]
    fn a_password_that_all_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.toml");
        let exposed = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            Settings::read(&file).unwrap().are_exposed_in(&file)
        };
        let in_parameter = "store = 'postgres://db/c?password=hunter2'";
        assert!(exposed(&example(), 0o644) && exposed(in_parameter, 0o604));
        assert!(!exposed(&example(), 0o640) && !exposed(&example(), 0o600));
        assert!(!exposed("store = 'postgres://me@db/c'", 0o644));
        assert!(!exposed("store = 'fjall:me:hunter2@db'", 0o644));
    }
}
