//! The template against the code: what is written in both must be the same in both.
//!
//! Whether CloudFormation accepts the template is `cfn-lint`'s and `sam validate`'s to say.

use std::collections::BTreeSet;

use dispatch::{LEASE_MS, REQUEST_TIMEOUT_MS};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value, json};
use shared::domain::delivery::SWEEP_AHEAD_MS;
use shared::domain::limits::MAX_BATCH_BYTES;
use shared::host::config::variable;
use shared::queue::{MAX_BATCH, MAX_RECEIVES, VISIBILITY_S};
use shared::store::keys::{attribute, index};

use crate::support::dynoxide::table_definition;

/// The functions, as the template names them, and their sources.
pub(crate) const FUNCTIONS: [(&str, &str); 4] = [
    ("Receive", include_str!("../functions/receive/main.rs")),
    ("Dispatch", include_str!("../functions/dispatch/main.rs")),
    ("Retry", include_str!("../functions/retry/main.rs")),
    ("Admin", include_str!("../functions/admin/main.rs")),
];

// Functions.

#[test]
fn every_function_is_given_the_variables_that_its_wiring_asks_for_and_no_others() {
    let asked_for = [
        ("variable::TABLE", variable::TABLE),
        (".stage()", variable::STAGE),
        ("variable::DELIVERIES_QUEUE", variable::DELIVERIES_QUEUE),
        ("variable::RETRIES_QUEUE", variable::RETRIES_QUEUE),
        ("variable::DELIVERIES_DLQ", variable::DELIVERIES_DLQ),
        ("variable::RETRIES_DLQ", variable::RETRIES_DLQ),
        ("variable::ROOT_SECRET_ID", variable::ROOT_SECRET_ID),
        (".fair_queues()", variable::FAIR_QUEUES),
        (".organisation()", variable::ORGANISATION),
        (".profile()", variable::PROFILE),
        (".retention_days()", variable::RETENTION_DAYS),
        (".always_lease()", variable::FIRST_LEASE),
        (".auto_disable()", variable::AUTO_DISABLE),
        (".taken_answer_bytes()", variable::TAKEN_ANSWER_BYTES),
        (".target_policy()", variable::ALLOW_HTTP),
        (".target_policy()", variable::REFUSED_TARGETS),
        (".publish_url()", variable::PUBLISH_URL),
        (".portal_frames()", variable::PORTAL_FRAMES),
        (".portal_link_s()", variable::PORTAL_LINK_DAYS),
        (".max_endpoints()", variable::MAX_ENDPOINTS),
    ];
    let template = template();
    for (name, source) in FUNCTIONS {
        let source = with_wiring(source);
        let needed: BTreeSet<&str> = asked_for
            .iter()
            .filter(|(call, _)| source.contains(call))
            .map(|(_, variable)| *variable)
            .collect();
        assert!(needed.contains(variable::TABLE), "{name} has another wiring than expected");
        assert_eq!(variables(&template, name), needed, "{name}");
    }
}

/// A function's `main.rs`, and what it calls of the wiring.
fn with_wiring(main: &str) -> String {
    let wiring = include_str!("../shared/src/lambda/wiring.rs").replace("pub async fn", "pub fn");
    let called = wiring.split("    pub fn ").skip(1).filter(|method| {
        let (name, _) = method.split_once('(').unwrap();
        main.contains(&format!("wiring.{name}("))
    });
    std::iter::once(main).chain(called).collect()
}

#[test]
fn the_table_of_knobs_says_who_reads_each_variable_that_the_template_sets() {
    let table = include_str!("../shared/src/host/config.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"))
        .filter_map(|row| row.split_once("` | "))
        .filter_map(|(name, rest)| Some((name, rest.split_once(" |")?.0)));
    let (mut rows, template) = (BTreeSet::new(), template());
    for (name, readers) in table {
        rows.insert(name);
        for (function, _) in FUNCTIONS {
            let reads = readers == "all"
                || readers.split(", ").any(|reader| reader == function.to_lowercase());
            let set = variables(&template, function).contains(name);
            assert!(reads || !set, "{name} is set for {function}, which does not read it");
        }
    }
    let set: BTreeSet<&str> =
        FUNCTIONS.iter().flat_map(|(name, _)| variables(&template, name)).collect();
    assert!(set.is_subset(&rows), "{set:?}");
    // What the template does not set is for development.
    let unset: Vec<_> = rows.difference(&set).copied().collect();
    assert_eq!(unset, [variable::ALLOW_LOOPBACK, variable::ROOT_SECRET]);
}

