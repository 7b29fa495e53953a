//! A caller number in one line, as an argument or in a file of them.

use serde_json::{Value, json};

use super::times;

/// How it is written, for those who wrote it otherwise.
const SETTINGS: &str = "max=N, time-zone=ZONE, days=DAY,…, hours=START-END,… and no-call=START-END,…";

/// Reads `NUMBER[:MAX] [time-zone=ZONE] [days=DAY,…] [hours=START-END,…] [no-call=START-END,…]`.
pub fn caller_number(argument: &str) -> Result<Value, String> {
    let mut words = argument.split_whitespace().peekable();
    let mut number = Vec::new();
    // A number in national format may have spaces.
    while let Some(word) = words.next_if(|word| !word.contains('=')) {
        number.push(word);
    }
    let mut record = limited(&number.join(" "))?;
    for word in words {
        let unknown = || format!("{word:?} is no setting of a number; there are {SETTINGS}");
        let (key, value) = word.split_once('=').ok_or_else(unknown)?;
        let (field, value) = setting(key, value)?.ok_or_else(unknown)?;
        if record.get(field).is_some() {
            return Err(format!("{key} is given twice"));
        }
        record[field] = value;
    }
    Ok(record)
}

fn limited(number: &str) -> Result<Value, String> {
    match number.split_once(':') {
        _ if number.is_empty() => Err("the number comes first, like +493023125000:5".to_owned()),
        None => Ok(json!({ "number": number })),
        Some((number, most)) => Ok(json!({"number": number, "maxConcurrent": limit(most)?})),
    }
}

fn limit(most: &str) -> Result<u32, String> {
    most.parse().map_err(|_| format!("{most:?} is no limit of calls at a time; write NUMBER:5"))
}

/// The field of the wire with its value, if the key is known.
fn setting(key: &str, value: &str) -> Result<Option<(&'static str, Value)>, String> {
    let list = || value.split(',').filter(|word| !word.is_empty());
    let ranges = || list().map(times::hours).collect::<Result<Value, _>>();
    Ok(Some(match key {
        "max" => ("maxConcurrent", json!(limit(value)?)),
        "time-zone" => ("timeZone", json!(value)),
        "days" => ("callingDays", json!(times::days(list()))),
        "hours" => ("callingTimes", ranges()?),
        "no-call" => ("noCallTimes", ranges()?),
        _ => return Ok(None),
    }))
}

/// A file with one number in each line; empty lines and those that begin with `#` are left out.
pub fn caller_numbers(text: &str) -> Result<Vec<Value>, String> {
    let lines = super::input::lines(text).filter(|(_, line)| !line.starts_with('#'));
    lines.map(|(place, line)| caller_number(line).map_err(|error| format!("line {place}: {error}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_number_may_have_a_limit() {
        assert_eq!(caller_number("+493023125000"), Ok(json!({"number": "+493023125000"})));
        let limited = json!({"number": "+493023125000", "maxConcurrent": 5});
        assert_eq!(caller_number("+493023125000:5"), Ok(limited.clone()));
        assert_eq!(caller_number("+493023125000 max=5"), Ok(limited));
        for wrong in ["+493023125000:", "+493023125000:-1", "", "max=5", "+493023125000:5 max=5"] {
            assert!(caller_number(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_caller_number_may_have_times() {
        let line = "030 2312500:5 time-zone=Europe/Berlin days=MONDAY-TUESDAY hours=09:00-12:00,14:00-18:00 no-call=10:00-10:30";
        let expected = json!({"number": "030 2312500", "maxConcurrent": 5, "timeZone": "Europe/Berlin",
            "callingDays": ["MONDAY", "TUESDAY"], "noCallTimes": [{"start": "10:00", "end": "10:30"}],
            "callingTimes": [{"start": "09:00", "end": "12:00"}, {"start": "14:00", "end": "18:00"}]});
        assert_eq!(caller_number(line), Ok(expected));
        assert!(caller_number("+493023125000 hour=9-10").unwrap_err().contains("no-call=START-END"));
        assert!(caller_number("+493023125000 hours=9").unwrap_err().contains("START-END"));
    }

    #[test]
    fn a_file_of_numbers_says_which_line_is_wrong() {
        let numbers = caller_numbers("# Berlin\n+493023125000:5\n\n+493023125001\r\n").unwrap();
        assert_eq!(numbers.len(), 2);
        assert!(caller_numbers("+493023125000\n\n+493023125001:x\n").unwrap_err().starts_with("line 3: "));
    }
}
