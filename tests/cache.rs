//! What a store remembers: for a while, not too much of it, and never what was overtaken.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::domain::clock::Clock;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, EndpointId, SourceId};
use shared::store::cache::Cache;
use shared::store::{Cached, Directory, DirectoryEditor, Need, Sources, StoreError};

use crate::support::interleaved::Interleaved;
use crate::support::still::StillClock;
use crate::support::world::{World, text};

const TTL_MS: u64 = 1_000;

fn cache(bound: usize) -> (Arc<StillClock>, Cache<u32, u32>) {
    let clock = StillClock::new();
    let dyn_clock: Arc<dyn Clock> = clock.clone();
    (clock, Cache::new(dyn_clock, TTL_MS, bound))
}

async fn read(value: u32) -> Result<u32, StoreError> {
    Ok(value)
}

#[tokio::test]
async fn a_value_is_remembered_until_its_time_is_over() {
    let (clock, cache) = cache(10);
    assert_eq!(cache.get_or_read(1, read(10)).await, Ok(10));
    clock.advance_ms(TTL_MS - 1);
    assert_eq!(cache.get_or_read(1, read(11)).await, Ok(10));
    clock.advance_ms(1);
    assert_eq!(cache.get(&1), None);
    assert_eq!(cache.get_or_read(1, read(12)).await, Ok(12));
}

#[tokio::test]
async fn a_value_is_as_old_as_the_moment_when_its_reading_began() {
    let (clock, cache) = cache(10);
    let slow = async {
        clock.advance_ms(TTL_MS - 1);
        read(10).await
    };
    cache.get_or_read(1, slow).await.unwrap();
    assert_eq!(cache.get(&1), Some(10));
    clock.advance_ms(1);
    assert_eq!(cache.get(&1), None);
}

#[tokio::test]
async fn without_a_time_nothing_is_remembered() {
    let dyn_clock: Arc<dyn Clock> = StillClock::new();
    let cache: Cache<u32, u32> = Cache::new(dyn_clock, 0, 10);
    assert_eq!(cache.get_or_read(1, read(10)).await, Ok(10));
    assert!(cache.is_empty());
}

#[tokio::test]
async fn a_full_cache_lets_go_first_of_what_holds_no_longer() {
    let (clock, cache) = cache(3);
    cache.get_or_read(1, read(1)).await.unwrap();
    clock.advance_ms(TTL_MS / 2);
    cache.get_or_read(2, read(2)).await.unwrap();
    cache.get_or_read(3, read(3)).await.unwrap();
    clock.advance_ms(TTL_MS / 2);
    cache.get_or_read(4, read(4)).await.unwrap();
    assert_eq!((cache.get(&1), cache.get(&2), cache.get(&4)), (None, Some(2), Some(4)));
}

#[tokio::test]
async fn a_cache_never_holds_more_than_its_bound() {
    let (_, cache) = cache(3);
    for key in 0..100 {
        assert_eq!(cache.get_or_read(key, read(key)).await, Ok(key));
        assert!(cache.len() <= 3, "{} of 3", cache.len());
        assert_eq!(cache.get(&key), Some(key));
    }
}

#[tokio::test]
async fn neither_a_failure_nor_an_absence_is_remembered() {
    let (_, cache) = cache(10);
    let failure = StoreError::Unavailable("down".to_owned());
    let failing = async { Err(failure.clone()) };
    assert_eq!(cache.get_or_read(1, failing).await, Err(failure.clone()));
    assert_eq!(cache.get_or_find(1, async { Ok::<_, StoreError>(None) }).await, Ok(None));
    assert_eq!(cache.get_or_read(1, read(10)).await, Ok(10));
}

#[tokio::test]
async fn a_read_that_was_overtaken_by_a_change_is_not_remembered() {
    let (_, cache) = cache(10);
    let overtaken = async {
        let old = read(10).await;
        cache.forget(&1);
        old
    };
    assert_eq!(cache.get_or_read(1, overtaken).await, Ok(10));
    assert_eq!(cache.get(&1), None);
    assert_eq!(cache.get_or_read(1, read(11)).await, Ok(11));
}