#[test]
fn variables_that_name_a_resource_name_the_right_one() {
    let template = template();
    for (name, _) in FUNCTIONS {
        let set = &properties(&template, &format!("{name}Function"))["Environment"]["Variables"];
        for (variable, resource) in [
            (variable::TABLE, "Table"),
            (variable::STAGE, "Stage"),
            (variable::DELIVERIES_QUEUE, "DeliveriesQueue"),
            (variable::RETRIES_QUEUE, "RetriesQueue"),
            (variable::DELIVERIES_DLQ, "DeliveriesDlq"),
            (variable::RETRIES_DLQ, "RetriesDlq"),
            (variable::ROOT_SECRET_ID, "RootSecret"),
            (variable::FAIR_QUEUES, "FairQueues"),
            (variable::ORGANISATION, "Organisation"),
            (variable::PROFILE, "DefaultProfile"),
            (variable::RETENTION_DAYS, "PayloadRetentionDays"),
            (variable::FIRST_LEASE, "FirstLease"),
            (variable::AUTO_DISABLE, "AutoDisable"),
            (variable::TAKEN_ANSWER_BYTES, "TakenAnswerBytes"),
            (variable::ALLOW_HTTP, "AllowHttp"),
            (variable::PORTAL_FRAMES, "PortalFrames"),
            (variable::REFUSED_TARGETS, "RefusedTargets"),
            (variable::PORTAL_LINK_DAYS, "PortalLinkDays"),
            (variable::MAX_ENDPOINTS, "MaxEndpoints"),
        ] {
            let value = &set[variable];
            assert!(value.is_null() || *value == json!({ "Ref": resource }), "{name}: {value}");
        }
    }
}

#[test]
fn every_function_is_a_rust_binary_for_arm64_from_where_cargo_lambda_puts_it() {
    let template = template();
    let globals = &template["Globals"]["Function"];
    assert_eq!(globals["Runtime"], "provided.al2023");
    assert_eq!(globals["Architectures"], json!(["arm64"]));
    for (name, _) in FUNCTIONS {
        let function = properties(&template, &format!("{name}Function"));
        let directory = format!("target/lambda/{}/", name.to_lowercase());
        assert_eq!(function["CodeUri"], directory, "{name}");
        assert_eq!(
            (&function["Runtime"], &function["Architectures"]),
            (&json!(null), &json!(null))
        );
    }
    let named: BTreeSet<String> = FUNCTIONS.map(|(name, _)| format!("{name}Function")).into();
    let found: BTreeSet<String> = of_type(&template, "AWS::Serverless::Function").collect();
    assert_eq!(found, named);
}

#[test]
fn every_function_logs_to_a_group_of_its_own_that_forgets() {
    let template = template();
    for (name, _) in FUNCTIONS {
        let function = properties(&template, &format!("{name}Function"));
        let group_name = format!("{name}LogGroup");
        assert_eq!(function["LoggingConfig"]["LogGroup"], json!({ "Ref": group_name }));
        let group = properties(&template, &group_name);
        assert_eq!(group["RetentionInDays"], json!({ "Ref": "LogRetentionDays" }), "{name}");
        // Lambda would make a second group, which keeps everything, under any other name.
        let log_name = group["LogGroupName"]["Fn::Sub"].as_str().expect("a name");
        let function_name = function["FunctionName"]["Fn::Sub"].as_str().expect("a name");
        assert_eq!(log_name, format!("/aws/lambda/{function_name}"));
    }
    assert!(template["Parameters"]["LogRetentionDays"]["Default"].is_u64());
}

#[test]
fn dispatch_may_follow_itself_and_nobody_else_needs_to() {
    let template = template();
    for (name, _) in FUNCTIONS {
        let allowed = properties(&template, &format!("{name}Function"))["RecursiveLoop"].clone();
        let expected = if name == "Dispatch" { json!("Allow") } else { Value::Null };
        assert_eq!(allowed, expected, "{name}");
    }
}

// Time.

#[test]
fn a_record_stays_invisible_for_six_times_as_long_as_dispatch_may_run() {
    let template = template();
    let timeout_s = timeout_s(&template, "Dispatch");
    for queue in ["DeliveriesQueue", "RetriesQueue"] {
        let visibility = &properties(&template, queue)["VisibilityTimeout"];
        assert_eq!(*visibility, json!(VISIBILITY_S), "{queue}");
        assert!(u64::from(VISIBILITY_S) >= 6 * timeout_s, "{queue}");
    }
}

#[test]
fn a_lease_outlives_the_dispatch_function_and_ends_before_the_record_comes_again() {
    let timeout_ms = timeout_s(&template(), "Dispatch") * 1000;
    assert!(LEASE_MS >= timeout_ms, "{LEASE_MS} < {timeout_ms}");
    assert!(LEASE_MS < u64::from(VISIBILITY_S) * 1000, "{LEASE_MS}");
}

#[test]
fn dispatch_has_time_for_an_endpoint_that_takes_all_of_its_own() {
    let timeout_ms = timeout_s(&template(), "Dispatch") * 1000;
    assert!(timeout_ms >= 2 * REQUEST_TIMEOUT_MS, "{timeout_ms}");
}

