//! Tenants cannot see each other. Every operation in the table is tried with every token that
//! must not reach it; one that is new is tried as well.

use description::Caller;
use serde_json::Value;
use shared::domain::id::OrganisationId;
use shared::domain::token::{APPLICATION_TOKEN_S, Access};

use crate::support::stage::{MARK, Stage, descriptions, routes};

/// What a stranger may be told.
const REFUSALS: [u16; 3] = [401, 403, 404];

#[tokio::test]
async fn no_operation_is_open_to_a_stranger() {
    for description in descriptions().iter().filter(|one| one.caller != Caller::Anyone) {
        for route in routes().iter().filter(|route| route.id == description.id) {
            let stage = Stage::new().await;
            stage.prepare(&route.id).await;
            let play = stage.play(route);
            let before = seen_by_owner(&stage).await;
            for stranger in strangers(&stage, description.caller) {
                let reply = stage.send(&stranger.token, &play).await;
                let who = format!("{} with {}", play.id, stranger.who);
                // Without an application in the path, another organisation asks for its own.
                if !stranger.has_things_of_its_own || play.path.contains("/app/") {
                    assert!(REFUSALS.contains(&reply.status.as_u16()), "{who}: {reply:?}");
                }
                let answer = String::from_utf8_lossy(&reply.bytes);
                assert!(!answer.contains(MARK), "{who} is told {answer}");
                // What is its own it may call as it likes.
                let own_names = match stranger.has_things_of_its_own {
                    true => format!("{} {}", play.path, play.body),
                    false => String::new(),
                };
                for name in stage.names.values().filter(|name| !own_names.contains(*name)) {
                    assert!(!answer.contains(name.as_str()), "{who} is told {answer}");
                }
            }
            assert_eq!(seen_by_owner(&stage).await, before, "after {}", play.id);
        }
    }
}

struct Stranger {
    who: &'static str,
    token: String,
    /// It may get an answer, about something else.
    has_things_of_its_own: bool,
}

/// Everybody whom an operation on the application in the path refuses.
fn strangers(stage: &Stage, caller: Caller) -> Vec<Stranger> {
    let world = &stage.world;
    let org = OrganisationId::new(&world.ambient);
    let app = stage.names["app_id"].parse().unwrap();
    let of_app =
        world.tokens.issue(Access::Application(org, app), world.ambient.now(), APPLICATION_TOKEN_S);
    let stranger = |who, token| Stranger { who, token, has_things_of_its_own: false };
    let mut strangers = vec![
        Stranger {
            who: "another organisation's token",
            token: world.token_of(org),
            has_things_of_its_own: matches!(caller, Caller::Organisation | Caller::Member),
        },
        Stranger {
            who: "a token of the application in another organisation",
            token: of_app,
            has_things_of_its_own: caller == Caller::Member,
        },
        stranger("a token that nobody signed", "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl".to_owned()),
    ];
    if caller != Caller::Member {
        let other = world.app_token(&stage.other_app);
        strangers.push(stranger("another application's token", other));
    }
    if !matches!(caller, Caller::Application | Caller::Member) {
        let own = world.app_token(&stage.names["app_id"]);
        strangers.push(stranger("the application's own token", own));
    }
    strangers
}

/// What the owner gets from every operation that reads, and how much waits in the queues.
async fn seen_by_owner(stage: &Stage) -> (Vec<(String, Value)>, usize) {
    let mut seen = Vec::new();
    for route in routes().iter().filter(|route| route.method == "GET") {
        let play = stage.play(route);
        let reply = stage.send(&stage.world.token(), &play).await;
        seen.push((play.id, reply.body));
    }
    let queues = &stage.world.queues;
    (seen, queues.deliveries.len() + queues.retries.len())
}
