//! From the program's events to lines.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, Filtered, filter_fn},
    layer::Context,
    registry::LookupSpan,
};

use crate::{
    line::{Level, Line, component, cut},
    scrub,
    writer::{Logs, Shared},
};

/// Makes lines of events.
pub struct LogLayer(Arc<Shared>);

impl Logs {
    /// The layer that makes lines of what the settings want.
    pub fn layer<S>(&self) -> Filtered<LogLayer, FilterFn<impl Fn(&Metadata<'_>) -> bool + use<S>>, S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let settings = self.shared().settings.clone();
        let wanted = filter_fn(move |metadata: &Metadata<'_>| {
            metadata.is_event() && settings.wants(component(metadata.target()), Level::of(*metadata.level()))
        });
        LogLayer(Arc::clone(self.shared())).with_filter(wanted)
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let metadata = event.metadata();
        let line = Line {
            time: self.0.clock.now().to_string(),
            level: Level::of(*metadata.level()),
            component: component(metadata.target()).to_owned(),
            message: cut(scrub::scrub(&said.message).into_owned()),
            fields: said.fields,
        };
        self.0.hand_in(line);
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn add(&mut self, field: &Field, value: Value) {
        let value = match value {
            Value::String(text) => Value::String(cut(text)),
            other => other,
        };
        self.fields.insert(field.name().to_owned(), scrub::field(field.name(), value));
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field, value.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else if text == "None" {
            // What is not there need not be said.
        } else {
            self.add(field, text.into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
}
