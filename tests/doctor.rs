//! `posthorn doctor` and `posthorn token --stack`, with an `aws` that answers from files: what is
//! broken in the account is found and named, and what is well is not complained of.
//!
//! The event's trip through a stack is checked on an emulated account by `.ci/stack`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// Answers with the file that is named by service, operation and whatever is asked about.
const AWS: &str = r#"#!/bin/sh
case "$4" in --*) about= ;; *) about=.${4##*/} ;; esac
case "$2" in describe-alarms|get-account-settings) about= ;; esac
file="$ANSWERS/$1.$2$about.json"
[ -f "$file" ] || { echo "An error occurred (AccessDenied) when calling $2" >&2; exit 254; }
cat "$file"
"#;

#[test]
fn a_stack_that_is_well_is_said_to_be() {
    let account = Account::new("well");
    let (said, ran) = account.examine();
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("all 28 checks of the stack p are well"), "{said}");
    assert!(!said.contains("WRONG") && !said.contains("note"), "{said}");
}

#[test]
fn each_thing_that_is_broken_is_named_with_what_to_do() {
    let mapping = "/EventSourceMappings/1";
    let cases: [(&str, &str, Value, &str); 16] = [
        (
            "cloudformation.describe-stacks.p",
            "/Stacks/0/StackStatus",
            json!("UPDATE_ROLLBACK_COMPLETE"),
            "stack: UPDATE_ROLLBACK",
        ),
        (
            "lambda.get-function-configuration.ReceiveFunction",
            "/State",
            json!("Failed"),
            "ReceiveFunction: Failed",
        ),
        (
            "lambda.get-function-configuration.AdminFunction",
            "/LastUpdateStatus",
            json!("Failed"),
            "last update Failed",
        ),
        (
            "lambda.get-function-configuration.DispatchFunction",
            "/Environment/Variables/POSTHORN_TABLE",
            json!("other"),
            "DispatchFunction: works on the table \"other\"",
        ),
        (
            "lambda.list-event-source-mappings.DispatchFunction",
            mapping,
            Value::Null,
            "RetriesQueue to dispatch: nothing takes",
        ),
        (
            "lambda.list-event-source-mappings.DispatchFunction",
            "/EventSourceMappings/0/State",
            json!("Disabled"),
            "DeliveriesQueue to dispatch: the trigger is Disabled",
        ),
        (
            "lambda.list-event-source-mappings.DispatchFunction",
            "/EventSourceMappings/1/FunctionResponseTypes",
            json!([]),
            "repeats a whole batch",
        ),
        (
            "sqs.get-queue-attributes.RetriesQueue",
            "/Attributes/RedrivePolicy",
            json!("{}"),
            "queue RetriesQueue: its dead records go to \"\"",
        ),
        (
            "dynamodb.describe-table.Table",
            "/Table/TableStatus",
            json!("INACCESSIBLE_ENCRYPTION_CREDENTIALS"),
            "table Table: INACCESSIBLE",
        ),
        (
            "dynamodb.describe-table.Table",
            "/Table/GlobalSecondaryIndexes/1/IndexName",
            json!("late"),
            "index due: missing",
        ),
        (
            "dynamodb.describe-table.Table",
            "/Table/GlobalSecondaryIndexes/0/IndexStatus",
            json!("CREATING"),
            "index by_time: CREATING",
        ),
        (
            "dynamodb.describe-time-to-live.Table",
            "/TimeToLiveDescription/TimeToLiveStatus",
            json!("DISABLED"),
            "time to live DISABLED",
        ),
        (
            "dynamodb.describe-table.Table",
            "/Table/DeletionProtectionEnabled",
            json!(false),
            "cannot be deleted by mistake: deletion protection: false",
        ),
        (
            "dynamodb.describe-continuous-backups.Table",
            "/ContinuousBackupsDescription/PointInTimeRecoveryDescription/PointInTimeRecoveryStatus",
            json!("DISABLED"),
            "point-in-time recovery: DISABLED",
        ),
        (
            "scheduler.get-schedule.RetryFunctionEveryMinute2",
            "/State",
            json!("DISABLED"),
            "schedule RetryFunctionEveryMinute2: DISABLED",
        ),
        (
            "cloudwatch.describe-alarms",
            "/MetricAlarms/0/AlarmName",
            json!("SweepAlarm"),
            "alarm SweepAlarm: nothing has swept",
        ),
    ];
    for (number, (file, place, value, finding)) in cases.into_iter().enumerate() {
        let account = Account::new(&format!("broken-{number}"));
        account.change(file, place, value);
        let (said, ran) = account.examine();
        assert!(!ran.status.success(), "{finding}: {said}");
        let wrong: Vec<&str> = said.lines().filter(|line| line.starts_with("WRONG")).collect();
        assert!(wrong.len() == 1 && wrong[0].contains(finding), "{finding}: {said}");
        assert!(said.contains("\n       do: "), "{said}");
    }
}

