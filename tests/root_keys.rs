//! A root secret is changed without anything that stops working: what was sealed opens, tokens
//! verify, and at last nothing needs the old key.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::clock::Ambient;
use shared::domain::id::OrganisationId;
use shared::domain::secret::{Resealed, RootSecret, Sealed, SigningSecret};
use shared::domain::token::{Access, Tokens};
use shared::embedded::Engine;

use crate::local_data::{begin_anew, check_secret, replace_secret, root_secret};
use crate::stored::lived;
use crate::support::directory::Directory;
use crate::support::kinds::kind_of;
use crate::support::network::header;
use crate::support::still::{StillClock, ambient};
use crate::support::world::{ROOT_SECRET, World, text};

const OWNER: &str = "ep_1srOrx2ZWZBpBUvZwXKQmoEYga2";
const RESEAL: &str = "/api/v1/operator/root-secret/reseal";
const URL: &str = "http://127.0.0.1:9/hook";

// The list.

#[test]
fn a_key_as_it_stands_and_a_list_of_it_are_the_same() {
    let one = RootSecret::new(ROOT_SECRET).unwrap();
    let list = RootSecret::new(&one.to_text()).unwrap();
    assert_eq!((one.ids(), one.token_key()), (list.ids(), list.token_key()));
    assert_eq!(one.fingerprint(), list.fingerprint());
}

#[test]
fn a_key_that_is_added_opens_and_the_one_before_seals_until_it_is_promoted() {
    let (old, new) = (key("a"), key("b"));
    let added = old.with(&"b".repeat(32)).unwrap();
    assert_eq!(added.ids(), [old.ids(), new.ids()].concat());
    assert_eq!(added.token_key(), old.token_key());
    let promoted = RootSecret::new(&added.promoted().to_text()).unwrap();
    assert_eq!(promoted.ids(), [new.ids(), old.ids()].concat());
    assert_eq!(promoted.token_key(), new.token_key());
    assert_eq!(promoted.retired().ids(), new.ids());
    // What one seals the other opens, at every step.
    let steps = [old, added, promoted.clone(), promoted.retired()];
    for pair in steps.windows(2) {
        for (seals, opens) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let sealed = seals.sealer().seal_bytes(b"a secret", OWNER, &still());
            // Only what was not sealed anew before the old key went away.
            let gone = opens.ids().len() == 1 && seals.ids()[0] != opens.ids()[0];
            let opened = opens.sealer().open_bytes(&sealed, OWNER);
            assert_eq!(opened.is_none(), gone, "{:?} {:?}", seals.ids(), opens.ids());
        }
    }
}

