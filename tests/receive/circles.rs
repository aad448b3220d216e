//! Endpoints that lead back to where events are published.

use super::*;

#[tokio::test]
async fn an_event_that_our_own_deliveries_bring_back_comes_to_an_end() {
    let (world, app) = world().await;
    let mut hops = None;
    for round in 1.. {
        let mut headers = vec![("user-agent", "Posthorn/0.1.0")];
        headers.extend(hops.as_deref().map(|hops| ("posthorn-hops", hops)));
        let reply = publish(&world, &app, &headers, &event()).await;
        if round > 4 {
            assert_error(&reply, 400, "too_many_hops");
            break;
        }
        assert_eq!(reply.status, 202, "{round}");
        world.dispatch_all().await;
        let sent = world.network.sent_to(URL).pop().unwrap();
        hops = Some(header(&sent, "posthorn-hops").to_owned());
        assert_eq!(hops.as_deref(), Some(round.to_string().as_str()));
    }
    assert_eq!(publish(&world, &app, &[("user-agent", "x")], &event()).await.status, 202);
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL).pop().unwrap();
    assert!(sent.headers.iter().all(|(name, _)| name != "posthorn-hops"));
}
