//! Text from peers, made fit for one line of the log.

/// The maximum number of characters shown of a name or a sentence.
const MOST: usize = 100;
const LONGEST: usize = 500;

/// Characters that need no escape outside quotes.
const QUOTES: [char; 3] = ['"', '\'', '\\'];

/// Quotes a text: escapes line breaks and control characters, and shortens it.
pub fn shown(text: &str) -> String {
    let short: String = text.chars().take(MOST).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

/// The same for a sentence, without the quotes.
pub fn told(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line(&text[..end])),
        None => line(text),
    }
}

/// Escapes everything that would end a line, control a terminal or change the direction of writing.
/// Every log line passes through here, because any of them may contain text from a peer.
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for piece in text.split_inclusive(QUOTES) {
        let body = piece.trim_end_matches(QUOTES);
        line.extend(body.escape_debug());
        line.push_str(&piece[body.len()..]);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_stays_in_its_line() {
        assert_eq!(line("it's \"so\" \\ é 雪 e\u{301}"), "it's \"so\" \\ é 雪 e\u{301}");
        let bad =
            "a\r\n\0\u{1b}[31m\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{200b}\u{7f}";
        let good =
            r"a\r\n\0\u{1b}[31m\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{200b}\u{7f}";
        assert_eq!(line(bad), good);
        assert_eq!(shown(bad), format!("\"{good}\""));
        assert_eq!(line(good), good);
        assert_eq!(told(bad), good);
        assert_eq!(line(&"é".repeat(1_000)), "é".repeat(1_000));
        assert_eq!(told(&"é".repeat(1_000)), format!("{}…", "é".repeat(500)));
    }

    #[test]
    fn a_text_stays_in_its_line_and_is_not_shown_at_any_length() {
        assert_eq!(shown("a/b"), r#""a/b""#);
        assert_eq!(shown("a\n\u{1b}[31mb"), r#""a\n\u{1b}[31mb""#);
        assert_eq!(shown(&"é".repeat(101)), format!("\"{}\"…", "é".repeat(100)));
    }
}