#[test]
fn two_runs_of_retry_hold_neither_the_same_minute_nor_the_same_dead_record() {
    let template = template();
    let timeout_s = timeout_s(&template, "Retry");
    assert!(timeout_s * 1000 < SWEEP_AHEAD_MS, "{timeout_s}");
    for queue in ["DeliveriesDlq", "RetriesDlq"] {
        let visibility_s = properties(&template, queue)["VisibilityTimeout"].as_u64();
        assert!(visibility_s > Some(timeout_s), "{queue}");
    }
}

#[test]
fn admin_has_time_to_check_an_endpoint_that_hangs() {
    /// What a cold start and the rest of the request may take besides.
    const BESIDES_MS: u64 = 3_000;
    let timeout_ms = timeout_s(&template(), "Admin") * 1000;
    assert!(timeout_ms >= admin::LONGEST_CHECK_MS + BESIDES_MS, "{timeout_ms}");
}

#[test]
fn callers_hear_of_a_failure_before_api_gateway_gives_up() {
    /// The longest integration timeout of an HTTP API, in seconds.
    const GATEWAY_S: u64 = 30;
    let template = template();
    for name in ["Receive", "Admin"] {
        let timeout_s = timeout_s(&template, name);
        assert!(timeout_s < GATEWAY_S, "{name}: {timeout_s}");
    }
}

#[test]
fn the_sweep_looks_as_far_ahead_as_the_schedule_is_apart() {
    let template = template();
    let events = &properties(&template, "RetryFunction")["Events"];
    let schedules: Vec<&Value> = events.as_object().expect("events").values().collect();
    for schedule in schedules {
        assert_eq!(schedule["Type"], "ScheduleV2");
        assert_eq!(schedule["Properties"]["ScheduleExpression"], "cron(* * * * ? *)");
    }
    assert_eq!(SWEEP_AHEAD_MS, 60_000);
}

#[test]
fn each_minute_every_shard_of_what_is_due_is_swept_once() {
    let template = template();
    let events = &properties(&template, "RetryFunction")["Events"];
    let mut names = BTreeSet::new();
    let mut shards = Vec::new();
    for event in events.as_object().expect("events").values() {
        let properties = &event["Properties"];
        assert!(names.insert(text(&properties["Name"]["Fn::Sub"])), "a name twice");
        let input = serde_json::from_str(properties["Input"].as_str().expect("an input"));
        shards.extend(retry::Part::of(&input.expect("JSON")).shards());
    }
    shards.sort_unstable();
    assert_eq!(shards, (0..shared::store::keys::DUE_SHARDS).collect::<Vec<_>>());
}

// Storage.

#[test]
fn the_table_is_the_one_that_the_code_and_the_tests_use() {
    let mut table = properties(&template(), "Table").clone();
    let table = table.as_object_mut().expect("properties");
    let ttl = table.remove("TimeToLiveSpecification");
    assert_eq!(ttl, Some(json!({ "AttributeName": attribute::EXPIRES_AT, "Enabled": true })));
    assert_eq!(table.remove("DeletionProtectionEnabled"), Some(json!(true)));
    let recovery = table.remove("PointInTimeRecoverySpecification");
    assert_eq!(recovery, Some(json!({ "PointInTimeRecoveryEnabled": true })));
    let mut tested = table_definition();
    tested.as_object_mut().expect("a definition").remove("TableName");
    assert_eq!(Value::Object(table.clone()), tested);
}

#[test]
fn indexes_carry_what_lists_show_and_never_a_payload() {
    let template = template();
    let indexes = properties(&template, "Table")["GlobalSecondaryIndexes"].clone();
    let described: Vec<Value> = indexes
        .as_array()
        .expect("indexes")
        .iter()
        .map(|found| json!([found["IndexName"], found["Projection"]["NonKeyAttributes"]]))
        .collect();
    let carried = json!([attribute::DOC, attribute::REV, attribute::EXPIRES_AT]);
    assert_eq!(described, [json!([index::BY_TIME, carried]), json!([index::DUE, carried])]);
}

#[test]
fn what_was_accepted_outlives_the_stack_and_a_deployment_that_fails_leaves_nothing() {
    let template = template();
    for name in ["Table", "RootSecret"] {
        let resource = &template["Resources"][name];
        assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
    }
    assert_eq!(properties(&template, "Table")["DeletionProtectionEnabled"], true);
}

/// CloudFormation makes another secret when anything of this changes, even its order.
#[test]
fn how_the_root_secret_is_made_never_changes() {
    let text = std::fs::read_to_string("template.yaml").unwrap();
    let from = text.find("      GenerateSecretString:\n").expect("the block");
    let lines: Vec<&str> = text[from..]
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect();
    let block = [
        "      GenerateSecretString:",
        "        PasswordLength: 64",
        "        ExcludePunctuation: true",
    ];
    assert_eq!(lines, block);
}

