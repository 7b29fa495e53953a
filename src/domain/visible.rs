//! Characters that steer whoever shows a text: a terminal obeys them, a line ends at them, or the rest reads backwards.
//!
//! Must not judge languages: texts that run from right to left do so by themselves, without any of these.

use std::borrow::Cow;

/// Control characters, separators of lines and paragraphs, and what turns the direction of a text that has none of its own.
pub fn steers(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text in one line, with what steers written as one writes it in a program: `\n`, `\u{1b}`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, steers)
}

/// The same, but for the line ends: for a text whose lines are ours.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| letter != '\n' && steers(letter))
}

fn escaped(text: &str, hides: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hides) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match hides(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_shown() {
        assert_eq!(line("a\r\n\tb\u{1b}[2J\u{7f}\u{9b}\u{85}"), "a\\r\\n\\tb\\u{1b}[2J\\u{7f}\\u{9b}\\u{85}");
        assert_eq!(line("\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}").matches("\\u{20").count(), 6);
        assert_eq!(lines("a\nb\u{1b}\r\n"), "a\nb\\u{1b}\\r\n");
    }

    #[test]
    fn what_people_write_stays() {
        for text in ["Zoë", "שלום עולם", "سلام", "👩\u{200d}👧", "a\u{a0}b", "\u{2027}\u{202f}\u{2065}\u{206a}"]
        {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
