//! Safety numbers.

use super::second::{cbor, kdf, public};
use super::{array, bytes, check, hx, seed};
use crate::SafetyNumber;
use crate::wire::ids::AccountId;
use serde_json::json;

#[test]
fn safety_numbers() {
    let vectors: Vec<_> = [("alice", "bob"), ("bob", "carol")]
        .map(|(one, other)| {
            let mut accounts = [one, other].map(|name| public(&seed(&format!("{name} account"))));
            let [ours, theirs] = accounts;
            accounts.sort_unstable();
            let wide = kdf("safety number", &[&accounts[0], &accounts[1]], 60);
            let groups = wide.chunks(5).map(|five| {
                let number = five.iter().fold(0_u64, |number, byte| number * 256 + u64::from(*byte));
                format!("{:05}", number % 100_000)
            });
            json!({
                "ours": hx(ours),
                "theirs": hx(theirs),
                "wide": hx(&wide),
                "number": groups.collect::<Vec<_>>().join(" "),
                "qr": hx(cbor::structure(&accounts.map(cbor::bstr))),
            })
        })
        .into();
    let file = check("safety_number.json", "Safety numbers of two accounts.", &json!(vectors));
    for vector in file.as_array().unwrap() {
        let [ours, theirs] = ["ours", "theirs"].map(|name| AccountId::from_bytes(array(&vector[name])));
        for number in [SafetyNumber::new(ours, theirs), SafetyNumber::new(theirs, ours)] {
            assert_eq!(number.to_string(), vector["number"]);
            assert_eq!(number.to_qr(), bytes(&vector["qr"]));
            assert_eq!(number.check_qr(&bytes(&vector["qr"])), Ok(()));
        }
    }
}
