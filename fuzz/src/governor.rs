//! Packets, templates, patterns and plans: what people and agents write for a run.

use steward_governor::{Mistake, Packet, Pattern, Plan, Template};
use steward_naming::Namespace;
use steward_permit::ActionName;
use steward_seal::json::{self, Limits};

use crate::is_printable_on_lines;

fn home() -> Namespace {
    "acme.internal".parse().expect("a namespace")
}

fn refused(mistakes: &[Mistake], text: &[u8]) -> bool {
    assert!(!mistakes.is_empty(), "a refusal has a reason");
    let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
    for mistake in mistakes {
        is_printable_on_lines(mistake);
        assert!(mistake.line <= lines, "{mistake} is beyond the text");
    }
    false
}

/// A packet is read back from its canonical form as itself.
pub(crate) fn packet(bytes: &[u8]) -> bool {
    match Packet::read(bytes, &home()) {
        Err(mistakes) => refused(&mistakes, bytes),
        Ok(packet) => {
            let again = Packet::read(&packet.canonical(), &home()).expect("its canonical form is a packet");
            assert_eq!(again, packet);
            true
        }
    }
}

/// A template too; and whatever it is filled with, it gives a packet or says why not.
pub(crate) fn packet_template(bytes: &[u8]) -> bool {
    match Template::read(bytes, &home()) {
        Err(mistakes) => refused(&mistakes, bytes),
        Ok(template) => {
            let again = Template::read(&template.canonical(), &home()).expect("its canonical form is a template");
            assert_eq!(again.canonical(), template.canonical());
            let agent = "scribe.acme.internal".parse().expect("a name");
            let (task, now) = ("weekly".parse().expect("a label"), steward_clock::Timestamp::from_unix_ms(0));
            if let Err(mistakes) = template.fill(agent, task, "{task} \"and\" {objective}", "olivia", now) {
                mistakes.iter().for_each(is_printable_on_lines);
            }
            true
        }
    }
}

/// A pattern covers itself, is written in one spelling, and asking it anything ends.
pub(crate) fn pattern(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match text.parse::<Pattern>() {
        Err(refused) => {
            is_printable_on_lines(&refused);
            false
        }
        Ok(pattern) => {
            assert!(pattern.covers(&pattern), "{pattern} covers itself");
            let again: Pattern = pattern.to_string().parse().expect("its own spelling is a pattern");
            assert_eq!(again.to_string(), pattern.to_string());
            let write = ActionName::parse("fs.write").expect("an action");
            let _ = pattern.matches(&write, text);
            true
        }
    }
}

/// A plan is read back from its canonical form as itself.
pub(crate) fn plan(bytes: &[u8]) -> bool {
    let Ok(value) = json::value(bytes, Limits::BODY) else { return false };
    match Plan::read(&value) {
        Err(mistakes) => {
            mistakes.iter().for_each(is_printable_on_lines);
            false
        }
        Ok(plan) => {
            let again = json::value(&plan.canonical(), Limits::BODY).expect("it is strict JSON");
            assert_eq!(Plan::read(&again).expect("its canonical form is a plan"), plan);
            true
        }
    }
}
