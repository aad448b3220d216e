//! Profiles as data: the ones that come with Posthorn are whole, a wrong one is refused with the
//! line and the fix, and one that came through the API is followed.

use std::path::Path;

use serde_json::{Value, json};
use shared::domain::id::OrganisationId;
use shared::domain::profile::Profile;
use shared::domain::profile::file::{self, ProfileFile};
use shared::store::{PROFILE_TTL_MS, Profiles};

use crate::support::network::answer;
use crate::support::world::{Builder, World, text};

const URL: &str = "http://127.0.0.1:9/hook";
/// A profile that says little.
const SMALL: &str = r#"name = "small"
title = "Small"

[delivery]
timeout_ms = 2_000

[[event]]
type = "a.b"
description = "It happened."
schema = '{"type": "object"}'
example = '{}'
"#;

#[test]
fn the_profiles_that_come_with_posthorn_read_the_same_as_files_and_as_built_in() {
    let files = built_in_files();
    let names: Vec<&str> = files.iter().map(|file| file.profile.name.as_str()).collect();
    assert_eq!(names, ["dashx", "dotpe", "dots", "moneyhub", "standard-webhooks", "svix"]);
    let built_in = Profiles::built_in();
    let known: Vec<Profile> = built_in.known().map(|known| Profile::clone(known)).collect();
    let read: Vec<Profile> = files.iter().map(|file| file.profile.clone()).collect();
    assert_eq!(known, read);
    for file in files {
        let events = built_in.events(&file.profile.name);
        assert_eq!(events.len(), file.events.len(), "{}", file.profile.name);
    }
}

#[test]
fn each_system_has_all_its_event_types() {
    let count = |name: &str| Profiles::built_in().events(name).len();
    assert_eq!([count("dots"), count("dotpe"), count("dashx"), count("moneyhub")], [13, 6, 3, 18]);
}

#[test]
fn what_a_system_does_not_document_is_marked_as_inferred() {
    let inferred = |name: &str| {
        let events = Profiles::built_in().events(name);
        events.into_iter().filter(|event| event.inferred).count()
    };
    assert_eq!(
        [inferred("dots"), inferred("dotpe"), inferred("dashx"), inferred("moneyhub")],
        [7, 6, 0, 3]
    );
    let files = built_in_files();
    let moneyhub = files.iter().find(|file| file.profile.name == "moneyhub").unwrap();
    let jwt = moneyhub.profile.jwt.as_ref().unwrap();
    assert_eq!(jwt.urns.keys().collect::<Vec<_>>(), ["paymentCompleted"]);
    assert_eq!(jwt.urns.len() + jwt.inferred_urns.len(), moneyhub.events.len());
}

#[test]
fn every_example_is_of_the_kind_that_its_schema_asks_for() {
    for file in built_in_files() {
        for event in file.events {
            let schema: Value = serde_json::from_str(event.schema.as_str()).unwrap();
            let example: Value = serde_json::from_str(event.example.as_str()).unwrap();
            assert_fits(&schema, &example, &event.event_type);
        }
    }
}

