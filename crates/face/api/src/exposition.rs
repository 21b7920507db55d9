//! Prometheus' text format 0.0.4: families of samples, each with its help and type, written in order.
//!
//! Deliberately absent: a registry. Figures are computed when they are asked for (law 8), so that there is nothing to keep.

use std::fmt::{Display, Write as _};

/// What the format is called in `Content-Type`.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows, while the process or the store lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Classes with those below them, a sum and a count.
    Histogram,
}

/// The text as it grows.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
    family: String,
}

impl Exposition {
    /// Begins a family. Its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) -> &mut Self {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        name.clone_into(&mut self.family);
        self
    }

    /// A sample of the family.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let name = self.family.clone();
        self.named(&name, labels, value)
    }

    /// A family with one sample.
    pub(crate) fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// A histogram: the upper ends of its classes with what is in each and those below, all, and their sum.
    pub(crate) fn histogram(&mut self, classes: &[(f64, u64)], count: u64, sum: f64) {
        let name = self.family.clone();
        let bucket = format!("{name}_bucket");
        for (end, within) in classes {
            self.named(&bucket, &[("le", &end.to_string())], within);
        }
        self.named(&bucket, &[("le", "+Inf")], count);
        self.named(&format!("{name}_sum"), &[], sum);
        self.named(&format!("{name}_count"), &[], count);
    }

    fn named(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.text.push_str(name);
        for (n, (label, said)) in labels.iter().enumerate() {
            let said = said.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{said}\"", if n == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
        self
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Kind};

    #[test]
    fn it_is_written_as_the_format_has_it() {
        let mut text = Exposition::default();
        text.family("a_total", Kind::Counter, "Back\\slash\nand line.")
            .sample(&[("x", "q\"\\\n"), ("y", "ä")], 3)
            .sample(&[("x", ""), ("y", "")], 0);
        text.one("b", Kind::Gauge, "One.", 0.5);
        text.family("c_seconds", Kind::Histogram, "Classes.").histogram(&[(0.25, 1), (1.0, 3)], 4, 7.5);
        let expected = "# HELP a_total Back\\\\slash\\nand line.\n# TYPE a_total counter\n\
            a_total{x=\"q\\\"\\\\\\n\",y=\"ä\"} 3\na_total{x=\"\",y=\"\"} 0\n\
            # HELP b One.\n# TYPE b gauge\nb 0.5\n\
            # HELP c_seconds Classes.\n# TYPE c_seconds histogram\n\
            c_seconds_bucket{le=\"0.25\"} 1\nc_seconds_bucket{le=\"1\"} 3\nc_seconds_bucket{le=\"+Inf\"} 4\n\
            c_seconds_sum 7.5\nc_seconds_count 4\n";
        assert_eq!(text.finish(), expected);
    }
}
