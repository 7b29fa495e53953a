//! Days and times of day as people write them. Whether they make sense is the daemon's to judge.

use serde_json::{Value, json};

use crate::domain::calling_window::DAYS;

/// A range like `09:00-12:00`.
pub fn hours(argument: &str) -> Result<Value, String> {
    let range = argument.split_once('-').map(|(start, end)| json!({"start": start.trim(), "end": end.trim()}));
    range.ok_or_else(|| "write the hours as START-END, like 09:00-12:00".to_owned())
}

/// Days in capitals; `MONDAY-FRIDAY` stands for those from the one to the other.
pub fn days<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().flat_map(some_days).collect()
}

fn some_days(word: &str) -> Vec<String> {
    let word = word.trim().to_uppercase();
    let day = |name: &str| DAYS.iter().position(|day| *day == name.trim());
    match word.split_once('-').map(|(from, to)| (day(from), day(to))) {
        Some((Some(from), Some(to))) => {
            let many = (to + DAYS.len() - from) % DAYS.len();
            DAYS.iter().cycle().skip(from).take(many + 1).map(ToString::to_string).collect()
        }
        _ => vec![word],
    }
}

/// A range as it is written.
pub fn range_in_words(range: &Value) -> Option<String> {
    let fields = range.as_object().filter(|fields| fields.len() == 2)?;
    Some(format!("{}-{}", fields.get("start")?.as_str()?, fields.get("end")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_a_range() {
        assert!(hours("09:00").is_err());
        let range = json!({"start": "09:00", "end": "12:00"});
        assert_eq!(hours("09:00 - 12:00"), Ok(range.clone()));
        assert_eq!(range_in_words(&range).as_deref(), Some("09:00-12:00"));
    }

    #[test]
    fn days_may_be_written_from_one_to_another() {
        assert_eq!(days(["monday", "FRIDAY"]), ["MONDAY", "FRIDAY"]);
        assert_eq!(days(["Saturday-monday"]), ["SATURDAY", "SUNDAY", "MONDAY"]);
        assert_eq!(days(["FUNDAY", "MON-FRI"]), ["FUNDAY", "MON-FRI"], "for the daemon to reject");
    }
}