#[test]
fn a_part_that_is_missing_or_may_not_be_looked_at_does_not_hide_the_others() {
    let account = Account::new("missing");
    account.change("cloudformation.describe-stack-resources.p", "/StackResources/0", Value::Null);
    std::fs::remove_file(account.file("dynamodb.describe-table.Table")).unwrap();
    let (said, _) = account.examine();
    assert!(said.contains("WRONG  ReceiveFunction: is not in the stack"), "{said}");
    assert!(said.contains("WRONG  Table: An error occurred (AccessDenied)"), "{said}");
    assert!(said.contains("ok     schedule RetryFunctionEveryMinute3"), "{said}");
    let complaint = String::from_utf8(account.run(&["doctor", "--stack", "q", "--no-trip"]).stderr);
    assert!(complaint.unwrap().contains("the stack q: An error occurred"));
}

#[test]
fn dead_letters_are_worth_a_note_and_no_alarm() {
    let account = Account::new("dead");
    let dead = "sqs.get-queue-attributes.DeliveriesDlq";
    account.change(dead, "/Attributes/ApproximateNumberOfMessages", json!("3"));
    let (said, ran) = account.examine();
    assert!(
        ran.status.success() && said.contains("note   dead letters DeliveriesDlq: 3"),
        "{said}"
    );
}

#[test]
fn an_account_that_allows_less_than_the_stack_asks_for_is_worth_a_note() {
    let cases: [(&str, &str, Value, &str); 3] = [
        (
            "lambda.get-account-settings",
            "/AccountLimit/UnreservedConcurrentExecutions",
            json!(10),
            "note   concurrency of the account: 10 of 1000",
        ),
        (
            "service-quotas.list-service-quotas.apigateway",
            "/Quotas/0/Value",
            json!(500),
            "note   quota Throttle rate of apigateway: 500, less than RequestsPerSecond (1000)",
        ),
        (
            "service-quotas.list-service-quotas.dynamodb",
            "/Quotas/0/QuotaName",
            json!("another"),
            "note   quota Table-level write throughput limit of dynamodb: cannot be read",
        ),
    ];
    for (number, (file, place, value, finding)) in cases.into_iter().enumerate() {
        let account = Account::new(&format!("quota-{number}"));
        account.change(file, place, value);
        let (said, ran) = account.examine();
        assert!(ran.status.success() && said.contains(finding), "{finding}: {said}");
    }
}

#[test]
fn a_stack_that_keeps_no_concurrency_for_receive_is_worth_a_note() {
    let account = Account::new("reserve");
    let (said, _) = account.examine();
    assert!(said.contains("ok     concurrency of receive: 100 are kept for it"), "{said}");
    let parameter = "/Stacks/0/Parameters/3/ParameterValue";
    account.change("cloudformation.describe-stacks.p", parameter, json!("0"));
    let (said, ran) = account.examine();
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("note   concurrency of receive: none is kept for it"), "{said}");
    assert!(said.contains("Deploy with ReceiveReservedConcurrency=100"), "{said}");
}

#[test]
fn pollers_that_are_always_ready_may_take_ten_functions_each() {
    let account = Account::new("pollers");
    let parameters = "/Stacks/0/Parameters";
    let parameter = |key: &str, value: &str| json!({"ParameterKey": key, "ParameterValue": value});
    let set = |pollers: &str, most: &str| {
        let all = json!([
            parameter("Organisation", ORGANISATION),
            parameter("DeliveriesConcurrency", "200"),
            parameter("RetriesConcurrency", "200"),
            parameter("ReceiveReservedConcurrency", "100"),
            parameter("ProvisionedPollers", pollers),
            parameter("MostProvisionedPollers", most),
        ]);
        account.change("cloudformation.describe-stacks.p", parameters, all);
        account.examine().0
    };
    for (pollers, most, finding) in [
        (
            "0",
            "90",
            "ok     concurrency of the account: 900 of 1000 are not reserved, dispatch may take 400",
        ),
        (
            "2",
            "20",
            "ok     concurrency of the account: 900 of 1000 are not reserved, dispatch may take 400",
        ),
        (
            "2",
            "90",
            "note   concurrency of the account: 900 of 1000 are not reserved; dispatch may take 1100",
        ),
    ] {
        let said = set(pollers, most);
        assert!(said.contains(finding), "{pollers}, {most}: {said}");
        let lower = said.contains("lower MostProvisionedPollers and RetriesConcurrency");
        assert_eq!(lower, finding.starts_with("note"), "{said}");
    }
}

