//! Counting errors.

use crate::{
    budget::{MAX_KEY_CHARS, Spent, normalise},
    ending::Reason,
    packet::ErrorBudget,
};

fn budget(total: u32, repeats: u32, violations: u32) -> ErrorBudget {
    ErrorBudget { max_total_errors: total, max_same_error_repeats: repeats, max_procedure_violations: violations }
}

/// What the last of several errors leads to; none of the others may lead to anything.
fn last(budget: &ErrorBudget, errors: &[(&str, &str)]) -> Option<Reason> {
    let mut spent = Spent::default();
    let mut reason = None;
    for (kind, message) in errors {
        assert_eq!(reason, None, "before {kind} {message}");
        (spent, reason) = spent.charge_error(budget, kind, message);
    }
    assert_eq!(spent.total as usize, errors.len());
    assert_eq!(spent.repeats.values().sum::<u32>(), spent.total);
    reason
}

#[test]
fn a_count_that_reaches_its_limit_revokes_at_once() {
    let (a, b, c) = (("A", "x"), ("A", "y"), ("B", "x"));
    for (limits, errors, reason) in [
        (budget(8, 2, 1), &[a][..], None),
        (budget(8, 2, 1), &[a, a], Some(Reason::RepeatedError)),
        (budget(8, 2, 1), &[a, b, c], None),
        (budget(8, 2, 1), &[a, b, c, b], Some(Reason::RepeatedError)),
        (budget(3, 2, 1), &[a, b, c], Some(Reason::ErrorBudgetExceeded)),
        (budget(1, 2, 1), &[a], Some(Reason::ErrorBudgetExceeded)),
        (budget(8, 1, 1), &[a], Some(Reason::RepeatedError)),
        (budget(8, 3, 1), &[a, a, b, a], Some(Reason::RepeatedError)),
        // Both at once: the repeated error says more.
        (budget(2, 2, 1), &[a, a], Some(Reason::RepeatedError)),
        (budget(1, 1, 1), &[a], Some(Reason::RepeatedError)),
    ] {
        assert_eq!(last(&limits, errors), reason, "{limits:?} {errors:?}");
    }
}

#[test]
fn violations_are_counted_apart() {
    let (spent, reason) = Spent::default().charge_violation(&budget(1, 1, 2));
    assert_eq!((spent.violations, spent.total, reason), (1, 0, None));
    let (spent, reason) = spent.charge_violation(&budget(1, 1, 2));
    assert_eq!((spent.violations, spent.total, reason), (2, 0, Some(Reason::ProcedureViolation)));
    assert_eq!(Spent::default().charge_violation(&ErrorBudget::default()).1, Some(Reason::ProcedureViolation));
}

#[test]
fn what_changes_from_one_occurrence_to_the_next_is_left_out() {
    for (message, normal) in [
        ("No answer after 31 s", "no answer after # s"),
        ("a  \n\t b", "a b"),
        ("act_01KAHW5V8NQ4Z0M7C2R9T3XBYD failed", "act_# failed"),
        ("act_0 failed", "act_# failed"),
        ("commit deadbeefcafe, not 0xDEAD or facade", "commit #, not # or facade"),
        ("id 6fa459ea-ee8a-3ca4-894e-db77e160355e.", "id #."),
        ("cannot open '/a/b c.md': no", "cannot open '#': no"),
        ("can't open \"x/y\", isn't there", "can't open \"#\", isn't there"),
        ("`fs.write` on `/reports/a.md` is outside", "`fs.write` on `#` is outside"),
        ("'a' is not 'b'", "'a' is not 'b'"),
        ("line3col14", "line#col#"),
        ("größe ١٢", "größe #"),
        ("unclosed '/a", "unclosed '/a"),
        ("", ""),
    ] {
        assert_eq!(normalise(message), normal, "{message}");
        assert_eq!(normalise(normal), normal, "once is enough");
    }
}

#[test]
fn keys_are_bounded_and_cannot_be_mixed_up() {
    let limits = budget(100, 2, 1);
    let long = "x ".repeat(100_000);
    let (spent, _) = Spent::default().charge_error(&limits, &long, &long);
    assert!(spent.repeats.keys().all(|key| key.chars().count() <= MAX_KEY_CHARS));
    assert_eq!(last(&limits, &[("a: b", "c"), ("a", "b: c")]), None, "a type cannot be continued by a message");
    assert_eq!(last(&limits, &[("TIMEOUT", "31 s"), ("TIMEOUT", "204 S")]), Some(Reason::RepeatedError));
    assert_eq!(last(&limits, &[("TIMEOUT", "x"), ("timeout", "x")]), None, "types are as they are written");
}
