//! What the operator sees: counted truly, and written down.

use crate::client::Client;
use crate::people::Person;
use conclave_server::{Config, Server};
use conclave_wire::ids::{LeafIndex, Opaque};
use conclave_wire::reply::Refusal;
use conclave_wire::request::Request;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

pub(crate) fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(Config::new(dir.path(), any).with_workers(2).with_watch(any)).await.unwrap();
    let watch = server.watch_addr().unwrap();
    let metrics = || get(watch, "/metrics").1;
    assert_eq!((get(watch, "/healthz").0, get(watch, "/readyz").0), (200, 200));
    // What clients dial does not tell.
    assert_eq!(get(server.local_addr(), "/metrics").0, 404);

    let [alice, bob] = ["alice", "bob"].map(Person::new);
    let mut a = Client::registered(&server.url(), &alice).await;
    let mut b = Client::registered(&server.url(), &bob).await;
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;
    b.subscribe(&[(room.id(), 2)]).await;
    for _ in 0..3 {
        a.post(&room, &alice, "hi").await;
        b.push().await;
    }
    let of_another =
        Request::Post { group: room.id(), message: Opaque(room.message_of(LeafIndex(1), b"no")) };
    assert!(matches!(a.refused(of_another).await, Refusal::InvalidEntry { .. }));
    let mallory = Person::new("mallory");
    let mut m = Client::connect(&server.url()).await;
    let login = mallory.login(&m.server, &m.nonce);
    assert_eq!(m.refused(Request::Login { login }).await, Refusal::NotRegistered);

    let text = metrics();
    for (name, expected) in [
        ("conclave_connections_open", 3.0),
        ("conclave_connections_total", 3.0),
        ("conclave_logins_total{outcome=\"accepted\"}", 2.0),
        ("conclave_logins_total{outcome=\"refused\"}", 1.0),
        ("conclave_entries_total{kind=\"commit\"}", 2.0),
        ("conclave_entries_total{kind=\"message\"}", 3.0),
        ("conclave_refusals_total{reason=\"invalid_entry\"}", 1.0),
        ("conclave_refusals_total{reason=\"not_registered\"}", 1.0),
        ("conclave_ready", 1.0),
        ("conclave_store_errors_total", 0.0),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
    assert!(value(&text, "conclave_store_write_seconds_count") >= 7.0);
    // What came while the subscription began was read from the log, the rest was pushed. A hub adds up what it has
    // pushed after it has written it.
    let pushed = async {
        while !(2.0..=3.0).contains(&value(&metrics(), "conclave_pushes_total")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), pushed).await.unwrap();
    drop((a, b));
    documented(&text);
    shown(&text);
    server.shutdown().await;
}

/// The dashboard asks for nothing that the server does not tell, and leaves out nothing that it does.
fn shown(metrics: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let of_type = |wanted: &str| -> BTreeSet<String> {
        let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        types.filter(|(_, of)| *of == wanted).map(|(name, _)| name.to_owned()).collect()
    };
    let histograms = of_type("histogram");
    let told: BTreeSet<String> =
        [of_type("counter"), of_type("gauge"), histograms.clone()].into_iter().flatten().collect();
    let mut asked = BTreeSet::new();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    for expr in targets.map(|target| target["expr"].as_str().unwrap()) {
        let words = expr.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        for name in words.filter(|word| word.starts_with("conclave_")) {
            let series = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            match series.filter(|series| histograms.contains(*series)) {
                Some(series) => asked.insert(series.to_owned()),
                None => asked.insert(name.to_owned()),
            };
            assert!(!histograms.contains(name), "{name} is a histogram, and no series: {expr}");
        }
    }
    assert_eq!(asked, told);
    let variable = &dashboard["templating"]["list"][1]["query"]["query"];
    assert_eq!(variable, "label_values(conclave_ready, instance)");
}

/// The operator's guide and the server name the same metrics.
fn documented(metrics: &str) {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `conclave_"));
    let written: BTreeSet<String> =
        rows.map(|row| format!("conclave_{}", row.split(['`', '{']).next().unwrap())).collect();
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counted: BTreeSet<String> = types.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(written, counted);
}
