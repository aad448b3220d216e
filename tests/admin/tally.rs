//! Attempts and messages in numbers.

use super::*;

/// Publishes and dispatches events that the endpoint answers like this, a minute apart.
async fn answered(world: &World, app: &str, statuses: &[u16]) {
    for status in statuses {
        world.network.next(URL, answer(*status));
        let body = json!({"eventType": format!("of.{status}"), "payload": {}});
        let reply = post(world, &format!("/api/v1/app/{app}/msg"), body).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        world.dispatch().await;
        world.advance_s(60);
    }
}

async fn world() -> (World, String, String) {
    let (world, app) = World::with_application().await;
    let once = json!({"url": URL, "retrySchedule": []});
    let ep = world.endpoint_with(&app, once).await;
    (world, app, ep)
}

#[tokio::test]
async fn a_count_of_attempts_takes_the_filters_of_their_list() {
    let (world, app, ep) = world().await;
    answered(&world, &app, &[200, 503, 404, 200]).await;
    let list = format!("/api/v1/app/{app}/attempt/endpoint/{ep}");
    for (query, expected) in [
        ("", 4),
        ("?status=0", 2),
        ("?status=2", 2),
        ("?status=1", 0),
        ("?status_code_class=500", 1),
        ("?event_types=of.404,of.503", 2),
        ("?after=2027-01-15T08:02:00Z", 2),
        ("?before=2027-01-15T08:02:00Z", 2),
    ] {
        let count = get(&world, &format!("{list}/count{query}")).await;
        assert_eq!(count.body, json!({"count": expected, "approximated": false}), "{query}");
        let listed = get(&world, &format!("{list}{query}")).await.body;
        assert_eq!(listed["data"].as_array().unwrap().len(), expected, "{query}");
    }
    let wrong = get(&world, &format!("{list}/count?status=9")).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn an_application_s_statistics_count_each_message_once_for_each_endpoint() {
    let (world, app, _) = world().await;
    world.endpoint(&app, "http://127.0.0.1:9/other").await;
    answered(&world, &app, &[200, 503]).await;
    world.live_s(60).await;
    let path = format!("/api/v1/app/{app}/stats");
    let all = get(&world, &path).await.body;
    assert_eq!(all, json!({"appId": app, "appUid": null, "messageDestinations": 4}));
    let early = "?since=2027-01-15T08:00:00Z&until=2027-01-15T08:00:30Z";
    let first = get(&world, &format!("{path}{early}")).await.body;
    assert_eq!(first["messageDestinations"], 2);
    let wide = "?since=2026-01-15T08:00:00Z&until=2027-01-15T08:00:30Z";
    assert_eq!(get(&world, &format!("{path}{wide}")).await.body["code"], "invalid_range");
    // What is wrong is said of what was sent.
    for (query, field) in [
        ("?since=2030-01-01T00:00:00Z", "since"),
        ("?since=2027-01-15T08:00:30Z&until=2027-01-15T08:00:00Z", "until"),
    ] {
        let refused = get(&world, &format!("{path}{query}")).await;
        assert_eq!(refused.status, 422);
        assert_eq!(refused.body["detail"][0]["loc"], json!(["query", field]), "{refused:?}");
    }
    let counted = get(&world, &format!("/api/v1/app/{app}/endpoint-count")).await.body;
    assert_eq!(counted, json!({"count": 2}));
}

#[tokio::test]
async fn a_chart_has_a_number_for_each_bucket_of_its_span() {
    let (world, app, ep) = world().await;
    answered(&world, &app, &[200, 503, 200, 404, 200, 200]).await;
    let span = "?startDate=2027-01-15T08:00:00Z&endDate=2027-01-15T08:11:00Z";
    for path in [format!("app/{app}"), format!("app/{app}/ep/{ep}")] {
        let path = format!("/api/v1/stats/{path}/attempt");
        let chart = get(&world, &format!("{path}{span}")).await.body;
        let expected = json!({
            "startDate": "2027-01-15T08:00:00Z", "endDate": "2027-01-15T08:11:00Z",
            "period": "FiveMinutes",
            "data": {"successCount": [3, 1, 0], "failureCount": [2, 0, 0]},
        });
        assert_eq!(chart, expected);
        let days = "?startDate=2027-01-10T00:00:00Z&endDate=2027-01-16T00:00:00Z";
        let chart = get(&world, &format!("{path}{days}")).await.body;
        assert_eq!(chart["period"], "OneDay");
        assert_eq!(chart["data"]["successCount"], json!([0, 0, 0, 0, 0, 4]));
        let long = "?startDate=2026-01-10T00:00:00Z&endDate=2027-01-16T00:00:00Z";
        assert_eq!(get(&world, &format!("{path}{long}")).await.body["code"], "invalid_range");
        let back = "?startDate=2027-01-10T00:00:00Z&endDate=2027-01-09T00:00:00Z";
        assert_eq!(get(&world, &format!("{path}{back}")).await.status, 422);
    }
}
