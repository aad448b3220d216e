//! The fence: whoever else has the same attempt.

use shared::domain::attempt::Trigger;
use shared::domain::id::EndpointId;
use shared::store::keys;
use shared::store::table::Condition;

use super::*;

#[tokio::test]
async fn two_copies_of_a_retry_make_one_attempt() {
    let Waiting { world, app, msg, .. } = waiting().await;
    world.advance_s(7);
    let record = receive(&world.queues.retries).await.remove(0);
    one_sends(&world, [copy(&record, 1), copy(&record, 1)], |_| {}).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
    assert_eq!(world.network.sent_to(URL).len(), 2);
}

#[tokio::test]
async fn a_retry_that_comes_again_while_it_is_under_way_is_left_alone() {
    let Waiting { world, app, msg, .. } = waiting().await;
    world.advance_s(7);
    let record = receive(&world.queues.retries).await.remove(0);
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    world.advance_s(34);
    let again = copy(&record, 2);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    comes_back_after_the_lease(&world).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    // Once it is recorded there is nothing left to do.
    let again = copy(&record, 3);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
    assert_eq!(world.network.sent_to(URL).len(), 2);
}

#[tokio::test]
async fn a_first_record_that_comes_again_within_the_lease_is_left_alone() {
    let (world, app, msg, record) = accepted().await;
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    world.advance_s(34);
    let again = copy(&record, 2);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, [record.id.as_str()]);
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    world.advance_s(2);
    let again = copy(&record, 3);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn after_the_lease_one_of_those_who_get_a_first_record_again_sends_it() {
    let (world, app, msg, record) = accepted().await;
    // Whoever had it first died without a trace.
    world.advance_s(36);
    one_sends(&world, [copy(&record, 2), copy(&record, 3)], |_| {}).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn whoever_had_the_lease_and_died_is_succeeded_once() {
    let (world, app, msg, record) = accepted().await;
    world.advance_s(36);
    let (_gate, work) = under_way(&world, copy(&record, 2), |_| {}).await;
    work.abort();
    world.advance_s(36);
    one_sends(&world, [copy(&record, 3), copy(&record, 4)], |_| {}).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn an_attempt_whose_lease_ran_out_under_it_is_recorded_once_whoever_answers_first() {
    for first_wins in [true, false] {
        let (world, app, msg, record) = accepted().await;
        let (one, first) = under_way(&world, copy(&record, 1), |_| {}).await;
        world.advance_s(36);
        let (two, second) = under_way(&world, copy(&record, 2), |_| {}).await;
        world.network.next(URL, answer(500));
        let order =
            if first_wins { [(one, first), (two, second)] } else { [(two, second), (one, first)] };
        for (gate, work) in order {
            gate.open();
            assert_eq!(work.await.unwrap(), NONE);
        }
        // The fence keeps what was recorded first: the failure. It is tried again.
        assert_eq!(codes(&world.attempts(&app, &msg).await), [500]);
        assert_eq!(pending(&world).await, 1);
        world.live_s(60).await;
        assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
        assert_eq!(world.network.sent().len(), 3);
    }
}

#[tokio::test]
async fn two_copies_that_may_be_repetitions_make_one_attempt() {
    let (world, app, msg, record) = accepted().await;
    let again = Received { body: redriven(&record.body, 0).unwrap().0.body, ..record };
    one_sends(&world, [copy(&again, 1), copy(&again, 1)], |_| {}).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn a_copy_that_may_be_a_repetition_finds_what_is_on_record() {
    for ending in [answer(200), answer(500)] {
        let (world, app, msg, record) = accepted().await;
        world.network.next(URL, ending);
        assert_eq!(world.dispatcher.handle(vec![record.clone()], None).await, NONE);
        let again = Received { body: redriven(&record.body, 0).unwrap().0.body, ..record };
        assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
        assert_eq!(world.attempts(&app, &msg).await.len(), 1);
        assert_eq!(world.network.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_copy_cannot_see_an_unleased_first_attempt_but_it_is_recorded_once_and_settled() {
    // What leasing every first attempt would cost a write to prevent.
    let (world, app, msg, record) = accepted().await;
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    let again = Received { body: redriven(&record.body, 0).unwrap().0.body, ..record };
    let (other_gate, other_work) = under_way(&world, again, |_| {}).await;
    for (gate, work) in [(gate, work), (other_gate, other_work)] {
        gate.open();
        assert_eq!(work.await.unwrap(), NONE);
    }
    world.live_s(20 * 60).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!((world.network.sent().len(), pending(&world).await), (2, 0));
    assert_eq!(standing(&world, &app, &msg).await, "success");
}

#[tokio::test]
async fn with_a_lease_for_every_first_attempt_two_copies_make_one_attempt() {
    let (world, app, msg, record) = accepted().await;
    let always = |parts: &mut Parts| parts.settings.always_lease = true;
    one_sends(&world, [copy(&record, 1), copy(&record, 1)], always).await;
    // The copy that was left alone comes again and finds the attempt.
    world.advance_s(VISIBILITY_S.into());
    let left = copy(&record, 2);
    assert_eq!(dispatcher(&world, always).handle(vec![left], None).await, NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!((world.network.sent().len(), pending(&world).await), (1, 0));
}

#[tokio::test]
async fn with_a_lease_for_every_first_attempt_a_repetition_sees_one_under_way() {
    let (world, app, msg, record) = accepted().await;
    let always = |parts: &mut Parts| parts.settings.always_lease = true;
    let (gate, work) = under_way(&world, copy(&record, 1), always).await;
    let again = Received { body: redriven(&record.body, 0).unwrap().0.body, ..record };
    assert_eq!(dispatcher(&world, always).handle(vec![again], None).await, NONE);
    comes_back_after_the_lease(&world).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn a_delivery_whose_attempt_is_under_way_is_not_given_up() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.advance_s(7);
    let record = receive(&world.queues.retries).await.remove(0);
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    change_endpoint(&world, &app, &ep, json!({"disabled": true})).await;
    let other = copy(&record, 1);
    assert_eq!(world.dispatcher.handle(vec![other], None).await, NONE);
    comes_back_after_the_lease(&world).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!(delivery(&world, &msg, &ep).await.state, State::Delivered);
}

#[tokio::test]
async fn a_retry_that_is_not_the_next_one_is_dropped() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.network.next(URL, answer(500));
    world.live_s(10).await;
    assert_eq!(world.network.sent().len(), 2);
    for number in [1, 2, 4, 9] {
        let record = retry(&app, &msg, &ep, number);
        assert_eq!(world.dispatcher.handle(vec![record], None).await, NONE, "{number}");
    }
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(delivery(&world, &msg, &ep).await.attempts, 2);
}

#[tokio::test]
async fn a_retry_of_a_delivery_that_is_over_or_unknown_is_dropped() {
    let (world, app, msg, record) = accepted().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let ep = text(&world.call("GET", &path, json!(null)).await.body["data"][0]["id"]);
    // Neither before the first attempt nor after one that succeeded is there a delivery.
    for number in [1, 2] {
        let record = retry(&app, &msg, &ep, number);
        assert_eq!(world.dispatcher.handle(vec![record], None).await, NONE, "{number}");
    }
    assert_eq!(world.network.sent(), []);
    assert_eq!(world.dispatcher.handle(vec![record], None).await, NONE);
    let record = retry(&app, &msg, &ep, 2);
    assert_eq!(world.dispatcher.handle(vec![record], None).await, NONE);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn a_delivery_that_was_not_told_of_an_attempt_on_record_learns_of_it_with_the_next_one() {
    let Waiting { world, app, ep, msg } = waiting().await;
    let (id, endpoint): (MessageId, EndpointId) = (msg.parse().unwrap(), ep.parse().unwrap());
    let of = |trigger| keys::attempt(&id.key(), &endpoint, trigger);
    let first = world.table.get(&of(Trigger::Scheduled(1))).await.unwrap().expect("an attempt");
    let mut doc: Value = serde_json::from_str(&first.doc).unwrap();
    doc["turn"] = json!({"scheduled": 2});
    doc["ok"] = json!(true);
    let second = Item { key: of(Trigger::Scheduled(2)), doc: doc.to_string(), ..first };
    world.table.write(Write::Put(second, Condition::Always)).await.unwrap();
    world.advance_s(7);
    world.dispatch_all().await;
    assert_eq!(delivery(&world, &msg, &ep).await.state, State::Delivered);
    world.live_s(3_600).await;
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(world.attempts(&app, &msg).await.len(), 2);
}
