//! Each row of the published mappings, and what must hold for every end whatsoever.

use proptest::prelude::*;

use super::*;
use CallResult::*;

const CALLEE: Scope = Scope::Callee;
const CALLER: Scope = Scope::CallerNumber;
const TRUNK: Scope = Scope::Trunk;

fn seen(status: u16, q850: Option<u16>, rang: bool) -> Seen {
    let causes = q850.map(Cause::new).into_iter().collect();
    Seen { response: Some(FinalResponse { causes, ..FinalResponse::new(status, "") }), rang, local: None }
}

fn local(cause: LocalCause, rang: bool) -> Seen {
    Seen { local: Some(cause), response: None, rang }
}

#[track_caller]
fn assert_means(seen: &Seen, (result, scope, counted): (CallResult, Scope, bool), rule: &str) {
    let decided = classify(seen, &[]);
    let means = (decided.result, decided.scope, decided.counted, decided.rule.as_ref());
    assert_eq!(means, (result, scope, counted, rule), "{seen:?}");
}

/// Status, whether it rang, and what it means without a cause by Q.850.
const BY_STATUS: &[(u16, bool, CallResult, Scope, &str)] = &[
    (200, true, Answered, CALLEE, "sip-200"),
    (486, false, UserBusy, CALLEE, "sip-486"),
    (600, true, UserBusy, CALLEE, "sip-600"),
    (404, false, InvalidNumber, CALLEE, "sip-404"),
    (484, false, InvalidNumber, CALLEE, "sip-484"),
    (485, false, InvalidNumber, CALLEE, "sip-485"),
    (410, false, InvalidNumber, CALLEE, "sip-410"),
    (604, false, InvalidNumber, CALLEE, "sip-604"),
    (480, true, NoAnswer, CALLEE, "sip-480-rang"),
    (408, true, NoAnswer, CALLEE, "sip-408-rang"),
    (480, false, Unavailable, CALLEE, "sip-480"),
    (408, false, NetworkBusy, TRUNK, "sip-408"),
    (487, true, NoAnswer, CALLEE, "sip-487-rang"),
    (487, false, Unavailable, CALLEE, "sip-487"),
    (603, true, CallRejected, CALLEE, "sip-603-rang"),
    (603, false, OperatorBlock, CALLER, "sip-603"),
    (607, true, OperatorBlock, CALLEE, "sip-607"),
    (608, true, OperatorBlock, CALLER, "sip-608"),
    (403, false, Others, TRUNK, "sip-403"),
    (401, false, Others, TRUNK, "sip-401"),
    (402, false, Others, TRUNK, "sip-402"),
    (407, false, Others, TRUNK, "sip-407"),
    (400, false, Others, TRUNK, "sip-400"),
    (415, false, Others, TRUNK, "sip-415"),
    (482, false, Others, TRUNK, "sip-482"),
    (483, false, Others, TRUNK, "sip-483"),
    (488, false, Others, TRUNK, "sip-488"),
    (501, false, Others, TRUNK, "sip-501"),
    (606, false, Others, TRUNK, "sip-606"),
    (500, false, NetworkBusy, TRUNK, "sip-500"),
    (502, false, NetworkBusy, TRUNK, "sip-502"),
    (503, true, NetworkBusy, TRUNK, "sip-503"),
    (504, false, NetworkBusy, TRUNK, "sip-504"),
    (302, false, CallForwarding, CALLEE, "sip-302"),
    (301, false, CallForwarding, CALLEE, "sip-301"),
    (699, false, Others, CALLEE, "sip-699"),
    (100, false, Others, TRUNK, "sip-100"),
];

