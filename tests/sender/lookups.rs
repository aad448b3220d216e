//! How names are looked up: shared, limited, and the slow ones apart.

use std::collections::HashMap;

use futures_util::future::join_all;
use shared::domain::clock::Timestamp;
use shared::domain::id::{ApplicationId, Ksuid, RANDOM_BYTES};
use shared::sender::lookup::{LookupLimits, Lookups};
use tokio::sync::Semaphore;

use super::*;

/// Answers at once, except for names that begin with `slow`: for each of those it waits until it
/// is let go.
#[derive(Default)]
struct Names {
    asked: Mutex<HashMap<String, usize>>,
    under_way: Mutex<(usize, usize)>,
    let_go: Option<Arc<Semaphore>>,
    slow_answer: Option<IpAddr>,
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        *self.asked.lock().unwrap().entry(host.to_owned()).or_default() += 1;
        {
            let mut under_way = self.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        let mut answer = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        if host.starts_with("slow")
            && let Some(let_go) = &self.let_go
        {
            let_go.acquire().await.unwrap().forget();
            answer = self.slow_answer;
        }
        self.under_way.lock().unwrap().0 -= 1;
        answer.map(|address| vec![address]).ok_or_else(|| "no answer".to_owned())
    }
}

impl Names {
    fn held() -> (Arc<Self>, Arc<Semaphore>) {
        let let_go = Arc::new(Semaphore::new(0));
        (Arc::new(Self { let_go: Some(let_go.clone()), ..Self::default() }), let_go)
    }

    fn asked(&self, host: &str) -> usize {
        self.asked.lock().unwrap().get(host).copied().unwrap_or_default()
    }

    fn most_at_once(&self) -> usize {
        self.under_way.lock().unwrap().1
    }

    async fn until_asked(&self, count: usize) {
        while self.asked.lock().unwrap().values().sum::<usize>() < count {
            tokio::task::yield_now().await;
        }
    }
}

fn limits() -> LookupLimits {
    LookupLimits { quick: 4, slow: 4, slow_after_ms: 5, ..LookupLimits::default() }
}

#[tokio::test]
async fn whoever_asks_for_a_name_that_is_being_looked_up_shares_the_answer() {
    let (names, let_go) = Names::held();
    let lookups = Lookups::new(names.clone(), LookupLimits::default());
    let asking = join_all((0..100).map(|_| lookups.resolve("slow.example.com")));
    let (answers, ()) = tokio::join!(asking, async { let_go.add_permits(1) });
    assert!(answers.iter().all(|answer| *answer == Err("no answer".to_owned())), "{answers:?}");
    assert_eq!(names.asked("slow.example.com"), 1);
    // It was not slow, so its failure is not remembered.
    let_go.add_permits(1);
    lookups.resolve("slow.example.com").await.unwrap_err();
    assert_eq!(names.asked("slow.example.com"), 2);
}

#[tokio::test]
async fn no_more_names_are_looked_up_at_once_than_there_are_places() {
    let (names, let_go) = Names::held();
    let limits = LookupLimits { slow_after_ms: 60_000, ..limits() };
    let lookups = Lookups::new(names.clone(), limits);
    let hosts: Vec<_> = (0..50).map(|i| format!("slow.{i}.example")).collect();
    let asking = join_all(hosts.iter().map(|host| lookups.resolve(host)));
    let (answers, ()) = tokio::join!(asking, async {
        names.until_asked(4).await;
        settle().await;
        let_go.add_permits(50);
    });
    assert_eq!(answers.len(), 50);
    assert_eq!(names.most_at_once(), 4);
}

#[tokio::test]
async fn slow_names_get_out_of_the_way_of_quick_ones() {
    let (names, let_go) = Names::held();
    let lookups = Lookups::new(names.clone(), limits());
    let hosts: Vec<_> = (0..4).map(|i| format!("slow.{i}.example")).collect();
    let asking = join_all(hosts.iter().map(|host| lookups.resolve(host)));
    let others = async {
        // All places are taken, and become free when the names turn out slow.
        names.until_asked(4).await;
        for i in 0..20 {
            lookups.resolve(&format!("quick.{i}.example")).await.unwrap();
        }
        let_go.add_permits(4);
    };
    tokio::join!(asking, others);
    assert_eq!(names.asked("slow.0.example"), 1);
}

