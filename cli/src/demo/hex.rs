//! Bytes beside text, as people compare them.

use super::page::wrap;

/// Columns of the text on the left.
const LEFT: usize = 24;
/// Bytes in a row on the right.
const BYTES: usize = 12;

/// `text` on the left, `bytes` on the right as hex and as a terminal would show them; at most `rows` rows.
pub(super) fn side_by_side(text: &str, bytes: &[u8], rows: usize) -> Vec<String> {
    let left = wrap(text, LEFT);
    let right: Vec<String> = bytes.chunks(BYTES).map(row).collect();
    let height = left.len().max(right.len()).min(rows);
    (0..height)
        .map(|n| {
            let left = left.get(n).map_or("", String::as_str);
            let right = right.get(n).map_or("", String::as_str);
            format!("{left:LEFT$}  {right}")
        })
        .collect()
}

/// The header that belongs above.
pub(super) fn header(left: &str, right: &str) -> String {
    format!("{left:LEFT$}  {right}")
}

fn row(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text: String =
        bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
    format!("{:width$}  {text}", hex.join(" "), width = BYTES * 3 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_eighty_columns() {
        let rows = side_by_side("a text of some length that has to be broken", &[0x41; 30], 10);
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0], "a text of some length     41 41 41 41 41 41 41 41 41 41 41 41  AAAAAAAAAAAA");
        assert_eq!(rows[2], "                          41 41 41 41 41 41                    AAAAAA");
        assert!(rows.iter().all(|row| row.len() <= 76));
        assert_eq!(side_by_side("a", &[0; 1000], 4).len(), 4);
    }
}
