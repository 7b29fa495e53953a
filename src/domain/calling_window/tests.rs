//! Windows against a walk that asks a calendar minute by minute, and the days on which clocks are strange.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn ranges(times: &[(u16, u16)]) -> Vec<DailyRange> {
    times.iter().map(|&(start, end)| DailyRange { start, end }).collect()
}

fn window(zone: &str, days: &[&str], times: &[(u16, u16)]) -> CallingWindow {
    let days = if days.is_empty() { CallingDays::ALL } else { days.iter().copied().collect() };
    CallingWindow { time_zone: zone.parse().unwrap(), days, times: ranges(times) }
}

fn opens(window: &CallingWindow, from: &str) -> String {
    window.next_opening(at(from)).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

const NINE: u16 = 9 * 60;

#[test]
fn a_window_is_half_open_and_a_day_can_have_several() {
    let office = window("Europe/Berlin", &["MONDAY", "FRIDAY"], &[(NINE, 720), (840, 1080)]);
    for (instant, open) in [
        ("2026-11-23T07:59:59.999Z", false),
        ("2026-11-23T08:00:00Z", true),
        ("2026-11-23T10:59:59.999999Z", true),
        ("2026-11-23T11:00:00Z", false),
        ("2026-11-23T13:00:00Z", true),
        ("2026-11-24T08:00:00Z", false),
    ] {
        assert_eq!(office.is_open(at(instant)), open, "{instant}");
    }
    assert_eq!(opens(&office, "2026-11-23T10:00:00Z"), "2026-11-23T10:00:00Z");
    assert_eq!(opens(&office, "2026-11-23T11:00:00.5Z"), "2026-11-23T13:00:00Z");
    assert_eq!(opens(&office, "2026-11-23T17:00:00Z"), "2026-11-27T08:00:00Z");
    assert_eq!(opens(&office, "2026-11-27T17:00:00Z"), "2026-11-30T08:00:00Z");
}

#[test]
fn midnight_belongs_to_the_day_that_begins() {
    let late = window("UTC", &["MONDAY"], &[(1_380, DAY_MINUTES)]);
    assert!(late.is_open(at("2026-11-23T23:59:59.999Z")) && !late.is_open(at("2026-11-24T00:00:00Z")));
    let whole = window("Asia/Kolkata", &["SUNDAY"], &[(0, DAY_MINUTES)]);
    assert_eq!(opens(&whole, "2026-11-23T00:00:00Z"), "2026-11-28T18:30:00Z");
    let night = window("UTC", &[], &[(0, 360), (1_320, DAY_MINUTES)]);
    assert!(night.is_open(at("2026-12-31T23:59:59Z")) && night.is_open(at("2027-01-01T00:00:00Z")));
    let leap = window("UTC", &["TUESDAY"], &[(NINE, 720)]);
    assert_eq!(opens(&leap, "2028-02-23T00:00:00Z"), "2028-02-29T09:00:00Z");
}

/// Berlin, 29 March 2026: 02:00 is followed by 03:00.
#[test]
fn a_skipped_hour_does_not_open() {
    let within = window("Europe/Berlin", &[], &[(130, 160)]);
    assert_eq!(opens(&within, "2026-03-28T12:00:00Z"), "2026-03-30T00:10:00Z");
    let across = window("Europe/Berlin", &[], &[(130, 240)]);
    assert_eq!(opens(&across, "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
    assert!(!across.is_open(at("2026-03-29T00:59:59Z")));
}

/// Berlin, 25 October 2026: 03:00 is followed by 02:00.
#[test]
fn a_repeated_hour_opens_twice() {
    let within = window("Europe/Berlin", &[], &[(130, 160)]);
    assert_eq!(opens(&within, "2026-10-24T12:00:00Z"), "2026-10-25T00:10:00Z");
    assert_eq!(opens(&within, "2026-10-25T00:40:00Z"), "2026-10-25T01:10:00Z");
    assert_eq!(opens(&within, "2026-10-25T01:40:00Z"), "2026-10-26T01:10:00Z");
    let before = window("Europe/Berlin", &[], &[(60, 130)]);
    assert_eq!(opens(&before, "2026-10-25T00:10:00Z"), "2026-10-25T01:00:00Z");
}

#[test]
fn ranges_that_meet_cover_the_day() {
    let always = |days: &[&str], times: &[(u16, u16)]| Gate::new(window("Europe/Berlin", days, times)).always_open;
    assert!(always(&[], &[(0, 720), (720, DAY_MINUTES)]));
    assert!(!always(&[], &[(0, 720), (721, DAY_MINUTES)]));
    assert!(!always(&[], &[(0, 1_439)]));
    assert!(!always(&DAYS[..6], &[(0, DAY_MINUTES)]));
    assert!(!always(&[], &[]));
}

#[test]
fn windows_of_different_zones_meet_or_never_do() {
    let now = at("2026-11-25T00:00:00Z");
    let berlin = window("Europe/Berlin", &[], &[(NINE, 1_020)]);
    // 09:00 to 17:00 in Auckland is the night in Berlin, but for an hour at either end.
    assert!(berlin.ever_meets(&window("Pacific/Auckland", &[], &[(1_140, 1_320)]), now));
    assert!(!berlin.ever_meets(&window("Pacific/Auckland", &[], &[(NINE, 1_020)]), now));
    assert!(!berlin.ever_meets(&window("Europe/Berlin", &[], &[(1_020, 1_200)]), now));
    assert!(!berlin.ever_meets(&window("UTC", &[], &[]), now));
    let monday = window("Europe/Berlin", &["MONDAY"], &[(0, DAY_MINUTES)]);
    assert!(!monday.ever_meets(&window("Europe/Berlin", &["TUESDAY"], &[(0, DAY_MINUTES)]), now));
    assert!(monday.ever_meets(&window("America/New_York", &["SUNDAY"], &[(1_080, DAY_MINUTES)]), now));
    // New York is five hours behind Berlin only in the weeks between the two changes of the clocks.
    let hour = window("America/New_York", &[], &[(240, 300)]);
    let only_then = window("Europe/Berlin", &[], &[(NINE, 600)]);
    assert!(hour.ever_meets(&only_then, now) && only_then.ever_meets(&hour, now));
    // Cairo is two hours ahead of Berlin on a Monday for the first time after 2026 in October 2030.
    let cairo = window("Africa/Cairo", &["MONDAY"], &[(720, 721)]);
    let berlin = window("Europe/Berlin", &["MONDAY"], &[(600, 601)]);
    assert!(berlin.ever_meets(&cairo, now) && cairo.ever_meets(&berlin, now));
    assert!(berlin.is_open(at("2030-10-28T09:00:00Z")) && cairo.is_open(at("2030-10-28T09:00:00Z")));
    assert!(!berlin.ever_meets(&window("Africa/Cairo", &["MONDAY"], &[(780, 781)]), now));
}

#[test]
fn what_is_forbidden_is_cut_out() {
    let day = [DailyRange::WHOLE_DAY];
    assert_eq!(DailyRange::without(&day, &[]), day);
    assert_eq!(DailyRange::without(&day, &ranges(&[(0, 360), (1_320, 1_440)])), ranges(&[(360, 1_320)]));
    let office = ranges(&[(540, 720), (840, 1_080)]);
    assert_eq!(DailyRange::without(&office, &ranges(&[(600, 900)])), ranges(&[(540, 600), (900, 1_080)]));
    assert_eq!(DailyRange::without(&office, &day), []);
}

#[test]
fn a_gate_is_shut_a_moment_before_the_window_ends() {
    let mut gate = Gate::new(window("UTC", &[], &[(NINE, 720), (720, 780)]));
    assert!(gate.stays_open(at("2026-11-23T11:59:59.999Z")), "the next range goes on");
    assert!(gate.is_open(at("2026-11-23T12:59:59.940Z")) && !gate.stays_open(at("2026-11-23T12:59:59.940Z")));
    assert!(!gate.is_open(at("2026-11-23T12:59:59.960Z")));
    assert_eq!(gate.next_opening(at("2026-11-23T12:59:59.960Z")), Some(at("2026-11-24T09:00:00Z")));
    assert_eq!(gate.next_opening(at("2026-11-24T08:59:59.999Z")), Some(at("2026-11-24T09:00:00Z")));
    assert_eq!(gate.next_opening(at("2026-11-24T09:00:00Z")), None);
    assert!(gate.stays_open(at("2026-11-24T09:00:00Z")));
    let never = at("2026-11-24T09:00:00Z");
    assert_eq!(Gate::new(window("UTC", &[], &[])).next_opening(never), Some(never + TimeDelta::days(1)));
}

/// Each with a week in which its clocks are changed, and one in which a year has a day more.
const WEEKS: [(&str, &str); 11] = [
    ("Europe/Berlin", "2026-03-27T00:00:00Z"),
    ("Europe/Berlin", "2026-10-23T00:00:00Z"),
    ("America/New_York", "2026-03-06T00:00:00Z"),
    ("America/New_York", "2026-10-30T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-03T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-02T00:00:00Z"),
    ("America/Santiago", "2026-09-04T00:00:00Z"),
    ("America/Santiago", "2026-04-03T00:00:00Z"),
    ("Africa/Casablanca", "2026-02-13T00:00:00Z"),
    ("Pacific/Chatham", "2028-02-27T00:00:00Z"),
    ("Pacific/Apia", "2011-12-28T00:00:00Z"),
];

fn open_by_the_calendar(window: &CallingWindow, instant: DateTime<Utc>) -> bool {
    let local = instant.with_timezone(&window.time_zone.name().parse::<Tz>().unwrap());
    let (day, time) = (local.format("%A").to_string().to_uppercase(), local.format("%H:%M").to_string());
    let text = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    window.days.names().contains(&day.as_str())
        && window.times.iter().any(|range| text(range.start) <= time && time < text(range.end))
}

prop_compose! {
    fn any_window()(cuts in prop::collection::btree_set(0..=DAY_MINUTES, 2..9), days in 1u8..=127) -> (Vec<DailyRange>, CallingDays) {
        let cuts: Vec<u16> = cuts.into_iter().collect();
        (cuts.chunks_exact(2).map(|pair| DailyRange { start: pair[0], end: pair[1] }).collect(), CallingDays(days))
    }
}

proptest! {
    #[test]
    fn the_next_opening_is_where_a_walk_by_minutes_finds_it(
        (times, days) in any_window(),
        (zone, week) in prop::sample::select(&WEEKS[..]),
        second in 0i64..5 * 86_400,
        millis in 0i64..1_000,
    ) {
        let window = CallingWindow { time_zone: zone.parse().unwrap(), days, times };
        let now = at(week) + TimeDelta::seconds(second) + TimeDelta::milliseconds(millis);
        prop_assert_eq!(window.is_open(now), open_by_the_calendar(&window, now));
        let minute = now.timestamp() / 60 + 1;
        let later = (minute..minute + 20 * 1_440).map(|minute| DateTime::from_timestamp(minute * 60, 0).unwrap());
        let expected = std::iter::once(now).chain(later).find(|instant| open_by_the_calendar(&window, *instant));
        prop_assert_eq!(window.next_opening(now), expected);
    }
}

proptest! {
    // Each that never meets walks through 28 years.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn windows_meet_when_a_walk_by_minutes_sees_them_both_open(
        ((times, days), (other_times, other_days)) in (any_window(), any_window()),
        (zone, other_zone) in (prop::sample::select(&WEEKS[..]), prop::sample::select(&WEEKS[..])),
    ) {
        let window = CallingWindow { time_zone: zone.0.parse().unwrap(), days, times };
        let other = CallingWindow { time_zone: other_zone.0.parse().unwrap(), days: other_days, times: other_times };
        let now = at("2026-11-25T00:00:00Z");
        let minutes = (0..7 * 1_440).map(|minute| now + TimeDelta::minutes(minute));
        if minutes.into_iter().any(|instant| window.is_open(instant) && other.is_open(instant)) {
            prop_assert!(window.ever_meets(&other, now));
        }
        prop_assert_eq!(window.ever_meets(&other, now), other.ever_meets(&window, now));
    }
}
