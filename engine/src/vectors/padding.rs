//! Padding.

use super::second::pad;
use super::{bytes, check, hx};
use crate::padding;
use serde_json::json;

#[test]
fn padded_lengths() {
    let vectors: Vec<_> = [0, 1, 31, 32, 33, 47, 63, 64, 100, 200, 255, 256, 1000, 1024]
        .iter()
        .map(
            |length| json!({ "plaintext": hx(vec![0x5a; *length]), "padded": hx(pad(&vec![0x5a; *length])) }),
        )
        .collect();
    let comment = "Padding: 0x80, then zeros up to a Padmé length of at least 32.";
    for vector in check("padding.json", comment, &json!(vectors)).as_array().unwrap() {
        let (plaintext, padded) = (bytes(&vector["plaintext"]), bytes(&vector["padded"]));
        assert_eq!(*padding::pad(&[&plaintext]), padded);
        assert_eq!(padding::unpad(&padded), Ok(plaintext.as_slice()));
    }
}
