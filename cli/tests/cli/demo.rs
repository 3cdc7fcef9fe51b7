//! `conclave demo`: both of its outputs, and that its figures are those of its story.

use crate::support::{conclave, objects};

#[test]
fn everything_holds() {
    let output = conclave().args(["demo", "--json"]).assert().success().stderr_eq("");
    let summaries = objects(output.get_output());
    let [summary] = summaries.as_slice() else { panic!("one object, not {}", summaries.len()) };
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["plaintext_found_on_server"], false);
    assert_eq!(summary["removed_could_read"], 0);
    assert_eq!(summary["newcomer_read_past"], 0);
    assert!(summary["messages_sent"].as_u64().unwrap() > 10);
    assert!(summary["messages_read"].as_u64().unwrap() > 30);
    assert!(summary["server_bytes"].as_u64().unwrap() > 0);
    let checks = summary["checks"].as_array().unwrap();
    assert!(checks.len() > 20);
    assert!(checks.iter().all(|check| check["holds"] == true));
}

#[test]
fn it_fits_a_small_terminal() {
    let output = conclave().arg("demo").assert().success().stderr_eq("");
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(!text.contains("FAILED"), "{text}");
    assert!(text.contains("Everything held."));
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