#[tokio::test]
async fn a_name_that_gave_no_answer_in_time_is_not_asked_again_for_a_while() {
    let (names, let_go) = Names::held();
    let lookups = Lookups::new(names.clone(), limits());
    let gave_up = Duration::from_millis(20);
    let waiting = tokio::time::timeout(gave_up, lookups.resolve("slow.example.com"));
    assert!(waiting.await.is_err());
    // It is still under way.
    let (answer, ()) =
        tokio::join!(lookups.resolve("slow.example.com"), async { let_go.add_permits(1) });
    assert_eq!(answer, Err("no answer".to_owned()));
    assert_eq!(lookups.resolve("slow.example.com").await, Err("no answer".to_owned()));
    assert_eq!(names.asked("slow.example.com"), 1);
}

#[tokio::test]
async fn names_of_a_zone_full_of_slow_ones_do_not_take_the_places_of_others() {
    let let_go = Arc::new(Semaphore::new(0));
    let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let names = Names { let_go: Some(let_go.clone()), slow_answer: address, ..Names::default() };
    let names = Arc::new(names);
    let lookups = Lookups::new(names.clone(), LookupLimits { quick: 8, slow: 8, ..limits() });
    let asking = |hosts: Vec<String>| {
        let lookups = lookups.clone();
        join_all(hosts.into_iter().map(move |host| {
            let lookups = lookups.clone();
            tokio::spawn(async move { lookups.resolve(&host).await.unwrap() })
        }))
    };
    let bad = |i| format!("slow-{i}.bad.example");
    let first = asking((0..8).map(bad).collect());
    // Are under way beside them only when all of the zone have turned out slow.
    let beside = asking((0..8).map(|i| format!("slow.{i}.example")).collect());
    names.until_asked(16).await;
    let_go.add_permits(16);
    first.await;
    beside.await;

    // New names of the zone, many more than there are places.
    let later = asking((8..100).map(bad).collect());
    names.until_asked(16 + 8).await;
    for i in 0..20 {
        lookups.resolve(&format!("quick-{i}.good.example")).await.unwrap();
    }
    assert_eq!(names.asked.lock().unwrap().len(), 16 + 8 + 20);
    let_go.add_permits(92);
    for answer in later.await {
        assert_eq!(answer.unwrap(), addresses(&["127.0.0.1"]));
    }
}

#[tokio::test]
async fn an_application_whose_names_are_slow_does_not_take_the_places_of_others() {
    let (names, let_go) = Names::held();
    let limits = LookupLimits {
        quick: 8,
        of_an_application: 3,
        slow_after_ms: 60_000,
        ..LookupLimits::default()
    };
    let lookups = Lookups::new(names.clone(), limits);
    let one = |byte| {
        Some(ApplicationId::from_ksuid(Ksuid::from_parts(Timestamp(0), [byte; RANDOM_BYTES])))
    };
    let hostile: Vec<_> = (0..40)
        .map(|i| {
            let lookups = lookups.clone();
            let host = format!("slow.{i}.example");
            tokio::spawn(async move { lookups.resolve_for(&host, one(1)).await })
        })
        .collect();
    names.until_asked(3).await;
    settle().await;
    assert_eq!(names.most_at_once(), 3, "each in a zone of its own, and none known to be slow");
    for i in 0..20 {
        let host = format!("quick.{i}.example");
        lookups.resolve_for(&host, one(2)).await.unwrap();
    }
    // Who has given up keeps no place waiting, and a look-up under way goes on.
    hostile.iter().for_each(tokio::task::JoinHandle::abort);
    let_go.add_permits(3);
    let host = "quick.last.example";
    assert!(lookups.resolve_for(host, one(1)).await.is_ok());
    assert_eq!(names.asked.lock().unwrap().len(), 3 + 20 + 1);
}