#[test]
fn a_stack_that_is_given_a_table_and_a_secret_uses_them_everywhere_and_makes_none() {
    let template = template_where(&["HasGateway", "HasExistingTable", "HasExistingSecret"]);
    for kind in ["AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"] {
        assert_eq!(of_type(&template, kind).count(), 0, "{kind}");
    }
    let (table, secret) =
        (json!({"Ref": "ExistingTable"}), json!({"Ref": "ExistingRootSecretArn"}));
    for (name, _) in FUNCTIONS {
        let set = &properties(&template, &format!("{name}Function"))["Environment"]["Variables"];
        assert_eq!(set[variable::TABLE], table, "{name}");
        assert!(set[variable::ROOT_SECRET_ID].is_null() || set[variable::ROOT_SECRET_ID] == secret);
    }
    for (output, value) in [("TableName", table), ("RootSecretArn", secret)] {
        assert_eq!(template["Outputs"][output]["Value"], value);
    }
    // Nothing that is left speaks of what is not there.
    let all = template["Resources"].to_string() + &template["Outputs"].to_string();
    for missing in ["\"Table\"", "${Table}", "${Table.", "\"RootSecret\""] {
        assert!(!all.contains(missing), "{missing}");
    }
    // The rights are the same, on the other table.
    for (name, _) in FUNCTIONS {
        let own = grants_of(&crate::template::template(), &name.to_lowercase());
        assert_eq!(grants_of(&template, &name.to_lowercase()), own, "{name}");
    }
}

#[test]
fn a_table_and_its_indexes_are_warmed_alike_if_at_all() {
    let (writes, reads) = (json!({"Ref": "WarmWriteUnits"}), json!({"Ref": "WarmReadUnits"}));
    for (conditions, of_table, of_indexes) in [
        (&["HasWarmWrites"] as &[&str], json!({"WriteUnitsPerSecond": writes}), true),
        (&["HasWarmReads"], json!({"ReadUnitsPerSecond": reads}), false),
        (
            &["HasWarmReads", "HasWarmWrites"],
            json!({"WriteUnitsPerSecond": writes, "ReadUnitsPerSecond": reads}),
            true,
        ),
        (&[], Value::Null, false),
    ] {
        let warm = template_where(&[&["HasGateway"], conditions].concat());
        let table = properties(&warm, "Table");
        assert_eq!(table["WarmThroughput"], of_table, "{conditions:?}");
        // What is read of the indexes is little, whatever the load.
        let of_indexes = match of_indexes {
            true => json!({"WriteUnitsPerSecond": writes}),
            false => Value::Null,
        };
        for index in table["GlobalSecondaryIndexes"].as_array().expect("indexes") {
            assert_eq!(index["WarmThroughput"], of_indexes, "{conditions:?}");
        }
        for parameter in ["WarmWriteUnits", "WarmReadUnits"] {
            assert_eq!(warm["Parameters"][parameter]["Default"], 0);
        }
    }
}

// Queues.

#[test]
fn a_record_dies_after_as_many_receives_as_the_code_counts_on() {
    let template = template();
    for (queue, dead_letters) in PAIRS {
        let policy = &properties(&template, queue)["RedrivePolicy"];
        let expected = json!({
            "deadLetterTargetArn": { "Fn::GetAtt": [dead_letters, "Arn"] },
            "maxReceiveCount": MAX_RECEIVES,
        });
        assert_eq!(*policy, expected, "{queue}");
    }
}

#[test]
fn a_dead_record_is_kept_for_longer_than_it_can_have_lived() {
    let template = template();
    for (queue, dead_letters) in PAIRS {
        let kept = |queue| properties(&template, queue)["MessageRetentionPeriod"].as_u64();
        assert!(kept(queue).is_some() && kept(dead_letters) > kept(queue), "{queue}");
    }
}

#[test]
fn every_queue_takes_the_largest_batch_that_is_sent_and_is_encrypted() {
    let template = template();
    let queues: Vec<String> = of_type(&template, "AWS::SQS::Queue").collect();
    assert_eq!(queues.len(), 2 * PAIRS.len());
    for queue in queues {
        let queue = properties(&template, &queue);
        assert_eq!(queue["MaximumMessageSize"], json!(MAX_BATCH_BYTES));
        assert_eq!(queue["SqsManagedSseEnabled"], true);
    }
}