#[test]
fn a_list_that_is_none_is_refused_without_showing_it() {
    let (a, b) = (key("a"), "b".repeat(32));
    let id = &a.ids()[0];
    let hidden = "hidden-in-the-root-secret-hidden";
    for (text, why) in [
        (format!(r#"{{"v":2,"keys":[{{"id":"{id}","key":"{hidden}"}}]}}"#), "it was changed"),
        (format!(r#"{{"v":3,"keys":[{{"id":"{id}","key":"{hidden}"}}]}}"#), "version 3"),
        (format!(r#"{{"v":2,"keys":["{hidden}"]}}"#), "no list of keys"),
        (format!(r#"{{"{hidden}"#), "no list of keys"),
        (r#"{"v":2,"keys":[]}"#.to_owned(), "1 to 8 keys"),
        (r#"{"v":2,"keys":[{"id":"x","key":"hidden"}]}"#.to_owned(), "key 1: "),
    ] {
        let reason = RootSecret::new(&text).unwrap_err();
        assert!(reason.contains(why) && !reason.contains("hidden"), "{reason}");
    }
    let twice = a.with(&b).unwrap().with(&b).unwrap_err();
    assert!(twice.contains("twice"), "{twice}");
}

// What is sealed.

#[test]
fn what_was_sealed_before_there_were_lists_still_opens_beside_newer_keys() {
    let first = first_sealed();
    let secret = |root: &RootSecret| root.sealer().open(&first.0, &first.1);
    let old = RootSecret::new(ROOT_SECRET).unwrap();
    let opened = secret(&old).expect("it opens");
    assert_eq!(secret(&old.with(&"b".repeat(32)).unwrap().promoted()), Some(opened));
    assert_eq!(secret(&key("b")), None);
}

#[test]
fn what_is_sealed_says_its_version_and_with_which_key() {
    let root = key("a");
    let sealed = root.sealer().seal_bytes(b"a secret", OWNER, &still());
    let text = text(&serde_json::to_value(&sealed).unwrap());
    let [version, id, base64] = text.split('.').collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert_eq!((version, id), ("2", root.ids()[0].as_str()));
    assert!(!base64.is_empty());
    // Under another name or version it does not open.
    for other in [format!("2.00000000.{base64}"), format!("3.{id}.{base64}"), format!("2.{base64}")]
    {
        let other: Sealed = serde_json::from_value(json!(other)).unwrap();
        assert_eq!(root.sealer().open_bytes(&other, OWNER), None);
    }
}

#[test]
fn sealing_anew_changes_what_another_key_sealed_and_nothing_else() {
    let (old, ambient) = (key("a"), still());
    let new = old.with(&"b".repeat(32)).unwrap().promoted();
    let secret = SigningSecret::generate(&ambient);
    let mut sealed = old.sealer().seal(&secret, OWNER, &ambient);
    let anew = new.sealer().reseal(&mut sealed, OWNER, &ambient);
    assert_eq!(anew, Resealed { anew: 1, unopened: 0 });
    assert_eq!(new.retired().sealer().open(&sealed, OWNER), Some(secret));
    let before = sealed.clone();
    assert_eq!(new.sealer().reseal(&mut sealed, OWNER, &ambient), Resealed::default());
    let stranger = key("c").sealer().reseal(&mut sealed, OWNER, &ambient);
    assert_eq!(stranger, Resealed { anew: 0, unopened: 1 });
    assert_eq!(sealed, before);
}

// Tokens.

#[test]
fn tokens_of_every_key_of_the_list_open_and_end_with_their_key() {
    let (old, ambient) = (key("a"), still());
    let org: OrganisationId = shared::host::config::DEFAULT_ORGANISATION.parse().unwrap();
    let token = Tokens::of(&old).issue(Access::Organisation(org), ambient.now(), 60);
    let new = old.with(&"b".repeat(32)).unwrap().promoted();
    let opens = |root: &RootSecret| Tokens::of(root).open(&token, ambient.now()).is_some();
    assert!(opens(&old) && opens(&new));
    assert!(!opens(&new.retired()));
    let newer = Tokens::of(&new).issue(Access::Organisation(org), ambient.now(), 60);
    assert!(Tokens::of(&new.retired()).open(&newer, ambient.now()).is_some());
}

// Everything that is stored.

#[tokio::test]
async fn everything_that_is_stored_is_sealed_anew_a_page_at_a_time_and_still_opens() {
    let mut world = lived().await;
    let operational = "/api/v1/operational-webhook/endpoint";
    let body = json!({"url": "https://ops.example.com/hook", "uid": "ops"});
    assert_eq!(world.call("POST", operational, body).await.status, 201);
    let old = RootSecret::new(ROOT_SECRET).unwrap();
    let new = old.with(&"b".repeat(32)).unwrap().promoted();
    let kinds = sealed_with(&world, &old);
    let with_secrets = ["application", "endpoint", "key set", "source"];
    assert!(with_secrets.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    know(&mut world, &new);
    assert_eq!(
        world.call("GET", "/api/v1/operator/root-secret", Value::Null).await.body["keys"],
        json!(new.ids())
    );

    let first = reseal(&world).await;
    assert!(first.0 > 1, "a page for each application");
    assert!(first.1 >= 5, "secrets that were sealed anew: {}", first.1);
    // Kept answers and one-time codes go by themselves. Nothing else needs the old key.
    let left = sealed_with(&world, &old);
    let passing = |kind: &String| kind.contains("answer") || kind.contains("code");
    assert!(left.iter().all(passing), "not sealed anew: {left:?}");
    assert_eq!(reseal(&world).await.1, 0, "nothing is left to do");

    know(&mut world, &new.retired());
    let app = world.call("GET", "/api/v1/app/first", Value::Null).await.body["id"].clone();
    let path = format!("/api/v1/app/{}/endpoint/hook", text(&app));
    let secret = world.call("GET", &format!("{path}/secret"), Value::Null).await;
    assert_eq!(secret.status, 200, "{secret:?}");
    let secret = world.call("GET", &format!("{operational}/ops/secret"), Value::Null).await;
    assert_eq!(secret.status, 200, "{secret:?}");
    let event = json!({"eventType": "test.event", "payload": {"n": 2}});
    let sent = world.network.sent().len();
    let path = format!("/api/v1/app/{}/msg", text(&app));
    assert_eq!(world.call("POST", &path, event).await.status, 202);
    world.dispatch_all().await;
    let requests = world.network.sent();
    assert!(header(&requests[sent], "webhook-signature").starts_with("v1,"));
}

#[tokio::test]
async fn what_no_key_opens_is_counted_and_left_as_it_is() {
    let (mut world, app, _) = World::with_endpoint(URL).await;
    know(&mut world, &key("c"));
    let page = world.call("POST", RESEAL, Value::Null).await.body;
    assert_eq!((&page["resealed"], &page["unopened"]), (&json!(0), &json!(2)), "{page}");
    know(&mut world, &RootSecret::new(ROOT_SECRET).unwrap());
    let path = format!("/api/v1/app/{app}/endpoint");
    assert_eq!(world.call("GET", &path, Value::Null).await.status, 200);
    assert_eq!(reseal(&world).await.1, 0);
}

#[tokio::test]
async fn an_application_s_token_does_not_learn_of_the_root_secret() {
    let (world, app) = World::with_application().await;
    let token = world.app_token(&app);
    for (method, path) in [("GET", "/api/v1/operator/root-secret"), ("POST", RESEAL)] {
        let reply = world.call_as(&token, method, path, Value::Null).await;
        assert_eq!(reply.status, 403, "{reply:?}");
    }
}

// On one machine.

#[tokio::test]
async fn a_database_goes_on_under_a_list_with_the_key_that_it_was_begun_with() {
    let scratch = Directory::new();
    let directory = scratch.path().join("kept");
    let ambient = Ambient::system();
    let old = root_secret(&directory, &ambient).unwrap();
    let engine = Engine::open(&directory).unwrap();
    check_secret(&engine, &old).await.unwrap();

    let new = old.with(&RootSecret::generate(&ambient)).unwrap().promoted();
    replace_secret(&directory, &new).unwrap();
    let read = root_secret(&directory, &ambient).unwrap();
    assert_eq!(read.ids(), new.ids());
    check_secret(&engine, &read).await.unwrap();
    // The old key is needed until it is noted that it is not.
    check_secret(&engine, &new.retired()).await.unwrap_err();
    begin_anew(&engine, &new.retired()).await.unwrap();
    check_secret(&engine, &new.retired()).await.unwrap();
    check_secret(&engine, &old).await.unwrap_err();
}

fn key(letter: &str) -> RootSecret {
    RootSecret::new(&letter.repeat(32)).unwrap()
}

fn still() -> Ambient {
    ambient(&StillClock::new())
}

/// A secret that the first format's code sealed, and for whom.
fn first_sealed() -> (Sealed, String) {
    let file: Value = serde_json::from_str(include_str!("golden/first-format.json")).unwrap();
    let items = file["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["doc"]["integrationKey"].is_object()).unwrap();
    let sealed = found["doc"]["integrationKey"]["current"].clone();
    (serde_json::from_value(sealed).unwrap(), text(&found["doc"]["id"]))
}

/// From now on the functions know this root secret.
fn know(world: &mut World, secret: &RootSecret) {
    world.admin.sealer = secret.sealer();
    world.parts.sealer = secret.sealer();
    world.dispatcher = dispatch::Dispatcher::new(world.parts.clone());
}

/// Seals everything anew; in how many pages, and how many secrets.
async fn reseal(world: &World) -> (usize, u64) {
    let (mut pages, mut anew, mut iterator) = (0, 0, String::new());
    loop {
        let reply = world.call("POST", &format!("{RESEAL}?limit=1{iterator}"), Value::Null).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body["unopened"], 0);
        pages += 1;
        anew += reply.body["resealed"].as_u64().unwrap();
        if reply.body["done"] == true {
            return (pages, anew);
        }
        iterator = format!("&iterator={}", text(&reply.body["iterator"]));
    }
}

/// Kinds of items in which something is sealed with this key.
fn sealed_with(world: &World, secret: &RootSecret) -> BTreeSet<String> {
    let mark = format!("\"2.{}.", secret.ids()[0]);
    let stored = world.stored.lock().unwrap();
    let marked = stored.values().filter(|item| item.doc.contains(&mark));
    marked.map(|item| kind_of(&item.key).unwrap().to_owned()).collect()
}
