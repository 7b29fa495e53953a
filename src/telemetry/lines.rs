//! The log as lines of text, for people.
//!
//! Must not let a value begin a line of its own, whoever it is from: what a sender, a broker or a database says stands in
//! the log too, and whoever reads it believes what looks like an entry.

use std::fmt::{self, Debug};

use tracing::field::Field;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use super::Output;
use crate::domain::visible;

pub(super) fn text<W>(terminal: bool, writer: W) -> Output
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).fmt_fields(debug_fn(field).delimited(" "));
    // On a terminal the library decides, because it heeds NO_COLOR.
    if terminal { layer.boxed() } else { layer.with_ansi(false).boxed() }
}

/// One field: a line break in it is written as one writes it in a program, and so is what a terminal would obey or what
/// turns a text round. The command line shows texts so, too.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    writer.write_str(&visible::line(&format!("{value:?}")))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Written, subscribed};
    use super::*;

    #[test]
    fn no_value_begins_a_line_of_its_own() {
        let written = Written::default();
        let writer = written.clone();
        subscribed("info", text(false, move || writer.clone()), || {
            let span = tracing::info_span!("call", id = %"7\r\nERROR of a span");
            let _inside = span.enter();
            let forged = "gone\r\n2026-11-26T00:00:00Z ERROR forged\u{1b}[2J\u{85}\u{202e}";
            tracing::warn!(error = %forged, code = 7, ok = true, "a message\nERROR {forged}");
        });
        let log = written.text();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(!log.trim_end().contains(char::is_control), "{log}");
        assert!(log.contains("\\u{85}\\u{202e}"), "{log}");
        assert!(log.contains("a message\\nERROR gone") && log.contains(" error=gone\\r\\n2026"), "{log}");
        assert!(log.contains("code=7 ok=true"), "{log}");
    }
}
