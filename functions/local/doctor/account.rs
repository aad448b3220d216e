//! What AWS says of the stack's parts: functions, what feeds them, queues, table, schedule,
//! secret, alarms.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Report, quotas};
use crate::stack::{Cli, Stack};

const DEPLOY: &str = "deploy the stack again (`sam deploy`): it is not what the template says";
const MAY_NOT: &str = "if it says AccessDenied, ask for that right; else deploy again";
/// The functions, as the template names them.
const FUNCTIONS: [&str; 4] = ["Receive", "Dispatch", "Retry", "Admin"];
/// Each queue and where its dead records go.
const QUEUES: [(&str, &str); 2] =
    [("DeliveriesQueue", "DeliveriesDlq"), ("RetriesQueue", "RetriesDlq")];

/// Looks at every part.
pub(crate) fn examine(stack: &Stack, report: &mut Report) {
    let status = stack.status();
    report.check(
        status.ends_with("_COMPLETE") && !status.contains("ROLLBACK"),
        "stack",
        status,
        "look at the stack's events in CloudFormation, and deploy again",
    );
    let parts = match stack.parts() {
        Ok(parts) => parts,
        Err(why) => {
            return report.wrong("stack", &why, "grant cloudformation:DescribeStackResources");
        }
    };
    let table = match stack.output("TableName") {
        Ok(table) => table.to_owned(),
        Err(why) => return report.wrong("table", &why, DEPLOY),
    };
    let mut examination = Examination { cli: &stack.cli, parts, table, report };
    examination.run();
    quotas::examine(stack, report);
}

/// What wakes the sweep, a quarter of it each.
const SCHEDULES: [&str; 4] = [
    "RetryFunctionEveryMinute",
    "RetryFunctionEveryMinute1",
    "RetryFunctionEveryMinute2",
    "RetryFunctionEveryMinute3",
];

struct Examination<'a> {
    cli: &'a Cli,
    parts: BTreeMap<String, String>,
    /// The table that the stack works on, which need not be its own.
    table: String,
    report: &'a mut Report,
}