#[tokio::test]
async fn a_value_that_was_set_stays_whatever_an_earlier_read_brings() {
    let (clock, cache) = cache(10);
    let overtaken = async {
        cache.set(1, 11, clock.now().plus_ms(5 * TTL_MS));
        read(10).await
    };
    assert_eq!(cache.get_or_read(1, overtaken).await, Ok(10));
    clock.advance_ms(4 * TTL_MS);
    assert_eq!(cache.get(&1), Some(11));
}

#[tokio::test]
async fn a_value_that_is_changed_is_renewed_from_what_it_was_and_holds_no_longer_for_it() {
    let (clock, cache) = cache(10);
    cache.get_or_read(1, read(10)).await.unwrap();
    clock.advance_ms(TTL_MS / 2);
    cache.change(&1, |value| {
        *value += 1;
        true
    });
    let (begun, old) = cache.begin(&1);
    assert_eq!(old, Some(11));
    cache.finish(begun, 1, 20);
    assert_eq!(cache.get(&1), Some(20));
    clock.advance_ms(TTL_MS / 2);
    assert_eq!(cache.get(&1), None);
}

#[tokio::test]
async fn what_is_changed_while_it_is_read_or_renewed_is_not_remembered_as_it_was() {
    let (_, cache) = cache(10);
    let change = |cache: &Cache<u32, u32>| {
        cache.change(&1, |value| {
            *value += 1;
            true
        });
    };
    let overtaken = async {
        let old = read(10).await;
        change(&cache);
        old
    };
    assert_eq!(cache.get_or_read(1, overtaken).await, Ok(10));
    assert_eq!(cache.get_or_read(1, read(12)).await, Ok(12));
    let (begun, _) = cache.begin(&1);
    change(&cache);
    cache.finish(begun, 1, 14);
    assert_eq!(cache.get(&1), Some(13));
    cache.change(&1, |_| false);
    assert_eq!(cache.get(&1), None);
}

#[tokio::test]
async fn all_values_that_belong_together_are_forgotten_at_once() {
    let (_, cache) = cache(10);
    for key in 0..6 {
        cache.get_or_read(key, read(key % 2)).await.unwrap();
    }
    cache.forget_where(|_, value| *value == 1);
    assert_eq!((0..6).filter(|key| cache.get(key).is_some()).collect::<Vec<_>>(), [0, 2, 4]);
}

#[tokio::test]
async fn a_source_that_is_deleted_while_it_is_read_is_not_remembered() {
    let world = World::new();
    let id = source(&world).await;
    let table = Interleaved::new(&world.table);
    let sources = Sources::new(table.clone(), world.ambient.clock.clone(), 3_600_000);
    let editor = sources.clone();
    table.after_next_read(async move { editor.delete(&id).await.unwrap() });
    assert!(sources.find(&id).await.unwrap().is_some());
    assert_eq!(sources.find(&id).await.unwrap(), None);
}

#[tokio::test]
async fn a_source_that_is_changed_while_it_is_read_is_not_remembered_as_it_was() {
    let world = World::new();
    let id = source(&world).await;
    let table = Interleaved::new(&world.table);
    let sources = Sources::new(table.clone(), world.ambient.clock.clone(), 3_600_000);
    let editor = sources.clone();
    table.after_next_read(async move {
        editor.edit(&id, |source| source.secret = None).await.unwrap();
    });
    assert!(sources.find(&id).await.unwrap().unwrap().secret.is_some());
    assert!(sources.find(&id).await.unwrap().unwrap().secret.is_none());
}

#[tokio::test]
async fn an_application_that_is_deleted_while_it_is_read_is_not_remembered() {
    let world = World::new();
    let app = world.application().await.parse().unwrap();
    let table = Interleaved::new(&world.table);
    let cached = Cached::new(world.ambient.clock.clone(), 3_600_000);
    let directory = Directory::cached(table.clone(), cached.clone());
    let editor = DirectoryEditor::new(world.table.clone(), Some(cached));
    table.after_next_read(async move {
        editor.delete_application(&app, world.ambient.now()).await.unwrap();
    });
    assert!(directory.tenant(&app, Need::All).await.unwrap().is_some());
    assert_eq!(directory.tenant(&app, Need::All).await.unwrap(), None);
}

