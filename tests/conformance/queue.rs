//! What a queue is held to.

use std::collections::BTreeSet;
use std::time::Duration;

use shared::domain::limits::{MAX_BATCH_BYTES, MAX_QUEUE_DELAY_S};
use shared::queue::{
    Consumer, MAX_BATCH, MAX_RECEIVES, Outgoing, QueueError, Received, send_all, send_one,
};
use tokio::task::JoinSet;

use super::adapters::QueueUnderTest;

macro_rules! queue_claims {
    ($run:ident, $adapter:path) => {
        $run! {
            queue, $adapter:
            a_record_comes_back_with_its_text_and_group
            a_payload_of_350_kb_in_any_script_comes_back
            a_received_record_is_invisible_and_then_comes_again_under_the_same_id
            a_delayed_record_comes_only_after_its_delay
            a_delay_beyond_the_limit_is_refused
            a_record_released_at_once_is_there_at_once
            a_record_released_for_later_comes_later
            a_batch_of_ten_is_taken_and_one_of_eleven_refused
            a_batch_of_one_mib_is_taken_and_a_larger_one_refused
            an_empty_body_is_refused
            characters_that_xml_forbids_are_refused
            one_bad_record_keeps_its_whole_batch_out
            an_empty_send_is_refused_and_an_empty_delete_is_nothing
            a_receive_or_delete_of_more_than_ten_is_refused
            a_deletion_is_final
            a_stale_receipt_is_harmless
            a_record_goes_to_the_dead_letters_after_its_last_receive
            two_consumers_never_hold_the_same_record
            a_waiting_receive_ends_when_a_record_comes
        }
    };
}

pub(crate) async fn a_record_comes_back_with_its_text_and_group(queue: &impl QueueUnderTest) {
    send(queue, record("hello")).await;
    let received = receive_one(queue).await;
    assert_eq!(received.body, "hello");
    assert_eq!(received.group.as_deref(), Some(GROUP));
    assert_eq!(received.receive_count, 1);
    assert!(!received.id.is_empty() && !received.receipt.is_empty());
}

pub(crate) async fn a_payload_of_350_kb_in_any_script_comes_back(queue: &impl QueueUnderTest) {
    let line = "\"Grüße\" \\ <Ω&你好> 😀\t\u{7F}\u{85}\u{E000}\u{FFFD}\u{10FFFF}\r\n";
    let body = line.repeat(350 * 1024 / line.len() + 1);
    assert!(body.len() >= 350 * 1024);
    send(queue, record(&body)).await;
    assert!(receive_one(queue).await.body == body, "the body has changed");
}

pub(crate) async fn a_received_record_is_invisible_and_then_comes_again_under_the_same_id(
    queue: &impl QueueUnderTest,
) {
    send(queue, record("again")).await;
    let first = receive_one(queue).await;
    assert_eq!(receive_now(queue).await, []);

    queue.advance(queue.visibility_s() + 1).await;
    let second = receive_one(queue).await;
    assert_eq!(second.receive_count, 2);
    assert_eq!(second.first_received_at, first.first_received_at);
    assert_ne!(second.receipt, first.receipt);
    assert_eq!((second.id, second.body), (first.id, first.body));
}

pub(crate) async fn a_delayed_record_comes_only_after_its_delay(queue: &impl QueueUnderTest) {
    send(queue, Outgoing { delay_s: 2, ..record("later") }).await;
    assert_eq!(receive_now(queue).await, []);
    queue.advance(3).await;
    assert_eq!(receive_one(queue).await.body, "later");
}

pub(crate) async fn a_delay_beyond_the_limit_is_refused(queue: &impl QueueUnderTest) {
    send(queue, Outgoing { delay_s: MAX_QUEUE_DELAY_S, ..record("longest") }).await;
    refused(queue, vec![Outgoing { delay_s: MAX_QUEUE_DELAY_S + 1, ..record("too long") }]).await;
}

pub(crate) async fn a_record_released_at_once_is_there_at_once(queue: &impl QueueUnderTest) {
    send(queue, record("back")).await;
    let first = receive_one(queue).await;
    queue.consumer().release(&first.receipt, 0).await.expect("a release");
    let second = receive_one(queue).await;
    assert_eq!((second.id, second.receive_count), (first.id, 2));
}

pub(crate) async fn a_record_released_for_later_comes_later(queue: &impl QueueUnderTest) {
    send(queue, record("later")).await;
    let first = receive_one(queue).await;
    let later = queue.visibility_s() + 2;
    queue.consumer().release(&first.receipt, later).await.expect("a release");
    queue.advance(queue.visibility_s() + 1).await;
    assert_eq!(receive_now(queue).await, []);
    queue.advance(2).await;
    let second = receive_one(queue).await;
    assert_eq!((second.id, second.receive_count), (first.id, 2));
}