#[test]
fn alarms_that_nobody_hears_are_worth_a_note() {
    let heard = "ok     who is told of alarms: a@b.example";
    let subscriptions = "sns.list-subscriptions-by-topic.AlarmTopic";
    let account = Account::new("heard");
    assert!(account.examine().0.contains(heard));
    account.change(subscriptions, "/Subscriptions/0/SubscriptionArn", json!("PendingConfirmation"));
    let finding = "note   who is told of alarms: nobody yet: a@b.example has not confirmed";
    let (said, ran) = account.examine();
    assert!(ran.status.success() && said.contains(finding), "{said}");
    // One of several that hears them is enough.
    let other = json!({"SubscriptionArn": "arn", "Endpoint": "https://pager.example"});
    let pending = json!({"SubscriptionArn": "PendingConfirmation", "Endpoint": "a@b.example"});
    account.change(subscriptions, "/Subscriptions", json!([pending, other]));
    assert!(account.examine().0.contains("ok     who is told of alarms: https://pager.example"));
    account.change(subscriptions, "/Subscriptions", json!([]));
    let said = account.examine().0;
    assert!(said.contains("note   who is told of alarms: nobody: nothing is subscribed"), "{said}");
    std::fs::remove_file(account.file(subscriptions)).unwrap();
    let said = account.examine().0;
    assert!(said.contains("note   who is told of alarms: cannot be read: An error"), "{said}");
    // The stack was deployed without AlarmEmail.
    let topic = "/StackResources/14";
    account.change("cloudformation.describe-stack-resources.p", topic, Value::Null);
    let (said, ran) = account.examine();
    let finding = "note   who is told of alarms: nobody: deploy with AlarmEmail";
    assert!(ran.status.success() && said.contains(finding), "{said}");
}