#[test]
fn dispatch_takes_batches_from_both_queues_and_reports_failures_one_by_one() {
    let template = template();
    let events = properties(&template, "DispatchFunction")["Events"].clone();
    let sources: Vec<Value> = events.as_object().expect("events").values().cloned().collect();
    let expected = ["Deliveries", "Retries"].map(|kind| {
        let (queue, limit) = (format!("{kind}Queue"), format!("{kind}Concurrency"));
        json!({
            "Type": "SQS",
            "Properties": {
                "Queue": { "Fn::GetAtt": [queue, "Arn"] },
                "BatchSize": MAX_BATCH,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ScalingConfig": { "MaximumConcurrency": { "Ref": limit } },
            },
        })
    });
    assert_eq!(sources, expected);
}

#[test]
fn pollers_that_are_always_ready_take_the_place_of_the_limit() {
    let template = template_where(&["HasGateway", "HasProvisionedPollers"]);
    let events = &properties(&template, "DispatchFunction")["Events"];
    let deliveries = &events["Deliveries"]["Properties"];
    // AWS refuses both.
    assert_eq!(deliveries["ScalingConfig"], Value::Null);
    let pollers = json!({"MinimumPollers": {"Ref": "ProvisionedPollers"},
        "MaximumPollers": {"Ref": "MostProvisionedPollers"}});
    assert_eq!(deliveries["ProvisionedPollerConfig"], pollers);
    assert!(events["Retries"]["Properties"]["ScalingConfig"].is_object());
}

#[test]
fn concurrency_is_kept_only_where_a_parameter_says_so() {
    for (function, condition) in [("Receive", "HasReceiveReserved"), ("Retry", "HasRetryReserved")]
    {
        let reserved = |template: &Value| {
            properties(template, &format!("{function}Function"))["ReservedConcurrentExecutions"]
                .clone()
        };
        // A new account has too little to give any away.
        assert_eq!(reserved(&template()), Value::Null);
        let parameter = json!({"Ref": format!("{function}ReservedConcurrency")});
        assert_eq!(reserved(&template_where(&["HasGateway", condition])), parameter);
    }
    // Under a limit, records would use up their receives while they wait.
    let dispatch = properties(&template(), "DispatchFunction").clone();
    assert_eq!(dispatch["ReservedConcurrentExecutions"], Value::Null);
}

// Permissions.

#[test]
fn no_policy_grants_more_than_named_actions_on_named_resources() {
    let template = template();
    for (name, _) in FUNCTIONS {
        let function = properties(&template, &format!("{name}Function"));
        assert_eq!(function["Role"], json!({ "Fn::GetAtt": [format!("{name}Role"), "Arn"] }));
        // SAM would add policies of its own making.
        assert_eq!(function["Policies"], Value::Null, "{name}");
    }
    let roles: Vec<String> = of_type(&template, "AWS::IAM::Role").collect();
    assert_eq!(roles.len(), FUNCTIONS.len());
    let mut statements = 0;
    for role in &roles {
        let role = properties(&template, role);
        assert_eq!(role["ManagedPolicyArns"], Value::Null);
        for policy in role["Policies"].as_array().expect("policies") {
            for statement in policy["PolicyDocument"]["Statement"].as_array().expect("statements") {
                statements += 1;
                assert_eq!(statement["Effect"], "Allow");
                for part in ["Action", "Resource"] {
                    let granted = statement[part].to_string();
                    assert!(granted.len() > 4 && !granted.contains('*'), "{statement}");
                }
                let known: BTreeSet<&str> = ["Effect", "Action", "Resource"].into_iter().collect();
                let said = statement.as_object().expect("a statement").keys();
                assert_eq!(said.map(String::as_str).collect::<BTreeSet<_>>(), known);
            }
        }
    }
    assert!(statements >= 3 * roles.len(), "{statements}");
}

#[test]
fn in_a_network_of_ones_own_whoever_calls_endpoints_is_put_there_and_nobody_else() {
    let (outside, inside) = (template(), template_where(&["HasGateway", "HasVpc"]));
    for (name, source) in FUNCTIONS {
        let function = format!("{name}Function");
        assert_eq!(properties(&outside, &function)["VpcConfig"], Value::Null, "{name}");
        let calls = with_wiring(source).contains("HttpSender::new");
        let expected = match calls {
            true => json!({"SubnetIds": {"Ref": "VpcSubnetIds"},
                "SecurityGroupIds": {"Ref": "VpcSecurityGroupIds"}}),
            false => Value::Null,
        };
        assert_eq!(properties(&inside, &function)["VpcConfig"], expected, "{name}");
        let policies = |template: &Value| {
            properties(template, &format!("{name}Role"))["Policies"]
                .as_array()
                .expect("some")
                .clone()
        };
        assert_eq!(policies(&outside).len(), 1, "{name}");
        // AWS knows these actions for all resources only.
        let network: Vec<Value> = policies(&inside).split_off(1);
        assert_eq!(network.len(), usize::from(calls), "{name}");
        let actions = network.iter().flat_map(|policy| {
            policy["PolicyDocument"]["Statement"][0]["Action"].as_array().expect("actions")
        });
        assert!(actions.into_iter().all(|action| text(action).starts_with("ec2:")), "{name}");
    }
}