#[tokio::test]
async fn an_endpoint_that_is_changed_again_while_it_is_read_is_not_remembered_as_it_was() {
    let (world, app, endpoints) = with_endpoints(8).await;
    let table = Interleaved::new(&world.table);
    let cached = Cached::new(world.ambient.clock.clone(), 3_600_000);
    let directory = Directory::cached(table.clone(), cached.clone());
    let editor = DirectoryEditor::new(world.table.clone(), Some(cached));
    let (now, ep) = (world.ambient.now(), endpoints[3]);
    let is_disabled = async || {
        let tenant = directory.tenant(&app, Need::All).await.unwrap().unwrap();
        tenant.endpoint_by_id(&ep).unwrap().disabled
    };
    assert!(!is_disabled().await);
    editor.edit_endpoint(&app, &ep, now, |endpoint| endpoint.disabled = true).await.unwrap();
    table.after_next_read(async move {
        editor.edit_endpoint(&app, &ep, now, |endpoint| endpoint.disabled = false).await.unwrap();
    });
    // It was so when it was asked for.
    assert!(is_disabled().await);
    assert!(!is_disabled().await);
}

#[tokio::test]
async fn of_an_application_that_is_kept_what_has_changed_is_read_again_and_little_else() {
    // The calls that read all of it: a wide application is read without its endpoints first.
    for (narrow, all) in [(60, 1), (59, 2)] {
        let (world, app, endpoints) = with_endpoints(60).await;
        let cached = Cached::new(world.ambient.clock.clone(), 3_600_000);
        let directory = Directory::cached(world.table.clone(), cached.clone()).narrow(narrow);
        let editor = DirectoryEditor::new(world.table.clone(), Some(cached));
        let now = world.ambient.now();
        let described = async |eps: &[EndpointId], word: &str| {
            for ep in eps {
                let edit = |endpoint: &mut Endpoint| endpoint.description = word.to_owned();
                editor.edit_endpoint(&app, ep, now, edit).await.unwrap();
            }
        };
        // The calls that it takes to know the application as it is.
        let calls = async || {
            let fresh = Directory::new(world.table.clone()).tenant(&app, Need::All).await.unwrap();
            let before = world.meter.usage();
            let kept = directory.tenant(&app, Need::All).await.unwrap();
            assert_eq!(kept, fresh);
            world.meter.usage().since(&before).store_calls
        };
        assert_eq!((calls().await, calls().await), (all, 0));
        described(&endpoints[7..8], "once").await;
        described(&endpoints[7..9], "twice").await;
        assert_eq!((calls().await, calls().await), (2, 0));
        editor.delete_endpoint(&app, &endpoints[7]).await.unwrap();
        assert_eq!((calls().await, calls().await), (1, 0));
        // So many are better read together.
        described(&endpoints[10..30], "many").await;
        assert_eq!((calls().await, calls().await), (1, 0));
        editor.edit_application(&app, now, |it| it.name = "Anew".to_owned()).await.unwrap();
        assert_eq!((calls().await, calls().await), (all, 0));
    }
}

/// An application with so many endpoints.
async fn with_endpoints(count: usize) -> (World, ApplicationId, Vec<EndpointId>) {
    let (world, app) = World::with_application().await;
    let mut endpoints = Vec::with_capacity(count);
    for _ in 0..count {
        let made = world.endpoint(&app, "https://example.com/hook").await;
        endpoints.push(made.parse().unwrap());
    }
    (world, app.parse().unwrap(), endpoints)
}

async fn source(world: &World) -> SourceId {
    let app = world.application().await;
    let body = json!({"name": "Hub", "type": "github", "app": app, "config": {"secret": "s"}});
    let made: Value = world.call("POST", "/ingest/api/v1/source", body).await.body;
    text(&made["id"]).parse().unwrap()
}