#[test]
fn a_wrong_profile_is_refused_with_the_line_and_the_fix() {
    for (from, to, line, fix) in [
        ("timeout_ms = 2_000", "timeout_ms = 60_000", 5, "timeout_ms: must be 1000 to 25000"),
        ("timeout_ms", "tiemout_ms", 5, "unknown field `tiemout_ms`, expected one of"),
        ("2_000", "\"2s\"", 5, "expected u64"),
        ("title = \"Small\"", "titel = \"Small\"", 2, "unknown field `titel`"),
        ("title = \"Small\"", "title = ", 2, "expected"),
        ("title = \"Small\"", "title = \"S\"\nopt_in = [\"x.y\"]", 3, "add an [[event]] for it"),
        ("title = \"Small\"", "title = \"S\"\nenvelope = '{{what}}'", 3, "use one of api_version"),
        (
            "title = \"Small\"",
            "title = \"S\"\nenvelope = '{\"a\":\"{{id}}\"}'",
            3,
            "without quotes",
        ),
        (
            "title = \"Small\"",
            "title = \"S\"\nenvelope = '{\"a{{id}}\":{{payload}}}'",
            3,
            "without quotes",
        ),
        ("title = \"Small\"", "title = \"S\"\nsignature_headers = []", 3, "name `webhook-`"),
        (
            "title = \"Small\"",
            "title = \"S\"\nsignature_headers = [\"svix-\", \"webhook-\", \"svix-\"]",
            3,
            "name each once",
        ),
        ("timeout_ms = 2_000", "success = [\"ok\"]", 5, "write `2xx`, `200` or `no-answer`"),
        ("timeout_ms = 2_000", "success = [\"4xx\"]", 5, "of the class 2xx only"),
        ("timeout_ms = 2_000", "success = [\"+2xx\"]", 5, "write `2xx`, `200` or `no-answer`"),
        ("timeout_ms = 2_000", "success = [\"+200\"]", 5, "write `2xx`, `200` or `no-answer`"),
        ("[delivery]", "[endpoints]\nmost = 0\n[delivery]", 4, "most: must be at least 1"),
        (
            "[delivery]",
            "[deprecated]\nnotice = \"It ends.\"\nends = \"2027-13-45\"\n[delivery]",
            4,
            "write one as 2027-01-31",
        ),
        (
            "[delivery]",
            "[jwt]\nissuer = \"i\"\n[jwt.urns]\n\"a.c\" = \"urn:c\"\n[delivery]",
            4,
            "jwt: `a.c` is not an event of this file",
        ),
        ("timeout_ms = 2_000", "schedule_s = [0]", 5, "schedule_s: each must be 1 to"),
        ("'{\"type\": \"object\"}'", "'{\"type\": '", 10, "this is not JSON"),
        ("a.b", "a b", 7, "not a name of an event type"),
        ("name = \"small\"", "name = \"sm all\"", 1, "must be 1 to 64 of the characters"),
    ] {
        let wrong = SMALL.replacen(from, to, 1);
        assert_ne!(wrong, SMALL);
        let refused = file::parse("small.toml", &wrong).unwrap_err();
        assert!(refused.starts_with(&format!("small.toml:{line}: ")), "{to}: {refused}");
        assert!(refused.contains(fix), "{to}: {refused}");
    }
    assert!(file::parse("small.toml", SMALL).is_ok());
}

/// The reader of TOML calls itself for each bracket, and what is no TOML throws its own limit off.
#[test]
fn brackets_that_go_deeper_than_any_profile_are_refused_before_they_are_read() {
    let head = "name = 'deep'\ntitle = 'Deep'\n";
    let deep = |open: &str, close: &str, n: usize| {
        format!("{head}note = {}1{}\n", open.repeat(n), close.repeat(n))
    };
    let thrown_off = format!("{head}note = {}", "[{[][]x=".repeat(8_000));
    for text in [
        thrown_off.clone(),
        deep("[", "]", 65),
        deep("[", "]", 30_000),
        deep("{a=", "}", 65),
        // Where the reader sees brackets: behind a comment, in a word, behind strings.
        format!("# \r{thrown_off}"),
        format!("a\"={thrown_off}\""),
        format!("a = \"\\\n{thrown_off}\""),
        format!("a = '''''''\n{thrown_off}"),
        format!("a = \"\"\"\\\"\"\"\"\n{thrown_off}"),
    ] {
        let reason = file::parse("f", &text).unwrap_err();
        let shown: String = text.chars().take(60).collect();
        assert!(reason.starts_with("f:") && reason.len() < 200, "{shown}: {reason}");
    }
    // As deep as may be, and brackets that are none.
    let reason = file::parse("f", &deep("[", "]", 64)).unwrap_err();
    assert!(!reason.contains("nested"), "{reason}");
    for note in [
        "'[[[{{'",
        r#""[{\"[[""#,
        r#""a\\""#,
        r#"'' # ]"#,
        r#""""[""[{\"""""""#,
        "'''[''['''''  # [{",
    ] {
        let text = format!("{head}note = {note}\n[delivery]\ntimeout_ms = 1_000\n");
        assert!(file::parse("f", &text).is_ok(), "{note}: {:?}", file::parse("f", &text));
    }
}