#[test]
fn only_those_who_write_to_a_queue_may_send_to_it() {
    let template = template();
    for (name, source) in FUNCTIONS {
        for (queue, mention) in [
            ("DeliveriesQueue", "variable::DELIVERIES_QUEUE"),
            ("RetriesQueue", "variable::RETRIES_QUEUE"),
        ] {
            let may = grants(&template, name, "sqs:SendMessage", queue);
            assert_eq!(may, source.contains(mention), "{name}, {queue}");
        }
    }
}

// The API.

#[test]
fn publishing_goes_to_receive_and_everything_else_to_admin() {
    let template = template();
    let mut routes: Vec<(String, String)> = of_type(&template, "AWS::ApiGatewayV2::Route")
        .map(|route| {
            let route = properties(&template, &route);
            let target = route["Target"]["Fn::Sub"].as_str().expect("a target");
            let integration = target
                .strip_prefix("integrations/${")
                .and_then(|rest| rest.strip_suffix('}'))
                .expect("an integration");
            let integration = properties(&template, integration);
            assert_eq!(integration["IntegrationType"], "AWS_PROXY");
            assert_eq!(integration["PayloadFormatVersion"], "2.0");
            let function = &integration["IntegrationUri"]["Fn::GetAtt"][0];
            (text(&route["RouteKey"]), text(function))
        })
        .collect();
    routes.sort();
    let expected = [
        ("$default", "AdminFunction"),
        ("ANY /in/{source_id}", "ReceiveFunction"),
        ("POST /api/v1/app/{app_id}/msg", "ReceiveFunction"),
        ("POST /api/v1/app/{app_id}/msg/batch", "ReceiveFunction"),
    ]
    .map(|(key, function)| (key.to_owned(), function.to_owned()));
    assert_eq!(routes, expected);
}

#[test]
fn the_addresses_of_sources_have_a_limit_of_their_own() {
    let template = template();
    let stage = &template["Resources"]["HttpStage"];
    let limits = |rate: &str, burst: &str| json!({"ThrottlingRateLimit": {"Ref": rate}, "ThrottlingBurstLimit": {"Ref": burst}});
    let source = properties(&template, "SourceRoute")["RouteKey"].clone();
    let expected =
        json!({ text(&source): limits("SourceRequestsPerSecond", "SourceRequestBurst") });
    assert_eq!(stage["Properties"]["RouteSettings"], expected);
    let usual = limits("RequestsPerSecond", "RequestBurst");
    assert_eq!(stage["Properties"]["DefaultRouteSettings"], usual);
    // API Gateway refuses limits of a route that is not there yet.
    assert_eq!(stage["DependsOn"], "SourceRoute");
}

#[test]
fn a_name_of_ones_own_is_what_the_outputs_say_and_leads_to_the_same_api() {
    let template = template_where(&["HasGateway", "HasDomain"]);
    let mapping = properties(&template, "DomainMapping");
    assert_eq!(mapping["ApiId"], json!({"Ref": "HttpApi"}));
    assert_eq!(mapping["DomainName"], json!({"Ref": "Domain"}));
    let certificate = &properties(&template, "Domain")["DomainNameConfigurations"][0];
    assert_eq!(certificate["CertificateArn"], json!({"Ref": "CertificateArn"}));
    for (output, path) in [("ApiUrl", ""), ("PublishUrl", ""), ("PortalUrl", "/portal")] {
        let value = &template["Outputs"][output]["Value"]["Fn::Sub"];
        assert_eq!(*value, json!(format!("https://${{DomainName}}{path}")));
    }
}

#[test]
fn the_gateway_may_call_the_two_functions_that_it_routes_to() {
    let template = template();
    let mut permitted: Vec<String> = of_type(&template, "AWS::Lambda::Permission")
        .map(|permission| {
            let permission = properties(&template, &permission);
            assert_eq!(permission["Principal"], "apigateway.amazonaws.com");
            let source = permission["SourceArn"]["Fn::Sub"].as_str().expect("a source");
            assert!(source.contains(":${HttpApi}/"), "{source}");
            text(&permission["FunctionName"]["Ref"])
        })
        .collect();
    permitted.sort();
    let receive = "ReceiveFunction";
    assert_eq!(permitted, ["AdminFunction", receive, receive, receive]);
}

