//! The settings as one place gives them: all may be left out. Flags, environment and file have the same ones.

use super::file::{number, parsed, several};
use super::log_format::LogFormat;
use crate::admission::Admission;
use crate::config::Config;
use crate::error::ConfigError;
use crate::retention::{KeepBytes, KeepMessages, Retention};
use crate::store::StoreLocation;
use crate::transport::certificates::TlsFiles;
use clap::Args;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Settings of a server, as one place gives them.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where to keep everything: fjall:DIRECTORY, created if it does not exist, or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "STORE", env = "CONCLAVE_STORE", hide_env_values = true)]
    #[serde(deserialize_with = "parsed")]
    pub store: Option<StoreLocation>,

    /// Address to listen on, as in 127.0.0.1:7300; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "CONCLAVE_LISTEN")]
    #[serde(deserialize_with = "parsed")]
    pub listen: Option<SocketAddr>,

    /// Address that clients dial; needed unless they all run on this machine
    #[arg(long, value_name = "HOST:PORT", env = "CONCLAVE_NAME")]
    #[serde(deserialize_with = "parsed")]
    pub name: Option<String>,

    /// PEM file with the server's certificate and those that lead from it to an authority; read again on SIGHUP
    #[arg(long, value_name = "FILE", env = "CONCLAVE_TLS_CERT")]
    #[serde(deserialize_with = "parsed")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", env = "CONCLAVE_TLS_KEY")]
    #[serde(deserialize_with = "parsed")]
    pub tls_key: Option<PathBuf>,

    /// Where the operator finds /metrics, /healthz and /readyz, as in 127.0.0.1:7301 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", env = "CONCLAVE_METRICS_LISTEN")]
    #[serde(deserialize_with = "parsed")]
    pub metrics_listen: Option<SocketAddr>,

    /// Who may register: open to all, by invite, or closed [default: open]
    #[arg(long, value_name = "WHO", env = "CONCLAVE_REGISTRATION")]
    #[serde(deserialize_with = "parsed")]
    pub registration: Option<Admission>,

    /// Proxies in front of the server, with commas between, that say in X-Forwarded-For for whom they speak
    #[arg(long, value_name = "ADDRESS,…", env = "CONCLAVE_TRUST_PROXY", value_delimiter = ',')]
    #[serde(deserialize_with = "several")]
    pub trust_proxy: Option<Vec<IpAddr>>,

    /// How long messages are kept, in days [default: 90d]
    #[arg(long, value_name = "DAYS", env = "CONCLAVE_KEEP_MESSAGES")]
    #[serde(deserialize_with = "parsed")]
    pub keep_messages: Option<KeepMessages>,

    /// How many bytes of messages are kept of one group, in MiB, GiB or TiB [default: 1GiB]
    #[arg(long, value_name = "SIZE", env = "CONCLAVE_KEEP_BYTES")]
    #[serde(deserialize_with = "parsed")]
    pub keep_bytes: Option<KeepBytes>,

    /// Threads that own sockets [default: one per core]
    #[arg(long, value_name = "N", env = "CONCLAVE_WORKERS")]
    #[serde(deserialize_with = "number")]
    pub workers: Option<usize>,

    /// How to write the log, which goes to standard error; RUST_LOG chooses what is in it [default: pretty]
    #[arg(long, value_enum, env = "CONCLAVE_LOG_FORMAT")]
    #[serde(deserialize_with = "parsed")]
    pub log_format: Option<LogFormat>,
}