#[tokio::test]
async fn a_profile_that_came_through_the_api_is_followed() {
    let world = World::new();
    let stored = put(&world, "small", SMALL).await;
    assert_eq!(stored.status, 200, "{stored:?}");
    let body = json!({"name": "Customer", "profile": "small"});
    let created = world.call("POST", "/api/v1/app", body).await;
    assert_eq!((created.status.as_u16(), &created.body["profile"]), (201, &json!("small")));
    let app = text(&created.body["id"]);
    world.endpoint(&app, URL).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent()[0].timeout_ms, 2_000);

    put(&world, "small", &SMALL.replace("2_000", "3_000")).await;
    world.advance_s(PROFILE_TTL_MS / 1000);
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent()[1].timeout_ms, 3_000);
}

#[tokio::test]
async fn a_stored_profile_is_read_once_a_minute_and_a_built_in_one_never() {
    let world = World::new();
    put(&world, "small", SMALL).await;
    let mut reads = Vec::new();
    for profile in ["small", "moneyhub"] {
        let app = application(&world, profile).await;
        world.endpoint(&app, URL).await;
        for _ in 0..2 {
            let before = world.meter.usage().read_units;
            world.publish(&app, json!({})).await;
            world.dispatch_all().await;
            reads.push(world.meter.usage().read_units - before);
        }
    }
    // The application twice, by receive and by dispatch; the profile was read at its creation.
    assert_eq!(reads, [2.0, 2.0, 2.0, 2.0]);
}

#[tokio::test]
async fn a_wrong_profile_is_not_stored() {
    let world = World::new();
    let wrong = SMALL.replace("2_000", "60_000");
    let refused = put(&world, "small", &wrong).await;
    assert_eq!(refused.status, 422);
    let message = text(&refused.body["detail"][0]["msg"]);
    assert!(message.contains("toml:5: delivery.timeout_ms"), "{message}");
    assert_eq!(put(&world, "other", SMALL).await.status, 422);
    let taken = put(&world, "svix", &SMALL.replace("small", "svix")).await;
    assert!(text(&taken.body["detail"][0]["msg"]).contains("comes with Posthorn"), "{taken:?}");
    assert_eq!(world.call("GET", "/api/v1/profile/small", Value::Null).await.status, 404);
}

#[tokio::test]
async fn the_list_says_which_profiles_are_ones_own() {
    let world = World::new();
    assert_eq!(put(&world, "small", SMALL).await.status, 200);
    let listed = world.call("GET", "/api/v1/profile", Value::Null).await.body;
    let listed = listed["data"].as_array().unwrap();
    let own: Vec<&str> = listed
        .iter()
        .filter(|one| one["own"] == true)
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!((own, listed.len()), (vec!["small"], 7));
}

#[tokio::test]
async fn a_profile_belongs_to_the_organisation_that_stored_it() {
    let world = World::new();
    put(&world, "small", SMALL).await;
    let stranger = world.token_of(OrganisationId::new(&world.ambient));
    let get = world.call_as(&stranger, "GET", "/api/v1/profile/small", Value::Null).await;
    assert_eq!(get.status, 404);
    let body = json!({"name": "C", "profile": "small"});
    assert_eq!(world.call_as(&stranger, "POST", "/api/v1/app", body).await.status, 422);
    let app = world.app_token(&world.application().await);
    let body = json!({"toml": SMALL});
    let put = world.call_as(&app, "PUT", "/api/v1/profile/small", body).await;
    assert_eq!(put.status, 403);
}

