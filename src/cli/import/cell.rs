//! A cell of a worksheet as a person reads it, or why what was typed into it is lost.
//!
//! The workbook's own way of showing a cell is not followed: dates have one form, whatever the country.

use calamine::{DataRef, ExcelDateTime, ExcelDateTimeType};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};

const SECONDS_OF_A_DAY: f64 = 86_400.0;
/// Up to the end of the year 9999: from 1900 on, and in workbooks that count from 1904 on.
const DAYS: f64 = 2_958_466.0;
const DAYS_1904: f64 = 2_957_004.0;
/// A spreadsheet keeps fifteen digits of a number.
const MOST_DIGITS: usize = 15;

/// The text, or what is wrong with the cell and what to do about it.
pub fn text(cell: &DataRef<'_>) -> Result<String, String> {
    Ok(match cell {
        DataRef::String(text) | DataRef::DurationIso(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::DateTimeIso(text) => iso(text.trim()),
        // Never with an exponent: that is what `Display` of floats does.
        DataRef::Float(number) => return in_full(&number.to_string()),
        DataRef::Int(number) => return in_full(&number.to_string()),
        DataRef::Bool(true) => "TRUE".to_owned(),
        DataRef::Bool(false) => "FALSE".to_owned(),
        DataRef::DateTime(moment) => return of_moment(moment),
        DataRef::Error(error) => return Err(format!("has the error {error}; mend it in the workbook")),
        DataRef::Empty => String::new(),
    })
}

fn in_full(number: &str) -> Result<String, String> {
    let whole = number.split('.').next().unwrap_or_default().trim_start_matches('-');
    if whole.len() > MOST_DIGITS {
        return Err(format!(
            "is a number of more than {MOST_DIGITS} digits, which the spreadsheet has rounded; format the column as text \
             and type it again"
        ));
    }
    Ok(number.to_owned())
}

/// A date, a time or both: a spreadsheet counts days, and a time is a part of a day.
fn of_moment(moment: &ExcelDateTime) -> Result<String, String> {
    let days = moment.as_f64();
    if days.is_nan() || days < 0.0 {
        return Err("is a date or time before all that a spreadsheet knows; mend it in the workbook".to_owned());
    }
    let seconds = (days * SECONDS_OF_A_DAY).round();
    let is_1904 = *moment == ExcelDateTime::new(days, ExcelDateTimeType::DateTime, true);
    if seconds >= (if is_1904 { DAYS_1904 } else { DAYS }) * SECONDS_OF_A_DAY {
        return Err(
            "is a date or time after all that a spreadsheet knows (9999-12-31); mend it in the workbook".to_owned()
        );
    }
    if moment.is_duration() || seconds < SECONDS_OF_A_DAY {
        // Whole, not negative, and no more than those days.
        let seconds = seconds as u64;
        return Ok(clock((seconds / 3_600, seconds / 60 % 60, seconds % 60)));
    }
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    Ok(with_time(date, (hour.into(), minute.into(), second.into())))
}

/// As some programs write dates, by ISO 8601; what is no date in it stays as it is.
fn iso(text: &str) -> String {
    let plain = text.trim_end_matches('Z');
    if NaiveDate::parse_from_str(plain, "%Y-%m-%d").is_ok() {
        return plain.to_owned();
    }
    if let Ok(time) = NaiveTime::parse_from_str(plain.trim_start_matches('T'), "%H:%M:%S%.f") {
        return clock((time.hour().into(), time.minute().into(), time.second().into()));
    }
    let Ok(moment) = NaiveDateTime::parse_from_str(plain, "%Y-%m-%dT%H:%M:%S%.f") else { return text.to_owned() };
    let time = (moment.hour().into(), moment.minute().into(), moment.second().into());
    with_time(moment.date().to_string(), time)
}

/// A date at midnight is a date alone: the two are the same number.
fn with_time(date: String, time: (u64, u64, u64)) -> String {
    if time == (0, 0, 0) { date } else { format!("{date} {}", clock(time)) }
}

/// Seconds only where there are any.
fn clock((hour, minute, second): (u64, u64, u64)) -> String {
    let seconds = if second == 0 { String::new() } else { format!(":{second:02}") };
    format!("{hour:02}:{minute:02}{seconds}")
}

#[cfg(test)]
mod tests {
    use calamine::ExcelDateTimeType::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn a_number_is_written_out_in_full_as_long_as_it_is_what_was_typed() {
        let number = |number| text(&DataRef::Float(number));
        assert_eq!(number(13_912_345_678.0).unwrap(), "13912345678");
        assert_eq!(number(493_023_125_000_123.0).unwrap(), "493023125000123");
        assert_eq!(number(1.5).unwrap(), "1.5");
        assert_eq!(number(-493_023_125_000_123.5).unwrap(), "-493023125000123.5");
        for rounded in [4_930_231_250_001_230.0, -4_930_231_250_001_230.0, 1e300] {
            assert!(number(rounded).unwrap_err().contains("format the column as text"));
        }
        assert!(text(&DataRef::Int(4_930_231_250_001_230)).is_err());
        assert_eq!(text(&DataRef::SharedString(" +49 30 ")).unwrap(), "+49 30");
    }

    #[test]
    fn dates_and_times_are_written_as_people_write_them() {
        let of = |days, kind| text(&DataRef::DateTime(ExcelDateTime::new(days, kind, false)));
        for (days, shown) in [
            (0.395_833_333_333_333_3, "09:30"),
            (0.0, "00:00"),
            (0.395_844_907_407_407_4, "09:30:01"),
            (46_357.0, "2026-12-01"),
            (46_357.395_833_333_34, "2026-12-01 09:30"),
            (46_357.395_844_907_41, "2026-12-01 09:30:01"),
            (46_356.999_999_999_99, "2026-12-01"),
        ] {
            assert_eq!(of(days, DateTime).unwrap(), shown, "{days}");
        }
        assert_eq!(of(1.5, TimeDelta).unwrap(), "36:00");
        assert!(of(-1.0, DateTime).unwrap_err().contains("mend it"));
        for days in [2_958_466.0, 2_958_465.999_999_999, 1e15, 1e308, f64::INFINITY] {
            for kind in [DateTime, TimeDelta] {
                assert!(of(days, kind).unwrap_err().contains("9999-12-31"), "{days}");
            }
        }
        assert_eq!(of(2_958_465.5, DateTime).unwrap(), "9999-12-31 12:00");
        let last = |days| text(&DataRef::DateTime(ExcelDateTime::new(days, DateTime, true)));
        assert_eq!(last(2_957_003.0).unwrap(), "9999-12-31");
        assert!(last(2_957_004.0).is_err() && last(2_958_465.0).is_err());
        let of_1904 = ExcelDateTime::new(44_895.0, DateTime, true);
        assert_eq!(text(&DataRef::DateTime(of_1904)).unwrap(), "2026-12-01");
    }

    #[test]
    fn dates_by_iso_8601_have_the_same_form() {
        for (written, shown) in [
            ("2026-12-01", "2026-12-01"),
            ("2026-12-01T00:00:00", "2026-12-01"),
            ("2026-12-01T09:30:00.000Z", "2026-12-01 09:30"),
            ("T09:30:01", "09:30:01"),
            ("next week", "next week"),
        ] {
            assert_eq!(text(&DataRef::DateTimeIso(written.to_owned())).unwrap(), shown);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_number_and_any_moment_is_a_text_or_told_as_lost(days in proptest::num::f64::ANY, is_1904: bool) {
            for kind in [DateTime, TimeDelta] {
                let cell = DataRef::DateTime(ExcelDateTime::new(days, kind, is_1904));
                proptest::prop_assert!(!text(&cell).unwrap_or_else(|problem| problem).is_empty());
            }
            let number = text(&DataRef::Float(days));
            proptest::prop_assert!(number.is_err() || number == Ok(days.to_string()));
        }

        #[test]
        fn any_text_is_a_date_or_stays_as_it_is(written in "\\PC{0,30}|T?[0-9:.T-]{0,24}Z?") {
            let shown = text(&DataRef::DateTimeIso(written.clone())).unwrap();
            proptest::prop_assert!(shown.is_empty() == written.trim().is_empty());
        }
    }
}
