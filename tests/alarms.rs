//! What watches the stack: each alarm rings when something is wrong, and not while all is well.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::metrics::{Metric, Unit};
use shared::lambda::emf;
use shared::store::keys::index;

use crate::cost_counts::operations::{ALARM_METRICS, URL_ALARM_METRICS};
use crate::template::{FUNCTIONS, of_type, properties, template, template_where, text};

/// What CloudWatch gives for free of alarms, by their metrics.
const FREE_ALARM_METRICS: usize = 10;

#[test]
fn one_record_that_is_set_aside_rings_at_once() {
    let alarm = alarm("ParkedAlarm");
    assert_eq!(own(&alarm), (Metric::Parked, "Sum"));
    assert_eq!(rings(&alarm), json!(["GreaterThanThreshold", 0, 1, 1, "notBreaching"]));
}

#[test]
fn more_than_a_hundredth_that_has_to_come_back_rings_within_five_minutes() {
    let alarm = alarm("UndoneAlarm");
    // The average of ones and zeros is a share.
    assert_eq!(own(&alarm), (Metric::Undone, "Average"));
    assert_eq!(Metric::Undone.unit(), Unit::Share);
    assert_eq!(rings(&alarm), json!(["GreaterThanThreshold", 0.01, 3, 5, "notBreaching"]));
}

#[test]
fn dead_letters_ring_though_the_sweep_takes_them_away_within_a_minute() {
    for queue in ["Deliveries", "Retries"] {
        let alarm = alarm(&format!("{queue}DeadAlarm"));
        // How many are there is seen at some moments only; what was received is counted.
        assert_eq!(alarm["MetricName"], "NumberOfMessagesReceived");
        let name = json!({"Fn::GetAtt": [format!("{queue}Dlq"), "QueueName"]});
        assert_eq!(alarm["Dimensions"], json!([{"Name": "QueueName", "Value": name}]));
        assert_eq!(rings(&alarm), json!(["GreaterThanThreshold", 0, 1, 1, "notBreaching"]));
    }
}

#[test]
fn writes_that_are_held_back_ring_whether_by_the_table_or_by_an_index() {
    let indexes = properties(&template(), "Table")["GlobalSecondaryIndexes"].clone();
    let indexes = indexes.as_array().expect("indexes").len();
    let alarms = [
        ("TableThrottleAlarm", None),
        ("ByTimeThrottleAlarm", Some(index::BY_TIME)),
        ("DueThrottleAlarm", Some(index::DUE)),
    ];
    assert_eq!(alarms.len(), 1 + indexes);
    for (name, of_index) in alarms {
        let alarm = alarm(name);
        assert_eq!(alarm["Namespace"], "AWS/DynamoDB");
        // `ThrottledRequests` of one operation sees neither transactions nor indexes.
        assert_eq!(alarm["MetricName"], "WriteThrottleEvents");
        let mut dimensions = vec![json!({"Name": "TableName", "Value": {"Ref": "Table"}})];
        dimensions.extend(
            of_index.map(|index| json!({"Name": "GlobalSecondaryIndexName", "Value": index})),
        );
        assert_eq!(alarm["Dimensions"], json!(dimensions));
        assert_eq!(rings(&alarm), json!(["GreaterThanThreshold", 0, 3, 5, "notBreaching"]));
    }
}

#[test]
fn a_sweep_that_does_not_come_to_its_end_rings_by_its_silence() {
    let alarm = alarm("SweepAlarm");
    // It is told by a sweep that looked everywhere, and by nothing else.
    assert_eq!(own(&alarm), (Metric::SweepLag, "Maximum"));
    assert_eq!(rings(&alarm), json!(["GreaterThanThreshold", 300, 5, 5, "breaching"]));
}

/// The longest delay of a record, in seconds (SQS), and to which queue such are sent.
const DELAYS_S: [(&str, u64); 2] = [("Deliveries", 0), ("Retries", 900)];
/// As old as what waits for the slow endpoints of its own customer may become, in seconds.
const BACKLOG_S: u64 = 1_800;