impl Examination<'_> {
    fn run(&mut self) {
        for function in FUNCTIONS {
            self.with(&format!("{function}Function"), |this, name| this.function(function, name));
        }
        self.with("DispatchFunction", Self::pollers);
        for (queue, dead) in QUEUES {
            self.with(queue, |this, url| this.queue(url, dead));
            self.with(dead, Self::dead_letters);
        }
        let table = self.table.clone();
        if let Err(why) = self.table(&table).and_then(|()| self.backups(&table)) {
            self.report.wrong("Table", &why, MAY_NOT);
        }
        for part in SCHEDULES {
            self.with(part, Self::schedule);
        }
        self.alarms();
        self.told();
    }

    /// Looks at a part, which must be there.
    fn with(&mut self, part: &str, look: impl FnOnce(&mut Self, &str) -> Result<(), String>) {
        let Some(name) = self.parts.get(part).cloned() else {
            return self.report.wrong(part, "is not in the stack", DEPLOY);
        };
        if let Err(why) = look(self, &name) {
            self.report.wrong(part, &why, MAY_NOT);
        }
    }

    fn function(&mut self, part: &str, name: &str) -> Result<(), String> {
        let found =
            self.cli.ask(&["lambda", "get-function-configuration", "--function-name", name])?;
        let (state, update) = (text(&found["State"]), text(&found["LastUpdateStatus"]));
        let table = text(&found["Environment"]["Variables"]["POSTHORN_TABLE"]);
        let what = format!("function {name}");
        if state != "Active" || update != "Successful" {
            let why = format!(
                "{state}, last update {update}: {} {}",
                text(&found["StateReason"]),
                text(&found["LastUpdateStatusReason"])
            );
            self.report.wrong(&what, &why, "look at its page in the Lambda console; deploy again");
        } else if table != self.table {
            let why = format!("works on the table {table:?}, which is not the stack's");
            self.report.wrong(&what, &why, DEPLOY);
        } else {
            let memory = &found["MemorySize"];
            self.report.well(&what, &format!("{}, {memory} MB", part.to_lowercase()));
        }
        Ok(())
    }

    fn pollers(&mut self, function: &str) -> Result<(), String> {
        let command = ["lambda", "list-event-source-mappings", "--function-name", function];
        let found = self.cli.ask(&command)?;
        let mappings = found["EventSourceMappings"].as_array().cloned().unwrap_or_default();
        for (queue, _) in QUEUES {
            let what = format!("from {queue} to dispatch");
            let name = self.parts.get(queue).map_or("", |url| last(url));
            let mapping = mappings
                .iter()
                .find(|mapping| text(&mapping["EventSourceArn"]).rsplit(':').next() == Some(name));
            let Some(mapping) = mapping else {
                self.report.wrong(&what, "nothing takes its records", DEPLOY);
                continue;
            };
            let state = text(&mapping["State"]);
            let single = mapping["FunctionResponseTypes"][0] == "ReportBatchItemFailures";
            if state != "Enabled" {
                let remedy = "enable the trigger on the dispatch function's page";
                self.report.wrong(&what, &format!("the trigger is {state}"), remedy);
            } else {
                let found = format!("enabled, batches of {}", mapping["BatchSize"]);
                let wrong = format!("{found}, but one failure repeats a whole batch");
                self.report.check(single, &what, if single { &found } else { &wrong }, DEPLOY);
            }
        }
        Ok(())
    }

    fn queue(&mut self, url: &str, dead: &str) -> Result<(), String> {
        let found = self.attributes(url)?;
        let what = format!("queue {}", last(url));
        let policy: Value =
            serde_json::from_str(text(&found["RedrivePolicy"])).unwrap_or(Value::Null);
        let target = text(&policy["deadLetterTargetArn"]).rsplit(':').next().unwrap_or("");
        let wanted = self.parts.get(dead).map_or("", |url| last(url));
        if target != wanted || wanted.is_empty() {
            let why = format!("its dead records go to {target:?} and not to {wanted:?}");
            self.report.wrong(&what, &why, DEPLOY);
            return Ok(());
        }
        let waiting = text(&found["ApproximateNumberOfMessages"]);
        let busy = text(&found["ApproximateNumberOfMessagesNotVisible"]);
        let count = &policy["maxReceiveCount"];
        let found = format!(
            "{waiting} waiting, {busy} in work; dead after {} receives",
            count.as_str().map_or_else(|| count.to_string(), str::to_owned)
        );
        self.report.well(&what, &found);
        Ok(())
    }

    fn dead_letters(&mut self, url: &str) -> Result<(), String> {
        let found = self.attributes(url)?;
        let dead = text(&found["ApproximateNumberOfMessages"]).parse().unwrap_or(0_u64);
        let what = format!("dead letters {}", last(url));
        match dead {
            0 => self.report.well(&what, "none"),
            dead => self.report.note(
                &what,
                &format!(
                    "{dead}; the sweep sends each back once and then parks it (see operator/parked)"
                ),
            ),
        }
        Ok(())
    }

    fn attributes(&self, url: &str) -> Result<Value, String> {
        let command =
            ["sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All"];
        Ok(self.cli.ask(&command)?["Attributes"].take())
    }

    fn table(&mut self, name: &str) -> Result<(), String> {
        let found = self.cli.ask(&["dynamodb", "describe-table", "--table-name", name])?;
        let table = &found["Table"];
        let status = text(&table["TableStatus"]);
        self.report.check(
            matches!(status, "ACTIVE" | "UPDATING"),
            &format!("table {name}"),
            status,
            "wait for it, or restore it from its backup",
        );
        self.report.check(
            table["DeletionProtectionEnabled"] == true,
            "the table cannot be deleted by mistake",
            &format!("deletion protection: {}", table["DeletionProtectionEnabled"]),
            &format!("aws dynamodb update-table --table-name {name} --deletion-protection-enabled"),
        );
        let indexes = table["GlobalSecondaryIndexes"].as_array().cloned().unwrap_or_default();
        for index in ["by_time", "due"] {
            let status = indexes.iter().find(|one| one["IndexName"] == index);
            // Emulated accounts leave the status out: there an index is active once it is there.
            let status =
                status.map_or("missing", |one| one["IndexStatus"].as_str().unwrap_or("ACTIVE"));
            let remedy = "wait until it is built, or deploy again if it is missing";
            self.report.check(status == "ACTIVE", &format!("index {index}"), status, remedy);
        }
        let found = self.cli.ask(&["dynamodb", "describe-time-to-live", "--table-name", name])?;
        let life = &found["TimeToLiveDescription"];
        let (status, by) = (text(&life["TimeToLiveStatus"]), text(&life["AttributeName"]));
        self.report.check(
            matches!(status, "ENABLED" | "ENABLING") && by == "expires_at",
            "what has expired is deleted",
            &format!("time to live {status}"),
            "enable time to live on `expires_at`; until then the table grows",
        );
        Ok(())
    }

    fn backups(&mut self, name: &str) -> Result<(), String> {
        let command = ["dynamodb", "describe-continuous-backups", "--table-name", name];
        let found = self.cli.ask(&command)?;
        let recovery = &found["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
        let status = text(&recovery["PointInTimeRecoveryStatus"]);
        self.report.check(
            status == "ENABLED",
            "the table can be restored to any moment",
            &format!("point-in-time recovery: {status}"),
            &format!(
                "aws dynamodb update-continuous-backups --table-name {name} \
                 --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
            ),
        );
        Ok(())
    }

    fn schedule(&mut self, name: &str) -> Result<(), String> {
        let found = self.cli.ask(&["scheduler", "get-schedule", "--name", last(name)])?;
        let (state, every) = (text(&found["State"]), text(&found["ScheduleExpression"]));
        self.report.check(
            // A rate is what a stack of an older version has.
            state == "ENABLED" && ["cron(* * * * ? *)", "rate(1 minute)"].contains(&every),
            &format!("schedule {}", last(name)),
            &format!("{state}, {every}"),
            "enable it: without it late retries do not come, a quarter of them for each",
        );
        Ok(())
    }

    fn alarms(&mut self) {
        let command = ["cloudwatch", "describe-alarms", "--state-value", "ALARM"];
        let found = match self.cli.ask(&command) {
            Ok(found) => found,
            Err(why) => return self.report.note("alarms", &why),
        };
        let ours: Vec<&String> =
            self.parts.iter().filter(|(part, _)| part.ends_with("Alarm")).map(|(_, n)| n).collect();
        let mut quiet = true;
        for alarm in found["MetricAlarms"].as_array().into_iter().flatten() {
            if ours.iter().any(|name| **name == text(&alarm["AlarmName"])) {
                quiet = false;
                let what = format!("alarm {}", text(&alarm["AlarmName"]));
                let why = text(&alarm["AlarmDescription"]);
                self.report.wrong(&what, why, "the dashboard shows since when");
            }
        }
        if quiet {
            self.report.well("alarms", &format!("none of {} is on", ours.len()));
        }
    }

    /// Whether anybody hears of an alarm. Who looks at CloudWatch does, so none is no fault.
    fn told(&mut self) {
        let what = "who is told of alarms";
        let Some(topic) = self.parts.get("AlarmTopic") else {
            return self.report.note(what, "nobody: deploy with AlarmEmail");
        };
        let command = ["sns", "list-subscriptions-by-topic", "--topic-arn", topic];
        let found = match self.cli.ask(&command) {
            Ok(found) => found,
            Err(why) => return self.report.note(what, &format!("cannot be read: {why}")),
        };
        let all = found["Subscriptions"].as_array().map_or(&[][..], Vec::as_slice);
        // In the place of an ARN SNS says what keeps the subscription from having one.
        let (told, waiting): (Vec<&Value>, Vec<&Value>) =
            all.iter().partition(|one| text(&one["SubscriptionArn"]).starts_with("arn"));
        let names = |of: &[&Value]| {
            of.iter().map(|one| text(&one["Endpoint"])).collect::<Vec<_>>().join(", ")
        };
        match (told.as_slice(), waiting.as_slice()) {
            ([], []) => self.report.note(
                what,
                &format!("nobody: nothing is subscribed to {topic}. `aws sns subscribe` does"),
            ),
            ([], waiting) => self.report.note(
                what,
                &format!(
                    "nobody yet: {} has not confirmed; the link is in a mail of AWS, and `aws sns \
                     subscribe --topic-arn {topic} --protocol email --notification-endpoint MAIL` \
                     sends another",
                    names(waiting)
                ),
            ),
            (told, _) => self.report.well(what, &names(told)),
        }
    }
}

/// The name at the end of a URL or of a path.
fn last(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