/// Status, cause, whether it rang, and what it means.
const BY_CAUSE: &[(u16, u16, bool, CallResult, Scope, &str)] = &[
    (503, 17, false, UserBusy, CALLEE, "q850-17"),
    (486, 17, true, UserBusy, CALLEE, "q850-17"),
    (480, 19, true, NoAnswer, CALLEE, "q850-19"),
    (480, 18, true, NoAnswer, CALLEE, "q850-18-rang"),
    (480, 31, true, NoAnswer, CALLEE, "sip-480-rang"),
    (480, 31, false, Unavailable, CALLEE, "sip-480"),
    (480, 18, false, Unavailable, CALLEE, "q850-18"),
    (480, 20, false, Unavailable, CALLEE, "q850-20"),
    (408, 18, true, NoAnswer, CALLEE, "q850-18-rang"),
    (408, 102, false, NetworkBusy, TRUNK, "q850-102"),
    (504, 102, false, NetworkBusy, TRUNK, "q850-102"),
    (408, 102, true, NoAnswer, CALLEE, "q850-102-rang"),
    (603, 21, true, CallRejected, CALLEE, "sip-603-rang"),
    (603, 21, false, OperatorBlock, CALLER, "sip-603"),
    (403, 21, false, Others, TRUNK, "sip-403"),
    (403, 55, false, IncomingCallBarred, CALLEE, "q850-55"),
    (403, 57, false, IncomingCallBarred, CALLEE, "q850-57"),
    (404, 1, false, InvalidNumber, CALLEE, "q850-1"),
    (404, 3, false, InvalidNumber, CALLEE, "q850-3"),
    (503, 3, false, NetworkBusy, TRUNK, "sip-503"),
    (410, 22, false, InvalidNumber, CALLEE, "q850-22"),
    (301, 22, false, InvalidNumber, CALLEE, "q850-22"),
    (302, 17, false, CallForwarding, CALLEE, "sip-302"),
    (484, 28, false, InvalidNumber, CALLEE, "q850-28"),
    (502, 27, false, Unavailable, CALLEE, "q850-27"),
    (503, 34, false, NetworkBusy, TRUNK, "q850-34"),
    (500, 41, false, NetworkBusy, TRUNK, "q850-41"),
    (480, 42, false, NetworkBusy, TRUNK, "q850-42"),
    (503, 88, false, Others, TRUNK, "q850-88"),
    // What the trunk says in its own name is not asked for a cause.
    (402, 21, false, Others, TRUNK, "sip-402"),
    (401, 17, false, Others, TRUNK, "sip-401"),
    (488, 17, false, Others, TRUNK, "sip-488"),
    (501, 38, false, Others, TRUNK, "sip-501"),
    (200, 17, true, Answered, CALLEE, "sip-200"),
];

#[test]
fn each_status_means_what_the_reference_says() {
    for (status, rang, result, scope, rule) in BY_STATUS {
        assert_means(&seen(*status, None, *rang), (*result, *scope, counts(*scope)), rule);
    }
    for status in [428, 429, 436, 437, 438] {
        assert_means(&seen(status, None, false), (Others, CALLER, false), &format!("sip-{status}"));
    }
}

#[test]
fn a_cause_says_more_than_its_status() {
    for (status, cause, rang, result, scope, rule) in BY_CAUSE {
        assert_means(&seen(*status, Some(*cause), *rang), (*result, *scope, counts(*scope)), rule);
    }
}

#[test]
fn our_own_causes_come_first() {
    use LocalCause::*;
    let expected = [
        (RingTimeout, true, (NoAnswer, CALLEE, true), "local-ring-timeout-rang"),
        (RingTimeout, false, (Unavailable, CALLEE, true), "local-ring-timeout"),
        (Stopped, true, (Cancel, Scope::Local, false), "local-stop"),
        (NoReply, false, (NetworkBusy, TRUNK, false), "local-no-reply"),
        (NoReply, true, (NoAnswer, CALLEE, true), "local-lost-while-ringing"),
        (Unreachable, false, (NetworkBusy, TRUNK, false), "local-unreachable"),
        (AuthenticationFailed, false, (Others, TRUNK, false), "local-authentication"),
        (AgentFailed, true, (CallResult::AgentFailed, Scope::Local, true), "local-agent-failed"),
        (MediaMismatch, true, (CallResult::AgentFailed, Scope::Local, true), "local-media-mismatch"),
    ];
    for (cause, rang, means, rule) in expected {
        assert_means(&local(cause, rang), means, rule);
        let crossed = Seen { local: Some(cause), ..seen(486, Some(17), rang) };
        assert_means(&crossed, means, rule);
    }
    assert_means(&Seen::default(), (NetworkBusy, TRUNK, false), "local-no-reply");
}

#[test]
fn who_declined_a_call_is_told_by_the_location_and_the_text() {
    let declined = |reason: &str, rang| {
        let response = FinalResponse::new(603, "Decline").with_reason(reason);
        Seen { response: Some(response), rang, local: None }
    };
    assert_means(&declined("Q.850;cause=21;location=U", false), (CallRejected, CALLEE, true), "q850-21-user");
    assert_means(&declined("Q.850;cause=21;location=LN", false), (OperatorBlock, CALLER, true), "sip-603");
    let analysed = "Q.850;cause=21;location=U;text=\"v=analytics1;url=https://example.com\"";
    assert_means(&declined(analysed, true), (OperatorBlock, CALLER, true), "q850-21-blocked");
    let response = Some(FinalResponse::new(603, "Network Blocked"));
    assert_means(&Seen { response, rang: true, local: None }, (OperatorBlock, CALLER, true), "sip-603-blocked");
}