#[test]
fn function_urls_take_the_place_of_the_gateway_and_are_open_to_token_holders() {
    let template = template_where(&["HasUrls"]);
    assert_eq!(of_type(&template, "AWS::ApiGatewayV2::Api").count(), 0);
    let urls: Vec<String> = of_type(&template, "AWS::Lambda::Url")
        .map(|url| {
            let url = properties(&template, &url);
            assert_eq!(url["AuthType"], "NONE");
            text(&url["TargetFunctionArn"]["Ref"])
        })
        .collect();
    assert_eq!(urls, ["AdminFunction", "ReceiveFunction"]);
    let mut permitted: Vec<(String, String)> = of_type(&template, "AWS::Lambda::Permission")
        .map(|permission| {
            let permission = properties(&template, &permission);
            let by_url = permission["FunctionUrlAuthType"] == "NONE"
                || permission["InvokedViaFunctionUrl"] == true;
            assert!(by_url, "{permission}");
            (text(&permission["FunctionName"]["Ref"]), text(&permission["Action"]))
        })
        .collect();
    permitted.sort();
    let both = ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"];
    let expected = ["AdminFunction", "ReceiveFunction"]
        .iter()
        .flat_map(|function| both.map(|action| ((*function).to_owned(), action.to_owned())));
    assert_eq!(permitted, expected.collect::<Vec<_>>());
    // Nothing that is left speaks of what is not there.
    let missing = ["HttpApi}", "\"HttpApi\""];
    let all = template["Resources"].to_string() + &template["Outputs"].to_string();
    assert!(missing.iter().all(|name| !all.contains(name)), "{all}");
    let publish = &template["Outputs"]["PublishUrl"]["Value"];
    assert_eq!(publish["Fn::GetAtt"], json!(["ReceiveUrl", "FunctionUrl"]));
    let told = &properties(&template, "AdminFunction")["Environment"]["Variables"];
    assert_eq!(told[variable::PUBLISH_URL], *publish);
    // No endpoint leads into a source of the same stack.
    let host = json!({"Fn::Select": [2, {"Fn::Split": ["/", publish]}]});
    let refused = json!({"Fn::Join": [" ", [{"Ref": "RefusedTargets"}, host]]});
    for function in ["AdminFunction", "DispatchFunction"] {
        let set = &properties(&template, function)["Environment"]["Variables"];
        assert_eq!(set[variable::REFUSED_TARGETS], refused, "{function}");
    }
}

#[test]
fn paths_are_the_same_under_a_named_stage() {
    let template = template();
    for (name, _) in FUNCTIONS {
        let function = properties(&template, &format!("{name}Function"));
        let ignored = &function["Environment"]["Variables"]["AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH"];
        let expected =
            if matches!(name, "Receive" | "Admin") { json!("true") } else { json!(null) };
        assert_eq!(*ignored, expected, "{name}");
    }
}

// Reading.

/// Each queue and where its dead records go.
const PAIRS: [(&str, &str); 2] =
    [("DeliveriesQueue", "DeliveriesDlq"), ("RetriesQueue", "RetriesDlq")];

/// The template with its defaults, and CloudFormation's short forms written out: `!Ref X` as
/// `{"Ref": "X"}`.
pub(crate) fn template() -> Value {
    template_where(&["HasGateway", "HasFairQueues"])
}

/// Conditions that hold unless another one does.
const UNLESS: [(&str, &str); 2] =
    [("HasOwnTable", "HasExistingTable"), ("HasOwnSecret", "HasExistingSecret")];

/// The template with what is there when these conditions hold and no others.
pub(crate) fn template_where(hold: &[&str]) -> Value {
    let own = UNLESS.iter().filter(|(_, other)| !hold.contains(other)).map(|(own, _)| *own);
    let hold: Vec<&str> = hold.iter().copied().chain(own).collect();
    let hold = &hold[..];
    let text = std::fs::read_to_string("template.yaml").expect("the template");
    let documents = Yaml::load_from_str(&text).expect("YAML");
    assert_eq!(documents.len(), 1);
    let mut template = json_of(&documents[0]);
    let known = template["Conditions"].as_object().expect("conditions");
    assert!(hold.iter().all(|condition| known.contains_key(*condition)), "{hold:?}");
    let resources = template["Resources"].as_object_mut().expect("resources");
    resources.retain(|_, resource| {
        resource["Condition"].as_str().is_none_or(|condition| hold.contains(&condition))
    });
    decided(template, hold).expect("a template")
}

/// A value with every `Fn::If` decided; `None` where nothing is left.
fn decided(value: Value, hold: &[&str]) -> Option<Value> {
    if let Some([condition, then, otherwise]) =
        value["Fn::If"].as_array().map(Vec::as_slice).and_then(|parts| parts.first_chunk())
    {
        let holds = hold.contains(&condition.as_str().expect("a condition"));
        return decided(if holds { then } else { otherwise }.clone(), hold);
    }
    match value {
        Value::Object(map) if map.get("Ref") == Some(&json!("AWS::NoValue")) => None,
        Value::Object(map) => {
            let kept = map.into_iter();
            Some(kept.filter_map(|(key, value)| Some((key, decided(value, hold)?))).collect())
        }
        Value::Array(list) => {
            Some(list.into_iter().filter_map(|value| decided(value, hold)).collect())
        }
        other => Some(other),
    }
}