#[tokio::test]
async fn a_profile_that_nobody_has_is_refused_by_name() {
    let world = World::new();
    for body in [
        json!({"name": "C", "profile": "dotz"}),
        json!({"name": "C", "metadata": {"posthorn.profile": "dotz"}}),
    ] {
        let refused = world.call("POST", "/api/v1/app", body).await;
        assert_eq!(refused.status, 422);
        let message = text(&refused.body["detail"][0]["msg"]);
        assert!(message.contains("there is no profile `dotz`"), "{message}");
    }
}

#[tokio::test]
async fn metadata_names_the_profile_where_a_library_does_not_know_the_field() {
    let world = World::new();
    let body = json!({"name": "C", "metadata": {"posthorn.profile": "moneyhub"}});
    let created = world.call("POST", "/api/v1/app", body).await;
    let app = text(&created.body["id"]);
    world.endpoint(&app, URL).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent()[0].timeout_ms, 5_000);
}

#[tokio::test]
async fn an_update_by_a_library_that_does_not_know_profiles_leaves_them_alone() {
    let world = World::new();
    let app = application(&world, "dotpe").await;
    let ep = world
        .endpoint_with(&app, json!({"url": URL, "profile": "moneyhub", "format": "jwt"}))
        .await;
    world.call("PUT", &format!("/api/v1/app/{app}"), json!({"name": "New"})).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PUT", &path, json!({"url": URL})).await;
    let application = world.call("GET", &format!("/api/v1/app/{app}"), Value::Null).await;
    assert_eq!(application.body["profile"], "dotpe");
    let endpoint = world.call("GET", &path, Value::Null).await;
    assert_eq!(endpoint.body["profile"], "moneyhub");
    assert_eq!(endpoint.body["format"], "jwt");
    let cleared = world.call("PATCH", &path, json!({"profile": null, "format": null})).await;
    assert_eq!((&cleared.body["profile"], &cleared.body["format"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn an_envelope_goes_around_the_published_bytes() {
    let world = World::new();
    let app = application(&world, "standard-webhooks").await;
    world.endpoint(&app, URL).await;
    let spelled = r#"{ "b":1.0,  "a" : "\u00e9" }"#;
    let body = format!(r#"{{"eventType":"order.paid","payload":{spelled}}}"#);
    let request = http::Request::post(format!("/api/v1/app/{app}/msg"))
        .header("authorization", format!("Bearer {}", world.token()))
        .body(body.into())
        .unwrap();
    let published = world.send(request).await;
    world.dispatch_all().await;
    let timestamp = text(&published.body["timestamp"]);
    let expected = format!(r#"{{"type":"order.paid","timestamp":"{timestamp}","data":{spelled}}}"#);
    assert_eq!(world.network.sent()[0].body, expected.as_bytes());
}

#[tokio::test]
async fn every_attempt_sends_the_same_body() {
    let world = World::new();
    let app = application(&world, "standard-webhooks").await;
    world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    world.publish(&app, json!({"n": 1})).await;
    world.live_s(60).await;
    let sent = world.network.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].body, sent[1].body);
}

#[tokio::test]
async fn null_is_a_payload_only_where_an_envelope_holds_it() {
    let world = World::new();
    for (profile, status) in [("dashx", 202), ("svix", 422)] {
        let app = application(&world, profile).await;
        let body = json!({"eventType": "a.b", "payload": null});
        let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
        assert_eq!(reply.status, status, "{profile}");
    }
}

#[tokio::test]
async fn a_user_adds_a_profile_without_touching_code() {
    let file = file::parse("small.toml", SMALL).unwrap();
    let profiles = Profiles::built_in().with([(file.profile, file.events)]);
    let world = World::build(Builder { profiles, ..Builder::default() });
    let shown = world.call("GET", "/api/v1/profile/small", Value::Null).await;
    assert_eq!(shown.body["events"][0]["type"], "a.b");
    let app = application(&world, "small").await;
    world.endpoint(&app, URL).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent()[0].timeout_ms, 2_000);
}

#[tokio::test]
async fn tenants_are_told_when_a_format_is_on_its_way_out() {
    let world = World::new();
    let body = json!({
        "url": URL, "eventTypes": ["profile.deprecated", "event_type.deprecated"],
    });
    let made = world.call("POST", "/api/v1/operational-webhook/endpoint", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    put(&world, "small", SMALL).await;
    let app = application(&world, "small").await;
    let path = format!("/api/v1/app/{app}");
    assert_eq!(world.call("GET", &path, Value::Null).await.body.get("deprecation"), None);

    let ending = format!("{SMALL}\n[deprecated]\nnotice = \"Use big.\"\nends = \"2027-06-30\"\n");
    for _ in 0..2 {
        assert_eq!(put(&world, "small", &ending).await.status, 200);
    }
    let event_type = json!({"name": "a.b", "description": "It happened."});
    world.call("POST", "/api/v1/event-type", event_type).await;
    for _ in 0..2 {
        world.call("PATCH", "/api/v1/event-type/a.b", json!({"deprecated": true})).await;
    }
    world.live_s(120).await;
    let mut told: Vec<Value> = world
        .network
        .sent()
        .iter()
        .map(|sent| serde_json::from_slice(&sent.body).unwrap())
        .collect();
    told.sort_by_key(|notice| text(&notice["type"]));
    let notice = json!({"profile": "small", "notice": "Use big.", "ends": "2027-06-30"});
    let of_type = json!({"name": "a.b", "description": "It happened."});
    assert_eq!(
        told,
        [
            json!({"type": "event_type.deprecated", "data": of_type}),
            json!({"type": "profile.deprecated", "data": notice}),
        ]
    );
    let shown = world.call("GET", &path, Value::Null).await;
    assert_eq!(shown.body["deprecation"]["notice"], "Use big.");
}

#[tokio::test]
async fn an_endpoint_whose_profile_is_gone_holds_up_no_other() {
    const OTHER: &str = "http://127.0.0.1:9/other";
    let small = file::parse("small", SMALL).unwrap();
    let profiles = Profiles::built_in().with([(small.profile, small.events)]);
    let world = World::build(Builder { profiles, ..Builder::default() });
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.endpoint_with(&app, json!({"url": OTHER, "profile": "small"})).await;
    let mut parts = world.parts.clone();
    parts.profiles = Profiles::built_in();
    let restarted = dispatch::Dispatcher::new(parts);
    world.publish(&app, json!({})).await;
    for _ in 0..3 {
        world.dispatch_by(&restarted).await;
        world.advance_s(30);
    }
    assert_eq!((world.network.sent_to(URL).len(), world.network.sent_to(OTHER).len()), (1, 0));
    // Its own record waits, and goes out once the profile is back.
    world.dispatch_all().await;
    assert_eq!((world.network.sent_to(URL).len(), world.network.sent_to(OTHER).len()), (1, 1));
}

#[test]
fn what_is_no_file_is_no_profile_whatever_its_name() {
    let directory = crate::support::directory::Directory::new();
    let place = directory.path().join("pipe.toml");
    let _socket = std::os::unix::net::UnixListener::bind(&place).unwrap();
    let why = file::read_directory(directory.path()).unwrap_err();
    assert_eq!(why, format!("{}: must be a file", place.display()));
}

#[test]
fn a_directory_without_a_profile_is_refused_and_the_end_of_a_name_may_be_in_capitals() {
    let directory = crate::support::directory::Directory::new();
    std::fs::write(directory.path().join("small.yaml"), SMALL).unwrap();
    let why = file::read_directory(directory.path()).unwrap_err();
    assert_eq!(
        why,
        format!("{}: has no profile: put a file NAME.toml there", directory.path().display())
    );
    std::fs::write(directory.path().join("small.TOML"), SMALL).unwrap();
    let read = file::read_directory(directory.path()).unwrap();
    assert_eq!(read[0].profile.name, "small");
}

#[test]
fn a_profile_that_is_not_called_as_its_file_is_refused_at_the_line_of_its_name() {
    let directory = crate::support::directory::Directory::new();
    let text = format!("# Its name is not that of the file.\n\n{SMALL}");
    std::fs::write(directory.path().join("large.toml"), text).unwrap();
    let why = file::read_directory(directory.path()).unwrap_err();
    assert!(why.contains("large.toml:3: the profile is called `small`"), "{why}");
}

#[tokio::test]
async fn a_profile_is_there_once_it_is_stored_whoever_asked_for_it_before() {
    let world = World::new();
    let body = json!({"name": "A", "profile": "small"});
    assert_eq!(world.call("POST", "/api/v1/app", body.clone()).await.status, 422);
    assert_eq!(put(&world, "small", SMALL).await.status, 200);
    assert_eq!(world.call("POST", "/api/v1/app", body).await.status, 201);
}

#[tokio::test]
async fn events_of_a_profile_that_can_be_no_event_types_are_refused_when_it_is_stored() {
    let world = World::new();
    for (from, to, why) in [
        ("\"object\"", "\"banana\"", "event `a.b`: schemas.1.type: must be array, boolean"),
        ("'{\"type\": \"object\"}'", "'true'", "event `a.b`: schemas.1: must be a JSON Schema"),
        ("It happened.", &"d".repeat(4_097), "event `a.b`: description: must be at most 4096"),
    ] {
        let refused = put(&world, "small", &SMALL.replace(from, to)).await;
        assert_eq!(refused.status, 422, "{to}: {refused:?}");
        assert!(refused.body["detail"][0]["msg"].as_str().unwrap().starts_with(why), "{refused:?}");
    }
}

pub(crate) async fn application(world: &World, profile: &str) -> String {
    let body = json!({"name": profile, "profile": profile});
    let created = world.call("POST", "/api/v1/app", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    text(&created.body["id"])
}

async fn put(world: &World, name: &str, toml: &str) -> crate::support::world::Reply {
    let path = format!("/api/v1/profile/{name}");
    world.call("PUT", &path, json!({"toml": toml})).await
}

fn built_in_files() -> Vec<ProfileFile> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("shared/profiles");
    file::read_directory(&directory).unwrap()
}

/// Enough of JSON Schema for the schemas that come with Posthorn.
fn assert_fits(schema: &Value, value: &Value, at: &str) {
    if let Some(constant) = schema.get("const") {
        assert_eq!(constant, value, "{at}");
    }
    if let Some(choice) = schema.get("enum") {
        assert!(choice.as_array().unwrap().contains(value), "{at}: {value}");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let object = value.as_object().unwrap_or_else(|| panic!("{at}: {value}"));
            let properties = &schema["properties"];
            for (name, value) in object {
                assert!(properties.get(name).is_some(), "{at}: {name} is not in the schema");
                assert_fits(&properties[name], value, &format!("{at}.{name}"));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(object.contains_key(name.as_str().unwrap()), "{at}: {name} is missing");
            }
        }
        Some("array") => {
            for item in value.as_array().unwrap_or_else(|| panic!("{at}: {value}")) {
                assert_fits(&schema["items"], item, at);
            }
        }
        Some("string") => assert!(value.is_string(), "{at}: {value}"),
        Some("integer") => assert!(value.is_i64(), "{at}: {value}"),
        Some("number") => assert!(value.is_number(), "{at}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{at}: {value}"),
        Some("null") => assert!(value.is_null(), "{at}: {value}"),
        Some(other) => panic!("{at}: a schema of the type {other}"),
        None => {}
    }
}