fn rule(name: &str) -> Override {
    Override {
        name: name.to_owned(),
        status: Vec::new(),
        text: Vec::new(),
        q850: Vec::new(),
        rang: None,
        result: InvalidNumber,
        scope: CALLEE,
        counted: true,
        slow_down: false,
    }
}

#[test]
fn a_trunks_own_rules_come_before_causes_and_statuses() {
    let limit = Override {
        status: vec![403..=403, 500..=599],
        text: vec!["D35".to_owned(), "Limit".to_owned()],
        result: NetworkBusy,
        scope: TRUNK,
        counted: false,
        slow_down: true,
        ..rule("limit")
    };
    let silent = Override { q850: vec![17], rang: Some(false), result: Unavailable, ..rule("silent") };
    let rules = [limit, silent, Override { status: vec![403..=403], ..rule("no such number") }];
    let with = |seen: &Seen, reason: &str, warning: &str| {
        let response = seen.response.clone().unwrap().with_warning(warning);
        let response = FinalResponse { reason: reason.to_owned(), ..response };
        classify(&Seen { response: Some(response), ..seen.clone() }, &rules)
    };
    let by_warning = with(&seen(403, None, false), "Forbidden", "399 h \"channel limit reached\"");
    assert_eq!((by_warning.result, by_warning.rule.as_ref()), (NetworkBusy, "trunk:limit"));
    assert_eq!((by_warning.counted, by_warning.trunk), (false, TrunkState::Overloaded));
    assert_eq!(with(&seen(503, Some(17), false), "CPS LIMIT", "").rule, "trunk:limit");
    assert_eq!(with(&seen(503, Some(17), false), "Service Unavailable", "").rule, "trunk:silent");
    assert_eq!(with(&seen(503, Some(17), true), "Service Unavailable", "").rule, "q850-17");
    assert_eq!(with(&seen(403, None, true), "Forbidden", "").rule, "trunk:no such number");
    let everything = [rule("everything")];
    assert_eq!(classify(&local(LocalCause::RingTimeout, true), &everything).rule, "local-ring-timeout-rang");
    assert_eq!(classify(&seen(200, None, true), &everything).rule, "sip-200");
    assert_eq!(classify(&seen(699, None, true), &everything).rule, "trunk:everything");
}

#[test]
fn only_a_trunk_asks_to_be_left_alone_and_not_for_ever() {
    let after = |status, header: &str| {
        let response = FinalResponse::new(status, "").with_retry_after(header);
        classify(&Seen { response: Some(response), ..Seen::default() }, &[]).retry_after.map(|time| time.as_secs())
    };
    assert_eq!((after(503, "18"), after(500, "7 (busy)"), after(503, "")), (Some(18), Some(7), None));
    assert_eq!(after(503, "999999999"), Some(3_600));
    assert_eq!(after(486, "18"), None);
}

#[test]
fn the_evidence_has_what_was_seen_and_what_decided() {
    let evidence = |seen: &Seen| seen.evidence(&classify(seen, &[]));
    let busy = evidence(&seen(486, Some(17), false));
    assert_eq!((busy.status, busy.q850, busy.rule.as_str()), (486, Some(17), "q850-17"));
    let status = |cause| evidence(&local(cause, false)).status;
    assert_eq!((status(LocalCause::RingTimeout), status(LocalCause::NoReply)), (487, 408));
    assert_eq!(status(LocalCause::Unreachable), 503);
}

proptest! {
    #[test]
    fn every_end_means_something(
        status in any::<u16>(), causes in prop::collection::vec(any::<u16>(), 0..3), rang in any::<bool>(),
        by_user in any::<bool>(), cause in 0..12_usize, reason in "\\PC{0,20}",
    ) {
        use LocalCause::*;
        let all = [RingTimeout, Stopped, NoReply, Unreachable, AuthenticationFailed, AgentFailed, MediaMismatch];
        let causes = causes.into_iter().map(|code| Cause { code: code % 130, by_user }).collect();
        for status in [status, 300 + status % 400] {
            let response = FinalResponse { causes: Vec::clone(&causes), ..FinalResponse::new(status, reason.clone()) };
            let seen = Seen { local: all.get(cause).copied(), response: Some(response), rang };
            let decided = classify(&seen, &[]);
            let counted_all_the_same = [CallResult::AgentFailed, UnknownOutcome].contains(&decided.result);
            if matches!(decided.scope, Scope::Trunk | Scope::Local) && !counted_all_the_same {
                prop_assert!(!decided.counted, "{decided:?}");
            }
            if !decided.counted {
                prop_assert!([NetworkBusy, Others, Cancel].contains(&decided.result), "{decided:?}");
            }
            prop_assert_eq!(seen.evidence(&decided).rule, decided.rule.into_owned());
        }
    }
}
