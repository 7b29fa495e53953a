//! Reads a session description, with tolerance: for line ends, the order of lines, and what is missing but has only one
//! meaning.

use std::str::FromStr;

use super::{Description, Line, MOST_BYTES, MOST_MEDIA, Media, Origin, Unreadable};

/// The order of lines of a session and of a medium (RFC 8866, section 9). Times keep theirs among themselves, and what is
/// unknown stands among the attributes.
const SESSION_ORDER: [&str; 9] = ["s", "i", "u", "e", "p", "c", "b", "trz", "k"];
const MEDIA_ORDER: [&str; 4] = ["i", "c", "b", "k"];

/// What stands once in a session; the first counts.
const ONCE: &str = "siuck";

/// What cannot belong to a medium, wherever it stands.
const OF_THE_SESSION: &str = "suepztr";

impl FromStr for Description {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MOST_BYTES {
            return Err(Unreadable::TooLong);
        }
        // A bare CR counts as a line's end too, as it does for careless readers further on.
        let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
        let mut lines = lines.zip(1..).map(|(text, number)| line(text, number));
        match lines.next() {
            Some(Ok(Line { kind: 'v', value })) if value.trim() == "0" => {}
            _ => return Err(Unreadable::Version),
        }
        let (mut origin, mut session, mut media) = (None, Vec::new(), Vec::<Media>::new());
        for (line, number) in lines.zip(2..) {
            let line = line?;
            let is_full = media.len() == MOST_MEDIA;
            match (line.kind, media.last_mut()) {
                ('v', _) => return Err(Unreadable::Line(number)),
                ('o', _) if origin.is_some() => return Err(Unreadable::Origin),
                ('o', _) => origin = Some(read_origin(&line.value).ok_or(Unreadable::Origin)?),
                ('m', _) if is_full => return Err(Unreadable::TooManyMedia),
                ('m', _) => media.push(read_media(&line.value).ok_or(Unreadable::Media(number))?),
                (kind, Some(medium)) if !OF_THE_SESSION.contains(kind) => medium.lines.push(line),
                _ => session.push(line),
            }
        }
        let origin = origin.ok_or(Unreadable::Origin)?;
        for medium in &mut media {
            medium.lines.sort_by_key(|line| rank(&MEDIA_ORDER, line));
        }
        let description = Self { origin, lines: complete(session), media };
        // Line ends may have become longer: what was read can be read again.
        if description.to_string().len() > MOST_BYTES { Err(Unreadable::TooLong) } else { Ok(description) }
    }
}

fn line(text: &str, number: usize) -> Result<Line, Unreadable> {
    let mut letters = text.chars();
    let (kind, equals) = (letters.next(), letters.next());
    let is_sound = |c: char| !c.is_ascii_control() || c == '\t';
    match (kind, equals, letters.as_str()) {
        (Some(kind @ 'a'..='z'), Some('='), value) if value.chars().all(is_sound) => Ok(Line::new(kind, value)),
        _ => Err(Unreadable::Line(number)),
    }
}

fn rank(order: &[&str], line: &Line) -> usize {
    order.iter().position(|kinds| kinds.contains(line.kind)).unwrap_or(order.len())
}

/// The lines of a session in their order, with those that must be there.
fn complete(mut lines: Vec<Line>) -> Vec<Line> {
    let mut seen = String::new();
    lines.retain(|line| {
        let again = ONCE.contains(line.kind) && seen.contains(line.kind);
        seen.push(line.kind);
        !again
    });
    for (kind, value) in [('s', "-"), ('t', "0 0")] {
        match lines.iter_mut().find(|line| line.kind == kind) {
            Some(line) if line.value.trim().is_empty() => line.value = value.to_owned(),
            Some(_) => {}
            // Before the r= that may be there without it.
            None => lines.insert(0, Line::new(kind, value)),
        }
    }
    lines.sort_by_key(|line| rank(&SESSION_ORDER, line));
    lines
}

/// Five fields after a user's name, which should have no blanks and has them at times.
fn read_origin(value: &str) -> Option<Origin> {
    let mut fields: Vec<&str> = value.split_whitespace().collect();
    let rest = fields.split_off(fields.len().checked_sub(5).filter(|names| *names > 0)?);
    let [session, version, network, family, host] = rest.try_into().ok()?;
    let [session, version, network, family, host] = [session, version, network, family, host].map(str::to_owned);
    Some(Origin { user: fields.join("."), session, version, network, family, host })
}

fn read_media(value: &str) -> Option<Media> {
    let mut fields = value.split_whitespace().map(str::to_owned);
    let (kind, port, profile) = (fields.next()?, fields.next()?, fields.next()?);
    let (port, ports) = match port.split_once('/') {
        Some((port, ports)) => (port.parse().ok()?, Some(ports.parse().ok()?)),
        None => (port.parse().ok()?, None),
    };
    let mut formats: Vec<String> = fields.collect();
    if formats.is_empty() {
        // Some leave them out where they refuse.
        formats = Some("0".to_owned()).filter(|_| port == 0).into_iter().collect();
    }
    (!formats.is_empty()).then_some(Media { kind, port, ports, profile, formats, lines: Vec::new() })
}