#[test]
fn the_token_of_a_stack_is_made_of_its_secret_for_its_organisation() {
    use shared::domain::clock::Ambient;
    use shared::domain::secret::RootSecret;
    use shared::domain::token::{Access, Tokens};

    let account = Account::new("token");
    let token = |options: &[&str]| {
        let ran = account.run(&[&["token", "--stack", "p"], options].concat());
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    let tokens = Tokens::new(&RootSecret::new(SECRET).unwrap().token_key());
    let now = Ambient::system().now();
    let org = ORGANISATION.parse().unwrap();
    assert_eq!(tokens.open(&token(&[]), now).unwrap(), Access::Organisation(org));
    let app = "app_2xmplWq7RbT4nKc9LsVd1HgYz3F";
    let access = tokens.open(&token(&["--app", app]), now).unwrap();
    assert_eq!(access, Access::Application(org, app.parse().unwrap()));
}

const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr";
const ORGANISATION: &str = "org_2xmplWs9TdV6pMe1NuXf3JiAb5H";

/// An account in a directory of files.
struct Account {
    directory: PathBuf,
}

impl Account {
    /// One in which everything is well.
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doctor").join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let aws = directory.join("aws");
        std::fs::write(&aws, AWS).unwrap();
        std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).unwrap();
        let account = Self { directory };
        account.fill();
        account
    }

    fn fill(&self) {
        let parts = [
            "ReceiveFunction",
            "DispatchFunction",
            "RetryFunction",
            "AdminFunction",
            "Table",
            "DeliveriesQueue",
            "DeliveriesDlq",
            "RetriesQueue",
            "RetriesDlq",
            "RetryFunctionEveryMinute",
            "RetryFunctionEveryMinute1",
            "RetryFunctionEveryMinute2",
            "RetryFunctionEveryMinute3",
            "SweepAlarm",
            "AlarmTopic",
        ];
        let output = |key: &str, value: &str| json!({"OutputKey": key, "OutputValue": value});
        let parameter =
            |key: &str, value: &str| json!({"ParameterKey": key, "ParameterValue": value});
        self.put(
            "cloudformation.describe-stacks.p",
            json!({"Stacks": [{
                "StackStatus": "UPDATE_COMPLETE",
                "Outputs": [output("RootSecretArn", "root"), output("ApiUrl", "http://127.0.0.1:9"),
                    output("TableName", "Table")],
                "Parameters": [
                    parameter("Organisation", ORGANISATION),
                    parameter("DeliveriesConcurrency", "200"),
                    parameter("RetriesConcurrency", "200"),
                    parameter("ReceiveReservedConcurrency", "100"),
                    parameter("RequestsPerSecond", "1000"),
                    parameter("RequestBurst", "1000"),
                    parameter("WarmWriteUnits", "0"),
                ],
            }]}),
        );
        let resources = parts.map(|part| {
            let is_queue = part.ends_with("Queue") || part.ends_with("Dlq");
            let url = if is_queue { "http://sqs/1/" } else { "" };
            json!({"LogicalResourceId": part, "PhysicalResourceId": format!("{url}{part}")})
        });
        self.put("cloudformation.describe-stack-resources.p", json!({"StackResources": resources}));
        for function in &parts[..4] {
            self.put(
                &format!("lambda.get-function-configuration.{function}"),
                json!({
                    "State": "Active", "LastUpdateStatus": "Successful", "MemorySize": 256,
                    "Environment": {"Variables": {"POSTHORN_TABLE": "Table"}},
                }),
            );
        }
        let mapping = |queue: &str| {
            json!({
                "EventSourceArn": format!("arn:aws:sqs:us-east-1:1:{queue}"), "State": "Enabled",
                "BatchSize": 10, "FunctionResponseTypes": ["ReportBatchItemFailures"],
            })
        };
        self.put(
            "lambda.list-event-source-mappings.DispatchFunction",
            json!({
                "EventSourceMappings": [mapping("DeliveriesQueue"), mapping("RetriesQueue")],
            }),
        );
        for (queue, dead) in [("DeliveriesQueue", "DeliveriesDlq"), ("RetriesQueue", "RetriesDlq")]
        {
            let arn = format!("arn:aws:sqs:us-east-1:1:{dead}");
            let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 5}).to_string();
            let counts = json!({"ApproximateNumberOfMessages": "0",
                "ApproximateNumberOfMessagesNotVisible": "0", "RedrivePolicy": policy});
            for queue in [queue, dead] {
                self.put(
                    &format!("sqs.get-queue-attributes.{queue}"),
                    json!({"Attributes": counts}),
                );
            }
        }
        let index = |name: &str| json!({"IndexName": name, "IndexStatus": "ACTIVE"});
        self.put(
            "dynamodb.describe-table.Table",
            json!({"Table": {
                "TableStatus": "ACTIVE", "DeletionProtectionEnabled": true,
                "GlobalSecondaryIndexes": [index("by_time"), index("due")],
            }}),
        );
        self.put(
            "dynamodb.describe-time-to-live.Table",
            json!({"TimeToLiveDescription": {
                "TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at",
            }}),
        );
        self.put(
            "dynamodb.describe-continuous-backups.Table",
            json!({"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": {
                "PointInTimeRecoveryStatus": "ENABLED",
            }}}),
        );
        self.put(
            "lambda.get-account-settings",
            json!({"AccountLimit": {
                "ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900,
            }}),
        );
        let quota = |name: &str, value: f64| json!({"QuotaName": name, "Value": value});
        self.put(
            "service-quotas.list-service-quotas.apigateway",
            json!({"Quotas": [quota("Throttle rate", 10_000.0), quota("Throttle burst rate", 5_000.0)]}),
        );
        self.put(
            "service-quotas.list-service-quotas.dynamodb",
            json!({"Quotas": [quota("Table-level write throughput limit", 40_000.0)]}),
        );
        for number in ["", "1", "2", "3"] {
            self.put(
                &format!("scheduler.get-schedule.RetryFunctionEveryMinute{number}"),
                json!({"State": "ENABLED", "ScheduleExpression": "cron(* * * * ? *)"}),
            );
        }
        self.put(
            "cloudwatch.describe-alarms",
            json!({"MetricAlarms": [
                {"AlarmName": "somebody-else", "AlarmDescription": "nothing has swept"},
            ]}),
        );
        self.put(
            "sns.list-subscriptions-by-topic.AlarmTopic",
            json!({"Subscriptions": [
                {"SubscriptionArn": "arn:aws:sns:us-east-1:1:AlarmTopic:1", "Endpoint": "a@b.example"},
            ]}),
        );
        self.put("secretsmanager.get-secret-value.root", json!({"SecretString": SECRET}));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    fn put(&self, name: &str, answer: Value) {
        std::fs::write(self.file(name), answer.to_string()).unwrap();
    }

    fn change(&self, name: &str, place: &str, value: Value) {
        let read = std::fs::read_to_string(self.file(name)).unwrap();
        let mut answer: Value = serde_json::from_str(&read).unwrap();
        *answer.pointer_mut(place).unwrap_or_else(|| panic!("{name} has no {place}")) = value;
        self.put(name, answer);
    }

    /// What the doctor says of the stack, without an event's trip.
    fn examine(&self) -> (String, Output) {
        let ran = self.run(&["doctor", "--stack", "p", "--no-trip"]);
        (String::from_utf8_lossy(&ran.stdout).into_owned(), ran)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_posthorn"))
            .args(arguments)
            .env("PATH", format!("{}:/usr/bin:/bin", self.directory.display()))
            .env("ANSWERS", &self.directory)
            .env_remove("AWS_ENDPOINT_URL")
            .output()
            .unwrap()
    }
}
