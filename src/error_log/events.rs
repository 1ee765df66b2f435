//! What packages report through `tracing`, as lines of the error log.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry,
};

use super::{Level, enabled, write};

/// Writes the events of all packages to the log of the process from now on.
pub fn route_events() {
    // A second call finds the first one's route in place.
    let _ = tracing::subscriber::set_global_default(registry().with(ErrorLog));
}

/// The route itself.
struct ErrorLog;

impl<S: Subscriber> Layer<S> for ErrorLog {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        enabled(level(*metadata.level()))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        write(level(*event.metadata().level()), format_args!("{}", text.0));
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
    }
}

/// The message, then the fields as `, name: value`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A string takes all that is written.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, ", {name}: {value:?}"),
        };
    }
}