impl Settings {
    /// These, and where they leave something out, those of another place, which counts less.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        // All of them by name, so that a new one is not forgotten here.
        let Self {
            store,
            listen,
            name,
            tls_cert,
            tls_key,
            metrics_listen,
            registration,
            trust_proxy,
            keep_messages,
            keep_bytes,
            workers,
            log_format,
        } = self;
        Self {
            store: store.or(other.store),
            listen: listen.or(other.listen),
            name: name.or(other.name),
            tls_cert: tls_cert.or(other.tls_cert),
            tls_key: tls_key.or(other.tls_key),
            metrics_listen: metrics_listen.or(other.metrics_listen),
            registration: registration.or(other.registration),
            trust_proxy: trust_proxy.or(other.trust_proxy),
            keep_messages: keep_messages.or(other.keep_messages),
            keep_bytes: keep_bytes.or(other.keep_bytes),
            workers: workers.or(other.workers),
            log_format: log_format.or(other.log_format),
        }
    }

    /// What a server is started with: defaults for what nobody gave. Refuses settings that cannot work together; touches
    /// nothing. The log's format is not among it: whoever runs the server has the log.
    pub fn config(self) -> Result<Config, ConfigError> {
        let missing = |setting| ConfigError::Missing { setting };
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificates), Some(key)) => Some(TlsFiles { certificates, key }),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::HalfTls { given: "tls-cert", missing: "tls-key" }),
            (None, Some(_)) => return Err(ConfigError::HalfTls { given: "tls-key", missing: "tls-cert" }),
        };
        let config = Config {
            store: self.store.ok_or(missing("store"))?,
            listen: self.listen.ok_or(missing("listen"))?,
            name: self.name,
            tls,
            watch: self.metrics_listen,
            admission: self.registration.unwrap_or_default(),
            trusted_proxies: self.trust_proxy.unwrap_or_default(),
            retention: Retention {
                messages: self.keep_messages.unwrap_or_default(),
                group_bytes: self.keep_bytes.unwrap_or_default(),
            },
            workers: self.workers,
        };
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;
    use std::collections::BTreeSet;

    /// More than anybody reads, and it would be a language.
    const MOST: usize = 15;

    fn all() -> Settings {
        Settings {
            store: Some("fjall:one".parse().unwrap()),
            listen: Some("127.0.0.1:1".parse().unwrap()),
            name: Some("one.example".to_owned()),
            tls_cert: Some("cert.pem".into()),
            tls_key: Some("key.pem".into()),
            metrics_listen: Some("127.0.0.1:2".parse().unwrap()),
            registration: Some(Admission::Closed),
            trust_proxy: Some(vec!["10.0.0.1".parse().unwrap()]),
            keep_messages: Some("7d".parse().unwrap()),
            keep_bytes: Some("64MiB".parse().unwrap()),
            workers: Some(3),
            log_format: Some(LogFormat::Json),
        }
    }

    #[test]
    fn who_comes_first_counts() {
        assert_eq!(all().or(Settings::default()), all());
        assert_eq!(Settings::default().or(all()), all());
        let other =
            Settings { name: Some("two.example".to_owned()), workers: Some(7), ..Settings::default() };
        let both = other.or(all());
        assert_eq!(both, Settings { name: Some("two.example".to_owned()), workers: Some(7), ..all() });
    }

    #[test]
    fn what_belongs_together_is_together() {
        let config = all().config().unwrap();
        assert_eq!((config.admission, config.workers), (Admission::Closed, Some(3)));
        let retention = Retention { messages: "7d".parse().unwrap(), group_bytes: "64MiB".parse().unwrap() };
        assert_eq!(config.retention, retention);
        let refused = |settings: Settings| settings.config().unwrap_err();
        let half = refused(Settings { tls_key: None, ..all() });
        assert_eq!(half, ConfigError::HalfTls { given: "tls-cert", missing: "tls-key" });
        let half = refused(Settings { tls_cert: None, ..all() });
        assert_eq!(half, ConfigError::HalfTls { given: "tls-key", missing: "tls-cert" });
        assert_eq!(refused(Settings { store: None, ..all() }), ConfigError::Missing { setting: "store" });
        assert_eq!(refused(Settings { listen: None, ..all() }), ConfigError::Missing { setting: "listen" });
        let twice = refused(Settings { metrics_listen: all().listen, ..all() });
        assert_eq!(twice, ConfigError::AddressTwice { address: all().listen.unwrap() });
        let any: Option<SocketAddr> = Some("127.0.0.1:0".parse().unwrap());
        Settings { listen: any, metrics_listen: any, ..all() }.config().unwrap();
    }

    #[test]
    fn all_are_in_the_guide_and_nothing_else() {
        let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let guide = std::fs::read_to_string(guide).unwrap();
        let (_, settings) = guide.split_once("\n## Settings\n").unwrap();
        let (settings, _) = settings.split_once("\n## ").unwrap();
        let rows = settings.lines().filter(|line| line.starts_with("| `--"));
        let columns =
            rows.map(|row| row.split(" | ").map(|column| column.trim_start_matches("| ").to_owned()));
        let written: BTreeSet<(String, String)> = columns
            .flat_map(|mut columns| {
                let [options, variables] =
                    [columns.next(), columns.next()].map(|column| column.unwrap().replace('`', ""));
                let pairs =
                    options.split(", ").zip(variables.split(", ")).map(|(a, b)| (a.to_owned(), b.to_owned()));
                pairs.collect::<Vec<_>>()
            })
            .collect();
        let command = Settings::augment_args(Command::new("settings"));
        let known: BTreeSet<(String, String)> = command
            .get_arguments()
            .map(|argument| {
                let variable = argument.get_env().unwrap().to_str().unwrap().to_owned();
                (format!("--{}", argument.get_long().unwrap()), variable)
            })
            .collect();
        let mut written = written;
        assert!(written.remove(&("--config".to_owned(), "CONCLAVE_CONFIG".to_owned())));
        assert_eq!(written, known);
        assert!(known.len() < MOST, "{} settings", known.len());
    }
}
