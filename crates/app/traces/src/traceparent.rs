//! `traceparent`, version 00, of W3C Trace Context: the trace of a caller, and the span in it that asked.

use crate::span::{SpanId, TraceId};

/// The trace and the span that a caller named. None of what is not of that form: it was looked at when it came, and is looked at again.
pub(crate) fn parse(text: &str) -> Option<(TraceId, SpanId)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || version != "00" || !is_hex(flags, 2) {
        return None;
    }
    let trace = number(trace, 32).and_then(TraceId::new)?;
    let span = number(span, 16).and_then(|bits| SpanId::new(u64::try_from(bits).ok()?))?;
    Some((trace, span))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn number(text: &str, digits: usize) -> Option<u128> {
    is_hex(text, digits).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::parse;

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(trace in 1_u128.., span in 1_u64.., flags in 0_u8..) {
            let (read, asked) = parse(&format!("00-{trace:032x}-{span:016x}-{flags:02x}")).expect("it is one");
            prop_assert_eq!((read.to_string(), asked.to_string()), (format!("{trace:032x}"), format!("{span:016x}")));
        }

        #[test]
        fn whatever_comes_is_read_or_none(text in "[0-9a-f-]{0,60}|.*") {
            if let Some((trace, span)) = parse(&text) {
                let written = format!("00-{trace}-{span}-");
                prop_assert_eq!(&text[..written.len()], written.as_str());
            }
        }
    }

    #[test]
    fn the_examples_of_the_recommendation() {
        let (trace, span) = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("it is one");
        assert_eq!(
            (trace.to_string().as_str(), span.to_string().as_str()),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
        );
        assert!(
            parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").is_some(),
            "not sampled is recorded all the same"
        );
        for none in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(parse(none).is_none(), "{none}");
        }
    }
}