pub(crate) async fn a_batch_of_ten_is_taken_and_one_of_eleven_refused(queue: &impl QueueUnderTest) {
    let batch = |count: usize| (0..count).map(|n| record(&format!("{n}"))).collect::<Vec<_>>();
    refused(queue, batch(MAX_BATCH + 1)).await;
    assert_eq!(receive(queue).await, []);
    let results = queue.producer().send(batch(MAX_BATCH)).await.expect("a send");
    assert_eq!(results, vec![Ok(()); MAX_BATCH]);
    let bodies = drain(queue).await.into_iter().map(|record| record.body);
    assert_eq!(bodies.collect::<BTreeSet<_>>().len(), MAX_BATCH);
}

pub(crate) async fn a_batch_of_one_mib_is_taken_and_a_larger_one_refused(
    queue: &impl QueueUnderTest,
) {
    let half = "x".repeat(MAX_BATCH_BYTES / 2);
    refused(queue, vec![record(&half), record(&half), record("!")]).await;
    refused(queue, vec![record(&format!("{half}{half}!"))]).await;
    assert_eq!(receive(queue).await, []);
    let results = queue.producer().send(vec![record(&half), record(&half)]).await;
    assert_eq!(results, Ok(vec![Ok(()), Ok(())]));
    send(queue, record(&format!("{half}{half}"))).await;
    assert_eq!(drain(queue).await.len(), 3);
}

pub(crate) async fn an_empty_body_is_refused(queue: &impl QueueUnderTest) {
    refused(queue, vec![record("")]).await;
    assert_eq!(receive(queue).await, []);
}

pub(crate) async fn characters_that_xml_forbids_are_refused(queue: &impl QueueUnderTest) {
    for forbidden in ['\0', '\u{1}', '\u{8}', '\u{B}', '\u{C}', '\u{1F}', '\u{FFFE}', '\u{FFFF}'] {
        refused(queue, vec![record(&format!("a{forbidden}b"))]).await;
    }
    assert_eq!(receive(queue).await, []);
}

pub(crate) async fn one_bad_record_keeps_its_whole_batch_out(queue: &impl QueueUnderTest) {
    refused(queue, vec![record("first"), record("\0"), record("last")]).await;
    refused(queue, vec![record("first"), record("")]).await;
    let too_long = Outgoing { delay_s: MAX_QUEUE_DELAY_S + 1, ..record("too long") };
    refused(queue, vec![too_long, record("last")]).await;
    assert_eq!(receive(queue).await, []);
}

pub(crate) async fn an_empty_send_is_refused_and_an_empty_delete_is_nothing(
    queue: &impl QueueUnderTest,
) {
    refused(queue, vec![]).await;
    assert_eq!(queue.consumer().delete(&[]).await, Ok(()));
    assert_eq!(receive(queue).await, []);
}

pub(crate) async fn a_receive_or_delete_of_more_than_ten_is_refused(queue: &impl QueueUnderTest) {
    let received = queue.consumer().receive(MAX_BATCH + 1, 0).await;
    assert!(matches!(received, Err(QueueError::Invalid(_))), "{received:?}");
    let receipts = vec!["receipt".to_owned(); MAX_BATCH + 1];
    let deleted = queue.consumer().delete(&receipts).await;
    assert!(matches!(deleted, Err(QueueError::Invalid(_))), "{deleted:?}");
}

pub(crate) async fn a_deletion_is_final(queue: &impl QueueUnderTest) {
    let results = send_all(&*queue.producer(), vec![record("gone"), record("kept")]).await;
    assert_eq!(results, [Ok(()), Ok(())]);
    let received = receive_all(queue, 2).await;
    let gone = received.iter().find(|record| record.body == "gone").expect("the record");
    delete(queue, gone).await;

    queue.advance(queue.visibility_s() + 1).await;
    assert_eq!(receive_one(queue).await.body, "kept");
    assert_eq!(receive_now(queue).await, []);
}

pub(crate) async fn a_stale_receipt_is_harmless(queue: &impl QueueUnderTest) {
    send(queue, record("twice")).await;
    let first = receive_one(queue).await;
    queue.advance(queue.visibility_s() + 1).await;
    let second = receive_one(queue).await;

    // Whether the old receipt still deletes is left open: SQS gives no promise. It must not
    // be an error, neither while somebody else holds the record nor after it is gone.
    delete(queue, &first).await;
    delete(queue, &second).await;
    delete(queue, &second).await;
    queue.consumer().release(&second.receipt, 0).await.expect("a late release");
    queue.advance(queue.visibility_s() + 1).await;
    assert_eq!(receive(queue).await, []);
}

