//! Metrics on their way to CloudWatch: in its embedded metric format, a line of JSON on standard
//! output at the end of an invocation that had something to tell. CloudWatch makes metrics of
//! such lines; no call is made and none is paid for, only the line.
//!
//! What Lambda's own log format (`LogFormat: JSON`) does to them: a line that is a JSON object
//! passes as it is, and one without a `level` counts as `INFO` (Lambda's guide, "Log-level
//! filtering"). So an `ApplicationLogLevel` of `WARN` or worse drops the metrics; a test holds
//! the template to `INFO`.
//!
//! What a line has and does not declare (the causes of a sum) is no metric, and can be looked for
//! in the log.
//!
//! There is one dimension, the stage. Each further value of a dimension would be a metric more on
//! the bill.
//!
//! Not guaranteed: the numbers of an invocation that Lambda cuts off. CloudWatch may count a line
//! twice, as it says itself.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::metrics::{Collector, Metric, Readings, Unit};

/// Where CloudWatch keeps them.
pub const NAMESPACE: &str = "Posthorn";
/// The one dimension.
pub const DIMENSION: &str = "Stage";
/// Most values of a metric in a line (embedded metric format, specification).
pub const MAX_VALUES: usize = 100;

/// Writes down what an invocation told.
pub struct Emf {
    collector: Arc<Collector>,
    clock: Arc<dyn Clock>,
    stage: Option<String>,
}

impl Emf {
    /// Lines of this stage; none at all without one.
    pub fn new(collector: Arc<Collector>, clock: Arc<dyn Clock>, stage: Option<String>) -> Self {
        Self { collector, clock, stage }
    }

    /// Writes what was told since the last time.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let readings = self.collector.take();
        let Some(stage) = &self.stage else { return Ok(()) };
        let mut text = String::new();
        for line in lines(&readings, stage, self.clock.now()) {
            text.push_str(&line);
            text.push('\n');
        }
        out.write_all(text.as_bytes())
    }
}

/// One line for all of it, and further ones for durations of which there are too many for one.
pub fn lines(readings: &Readings, stage: &str, at: Timestamp) -> Vec<String> {
    let needed = readings.values().map(|values| values.len().div_ceil(MAX_VALUES)).max();
    (0..needed.unwrap_or(0)).map(|number| line(readings, number, stage, at).to_string()).collect()
}

fn line(readings: &Readings, number: usize, stage: &str, at: Timestamp) -> Value {
    let mut members = Map::new();
    let mut metrics = Vec::new();
    for (metric, values) in readings {
        let Some(values) = values.chunks(MAX_VALUES).nth(number) else { continue };
        if Metric::ALL.contains(metric) {
            metrics.push(json!({ "Name": metric.name(), "Unit": unit(*metric) }));
        }
        let value = if let [one] = values { json!(one) } else { json!(values) };
        members.insert(metric.name(), value);
    }
    members.insert(DIMENSION.to_owned(), json!(stage));
    let directive =
        json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics });
    let metadata = json!({ "Timestamp": at.as_ms(), "CloudWatchMetrics": [directive] });
    members.insert("_aws".to_owned(), metadata);
    Value::Object(members)
}

/// As CloudWatch calls it.
fn unit(metric: Metric) -> &'static str {
    match metric.unit() {
        Unit::Count => "Count",
        Unit::Milliseconds => "Milliseconds",
        Unit::Seconds => "Seconds",
        Unit::Share => "None",
    }
}
