//! What others have written, as a line of the log shows it.

/// Most characters that are shown.
const MOST: usize = 100;

/// In quotes, with line breaks and control characters escaped, and not at any length.
pub fn shown(text: &str) -> String {
    let short: String = text.chars().take(MOST).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_in_its_line_and_is_not_shown_at_any_length() {
        assert_eq!(shown("a/b"), r#""a/b""#);
        assert_eq!(shown("a\n\u{1b}[31mb"), r#""a\n\u{1b}[31mb""#);
        assert_eq!(shown(&"é".repeat(101)), format!("\"{}\"…", "é".repeat(100)));
    }
}