fn json_of(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Tagged(tag, inner) => {
            let inner = json_of(inner);
            match tag.suffix.as_str() {
                "Ref" => json!({ "Ref": inner }),
                "GetAtt" => {
                    let path: Vec<&str> = inner.as_str().expect("a path").splitn(2, '.').collect();
                    json!({ "Fn::GetAtt": path })
                }
                function => Value::Object(Map::from_iter([(format!("Fn::{function}"), inner)])),
            }
        }
        Yaml::Mapping(mapping) => {
            let entries = mapping.iter().map(|(key, value)| {
                (key.as_str().expect("keys are strings").to_owned(), json_of(value))
            });
            Value::Object(entries.collect())
        }
        Yaml::Sequence(items) => items.iter().map(json_of).collect(),
        scalar if scalar.is_null() => Value::Null,
        scalar => scalar
            .as_bool()
            .map(Value::from)
            .or_else(|| scalar.as_integer().map(Value::from))
            .or_else(|| scalar.as_floating_point().map(Value::from))
            .or_else(|| scalar.as_str().map(Value::from))
            .unwrap_or_else(|| panic!("not a value that a template has: {scalar:?}")),
    }
}

pub(crate) fn properties<'a>(template: &'a Value, resource: &str) -> &'a Value {
    let properties = &template["Resources"][resource]["Properties"];
    assert!(properties.is_object(), "no resource {resource}");
    properties
}

/// The logical ids of all resources of a type.
pub(crate) fn of_type<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = String> + 'a {
    let resources = template["Resources"].as_object().expect("resources");
    resources.iter().filter(move |(_, found)| found["Type"] == kind).map(|(name, _)| name.clone())
}

/// The names of Posthorn's own variables that a function gets.
fn variables<'a>(template: &'a Value, function: &str) -> BTreeSet<&'a str> {
    let function = properties(template, &format!("{function}Function"));
    let set = function["Environment"]["Variables"].as_object().expect("variables");
    set.keys().map(String::as_str).filter(|name| name.starts_with("POSTHORN_")).collect()
}

fn timeout_s(template: &Value, function: &str) -> u64 {
    let function = properties(template, &format!("{function}Function"));
    function["Timeout"].as_u64().expect("a timeout")
}

/// What a function's role allows on the table, its indexes and the queues. Not what Lambda's
/// pollers do under the same role: they receive and delete, and a function receives from
/// dead-letter queues only.
pub(crate) fn grants_of(template: &Value, function: &str) -> BTreeSet<(String, String)> {
    let name = function[..1].to_uppercase() + &function[1..];
    let role = properties(template, &format!("{name}Role"));
    let several = |value: &Value| match value.as_array() {
        Some(values) => values.clone(),
        None => vec![value.clone()],
    };
    let mut grants = BTreeSet::new();
    for policy in several(&role["Policies"]) {
        for statement in several(&policy["PolicyDocument"]["Statement"]) {
            for action in several(&statement["Action"]) {
                for resource in several(&statement["Resource"]) {
                    let existing = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:\
                                    ${AWS::AccountId}:table/${ExistingTable}";
                    let of_index = resource["Fn::Sub"]
                        .as_str()
                        .map(|sub| sub.replace("${Table.Arn}", "Table").replace(existing, "Table"));
                    let named = resource["Fn::GetAtt"][0].as_str().map(str::to_owned);
                    let referred = resource["Ref"]
                        .as_str()
                        .map(|name| name.replace("ExistingRootSecretArn", "RootSecret"));
                    let resource = of_index.or(named).or(referred).expect("a resource");
                    let ours = ["sqs:SendMessage", "sqs:ChangeMessageVisibility"];
                    let polled =
                        !ours.contains(&text(&action).as_str()) && resource.ends_with("Queue");
                    if !polled && !text(&action).starts_with("logs:") {
                        grants.insert((text(&action), resource));
                    }
                }
            }
        }
    }
    grants
}

/// Whether a function's role allows this action on this resource.
fn grants(template: &Value, function: &str, action: &str, resource: &str) -> bool {
    let role = properties(template, &format!("{function}Role"));
    let arn = json!({ "Fn::GetAtt": [resource, "Arn"] });
    let has = |part: &Value, wanted: &Value| {
        part == wanted || part.as_array().is_some_and(|several| several.contains(wanted))
    };
    role["Policies"].as_array().expect("policies").iter().any(|policy| {
        let statements = policy["PolicyDocument"]["Statement"].as_array().expect("statements");
        statements.iter().any(|statement| {
            has(&statement["Action"], &json!(action)) && has(&statement["Resource"], &arn)
        })
    })
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}