#[test]
fn records_that_others_keep_waiting_ring_soon_and_all_others_once_nothing_gets_through() {
    let fair = template_where(&["HasGateway", "HasFairQueues"]);
    let together = template_where(&["HasGateway"]);
    let (all, quiet) =
        ("ApproximateAgeOfOldestMessage", "ApproximateAgeOfOldestMessageInQuietGroups");
    for (queue, delay_s) in DELAYS_S {
        let soon = if delay_s == 0 { 120 } else { 300 };
        for (template, name, metric, after_s) in [
            (&fair, "Age", quiet, soon),
            // There SQS does not tell customers apart.
            (&together, "Age", all, soon),
            // Where there are few customers, none of them may count as quiet.
            (&fair, "Backlog", all, BACKLOG_S),
            (&together, "Backlog", all, BACKLOG_S),
        ] {
            let alarm = properties(template, &format!("{queue}{name}Alarm"));
            assert_eq!(alarm["MetricName"], metric);
            let name = json!({"Fn::GetAtt": [format!("{queue}Queue"), "QueueName"]});
            assert_eq!(alarm["Dimensions"], json!([{"Name": "QueueName", "Value": name}]));
            let expected = json!(["GreaterThanThreshold", delay_s + after_s, 3, 3, "notBreaching"]);
            assert_eq!(rings(alarm), expected);
        }
    }
}

#[test]
fn an_error_in_a_thousand_answers_of_the_api_does_not_ring_and_one_of_two_does() {
    let (gateway, receive, admin) = (
        json!({"Name": "ApiId", "Value": {"Ref": "HttpApi"}}),
        json!({"Name": "FunctionName", "Value": {"Ref": "ReceiveFunction"}}),
        json!({"Name": "FunctionName", "Value": {"Ref": "AdminFunction"}}),
    );
    let of_url = ["Url5xxCount", "UrlRequestCount"];
    for (entrance, name, of, metrics) in [
        ("HasGateway", "ApiErrorAlarm", gateway, ["5xx", "Count"]),
        ("HasUrls", "ApiErrorAlarm", receive, of_url),
        ("HasUrls", "AdminErrorAlarm", admin, of_url),
    ] {
        let alarm = properties(&template_where(&[entrance]), name).clone();
        // Where there are few requests a share of all says little, but half of them much.
        let share = "IF(errors > 5 OR 2 * errors >= requests, 100 * errors / requests, 0)";
        assert_eq!(alarm["Metrics"][0]["Expression"], share);
        assert_eq!(rings(&alarm), json!(["GreaterThanThreshold", 1, 3, 5, "notBreaching"]));
        let measured = measured(&alarm);
        let names: Vec<String> =
            measured.iter().map(|metric| text(&metric["MetricName"])).collect();
        assert_eq!(names, metrics);
        assert!(measured.iter().all(|metric| metric["Dimensions"] == json!([of])), "{name}");
    }
    assert_eq!(template()["Resources"]["AdminErrorAlarm"], Value::Null, "the gateway has it");
}

#[test]
fn nothing_rings_for_what_endpoints_do() {
    for name in alarms() {
        let alarm = alarm(&name);
        for metric in measured(&alarm) {
            // A batch with an endpoint that takes its time is as long as that.
            assert_ne!(metric["MetricName"], "Duration", "{name}");
            // And what waits behind it waits for as long, until nothing else can be the reason.
            let age_s = alarm["Threshold"].as_u64().filter(|age_s| *age_s < BACKLOG_S);
            let is_age = metric["MetricName"] == "ApproximateAgeOfOldestMessage";
            assert!(!is_age || age_s.is_none(), "{name}");
            for told in [Metric::Failed, Metric::Exhausted, Metric::Deferred, Metric::Duplicates] {
                assert_ne!(metric["MetricName"], told.name(), "{name}");
            }
        }
    }
}

#[test]
fn every_alarm_says_how_many_points_it_takes_and_tells_who_is_named() {
    let with_mail = template_where(&["HasGateway", "HasUrls", "HasAlarmEmail"]);
    let template = template_where(&["HasGateway", "HasUrls"]);
    for name in of_type(&template, "AWS::CloudWatch::Alarm") {
        let alarm = properties(&template, &name);
        assert!(alarm["DatapointsToAlarm"].is_u64(), "{name}");
        assert_eq!(alarm["AlarmActions"], Value::Null, "{name}: nobody to tell");
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(properties(&with_mail, &name)[actions], json!([{"Ref": "AlarmTopic"}]));
        }
        // What is no metric of ours or of AWS's would be silent for ever.
        for metric in measured(alarm) {
            let space = text(&metric["Namespace"]);
            let ours = space == emf::NAMESPACE
                && Metric::ALL.iter().any(|it| metric["MetricName"] == it.name());
            assert!(ours || space.starts_with("AWS/"), "{name}: {metric}");
        }
    }
}