pub(crate) async fn a_record_goes_to_the_dead_letters_after_its_last_receive(
    queue: &impl QueueUnderTest,
) {
    send(queue, record("poison")).await;
    let mut id = String::new();
    for count in 1..=MAX_RECEIVES {
        let received = receive_one(queue).await;
        assert_eq!(received.receive_count, count);
        queue.consumer().release(&received.receipt, 0).await.expect("a release");
        id = received.id;
    }
    assert_eq!(receive(queue).await, []);

    let dead = wait_for_one(&*queue.dead_letters()).await;
    let [dead] = dead.as_slice() else { panic!("{} dead letters", dead.len()) };
    assert_eq!(dead.id, id);
    assert_eq!(dead.body, "poison");
    assert_eq!(dead.group.as_deref(), Some(GROUP));
}

pub(crate) async fn two_consumers_never_hold_the_same_record(queue: &impl QueueUnderTest) {
    const RECORDS: usize = 60;
    let records = (0..RECORDS).map(|n| record(&format!("{n}"))).collect();
    let results = send_all(&*queue.producer(), records).await;
    assert!(results.iter().all(Result::is_ok));

    let mut consumers = JoinSet::new();
    for _ in 0..2 {
        let (consumer, wait_s) = (queue.consumer(), queue.wait_s());
        consumers.spawn(async move {
            let mut held = Vec::new();
            loop {
                let received = consumer.receive(3, wait_s).await.expect("a receive");
                if received.is_empty() {
                    return held;
                }
                let receipts: Vec<_> = received.iter().map(|one| one.receipt.clone()).collect();
                held.extend(received);
                consumer.delete(&receipts).await.expect("a deletion");
            }
        });
    }
    let held: Vec<_> = consumers.join_all().await.into_iter().flatten().collect();
    assert_eq!(held.len(), RECORDS);
    assert!(held.iter().all(|record| record.receive_count == 1));
    let ids: BTreeSet<_> = held.into_iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), RECORDS);
}

pub(crate) async fn a_waiting_receive_ends_when_a_record_comes(queue: &impl QueueUnderTest) {
    let consumer = queue.consumer();
    let (received, ()) = tokio::join!(wait_for_one(&*consumer), send(queue, record("awaited")));
    let [received] = received.as_slice() else { panic!("{} records", received.len()) };
    assert_eq!(received.body, "awaited");
}

const GROUP: &str = "app_2b9GXvYkq0fVd7uT";

fn record(body: &str) -> Outgoing {
    Outgoing { body: body.into(), group: GROUP.into(), delay_s: 0 }
}

async fn send(queue: &impl QueueUnderTest, record: Outgoing) {
    send_one(&*queue.producer(), record).await.expect("a send");
}

async fn delete(queue: &impl QueueUnderTest, received: &Received) {
    let receipt = std::slice::from_ref(&received.receipt);
    queue.consumer().delete(receipt).await.expect("a deletion");
}

async fn refused(queue: &impl QueueUnderTest, batch: Vec<Outgoing>) {
    let answer = queue.producer().send(batch).await;
    assert!(matches!(answer, Err(QueueError::Invalid(_))), "{answer:?}");
}

/// What is there now, at most a batch of it.
async fn receive(queue: &impl QueueUnderTest) -> Vec<Received> {
    queue.consumer().receive(MAX_BATCH, queue.wait_s()).await.expect("a receive")
}

/// The same without waiting: for claims that something is not there yet.
async fn receive_now(queue: &impl QueueUnderTest) -> Vec<Received> {
    queue.consumer().receive(MAX_BATCH, 0).await.expect("a receive")
}

async fn receive_one(queue: &impl QueueUnderTest) -> Received {
    let mut received = receive(queue).await;
    assert_eq!(received.len(), 1, "records received");
    received.remove(0)
}

/// A record that is on its way, well before the longest wait is over.
async fn wait_for_one(consumer: &dyn Consumer) -> Vec<Received> {
    let waiting = tokio::time::timeout(Duration::from_secs(10), consumer.receive(1, 20));
    waiting.await.expect("an answer before the wait is over").expect("a receive")
}

async fn receive_all(queue: &impl QueueUnderTest, count: usize) -> Vec<Received> {
    let mut all = Vec::new();
    while all.len() < count {
        let received = receive(queue).await;
        assert!(!received.is_empty(), "only {} of {count} records", all.len());
        all.extend(received);
    }
    all
}

/// Receives and deletes until nothing is left.
async fn drain(queue: &impl QueueUnderTest) -> Vec<Received> {
    let consumer = queue.consumer();
    let mut all = Vec::new();
    loop {
        let received = receive(queue).await;
        if received.is_empty() {
            return all;
        }
        let receipts: Vec<_> = received.iter().map(|one| one.receipt.clone()).collect();
        consumer.delete(&receipts).await.expect("a deletion");
        all.extend(received);
    }
}