#[test]
fn the_cost_command_counts_the_metrics_of_all_alarms() {
    for (entrance, besides) in [("HasGateway", 0), ("HasUrls", URL_ALARM_METRICS)] {
        let template = template_where(&[entrance]);
        let alarms = of_type(&template, "AWS::CloudWatch::Alarm");
        let count: usize = alarms.map(|name| measured(properties(&template, &name)).len()).sum();
        assert_eq!(count as u32, ALARM_METRICS + besides);
        assert!(count > FREE_ALARM_METRICS, "the template says what more cost");
    }
}

#[test]
fn queues_functions_api_and_table_are_watched() {
    let template = template();
    let watched: BTreeSet<String> = alarms()
        .iter()
        .flat_map(|name| measured(properties(&template, name)))
        .flat_map(|metric| metric["Dimensions"].as_array().cloned().unwrap_or_default())
        .filter_map(|dimension| {
            let value = &dimension["Value"];
            value["Ref"].as_str().or(value["Fn::GetAtt"][0].as_str()).map(str::to_owned)
        })
        .collect();
    for resource in [
        "DeliveriesQueue",
        "DeliveriesDlq",
        "RetriesQueue",
        "RetriesDlq",
        "ReceiveFunction",
        "DispatchFunction",
        "HttpApi",
        "Table",
    ] {
        assert!(watched.contains(resource), "{resource}");
    }
}

#[test]
fn metrics_are_not_filtered_out_as_too_unimportant() {
    let template = template();
    // Lambda takes a line of metrics for one of level INFO.
    let logging = &template["Globals"]["Function"]["LoggingConfig"];
    assert_eq!(
        (&logging["LogFormat"], &logging["ApplicationLogLevel"]),
        (&json!("JSON"), &json!("INFO"))
    );
    for (name, _) in FUNCTIONS {
        let own = &properties(&template, &format!("{name}Function"))["LoggingConfig"];
        assert_eq!(own["ApplicationLogLevel"], Value::Null, "{name}");
    }
}

#[test]
fn the_dashboard_shows_every_metric_of_our_own() {
    for entrance in ["HasGateway", "HasUrls"] {
        let template = template_where(&[entrance]);
        let body = &properties(&template, "Dashboard")["DashboardBody"]["Fn::Sub"];
        let requests = text(&body[1]["Requests"]["Fn::Sub"]);
        let body = text(&body[0]).replace("${Requests}", &requests);
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let shown: BTreeSet<String> = body["widgets"]
            .as_array()
            .expect("widgets")
            .iter()
            .flat_map(|widget| widget["properties"]["metrics"].as_array().expect("metrics"))
            .filter(|metric| metric[0] == emf::NAMESPACE)
            .map(|metric| {
                assert_eq!((&metric[2], &metric[3]), (&json!(emf::DIMENSION), &json!("${Stage}")));
                text(&metric[1]).to_owned()
            })
            .collect();
        assert_eq!(shown, Metric::ALL.map(Metric::name).into());
    }
}

fn alarms() -> Vec<String> {
    of_type(&template(), "AWS::CloudWatch::Alarm").collect()
}

fn alarm(name: &str) -> Value {
    properties(&template(), name).clone()
}

/// The metrics that an alarm is made of.
fn measured(alarm: &Value) -> Vec<Value> {
    match alarm["Metrics"].as_array() {
        None => vec![alarm.clone()],
        Some(metrics) => metrics
            .iter()
            .map(|metric| metric["MetricStat"]["Metric"].clone())
            .filter(|metric| !metric.is_null())
            .collect(),
    }
}

/// The one metric of ours that an alarm is made of, and the statistic of it.
fn own(alarm: &Value) -> (Metric, &str) {
    assert_eq!(alarm["Namespace"], emf::NAMESPACE);
    assert_eq!(alarm["Dimensions"], json!([{"Name": emf::DIMENSION, "Value": {"Ref": "Stage"}}]));
    let metric = Metric::ALL.into_iter().find(|metric| alarm["MetricName"] == metric.name());
    (metric.expect("a metric"), alarm["Statistic"].as_str().expect("a statistic"))
}

/// When an alarm rings.
fn rings(alarm: &Value) -> Value {
    json!([
        alarm["ComparisonOperator"],
        alarm["Threshold"],
        alarm["DatapointsToAlarm"],
        alarm["EvaluationPeriods"],
        alarm["TreatMissingData"],
    ])
}
