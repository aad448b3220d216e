//! The adapters that the claims are run on. Each test gets a table or a queue of its own.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use shared::domain::clock::{Ambient, Clock, Timestamp};
use shared::embedded::Engine;
use shared::lambda::aws::{AwsEnvironment, connections, http_client, sqs_client};
use shared::queue::embedded::{EmbeddedQueues, QueueSettings};
use shared::queue::sqs::SqsQueue;
use shared::queue::{Consumer, MAX_RECEIVES, Producer, VISIBILITY_S};
use shared::store::embedded::EmbeddedTable;
use shared::store::table::{Item, Table};

use crate::simulated_aws::dice::Dice;
use crate::simulated_aws::queue::SimulatedQueue;
use crate::simulated_aws::table::{SimulatedTable, Watch};
use crate::simulated_aws::weather::Weather;
use crate::support::dynoxide::Dynoxide;

/// A queue with its dead-letter queue, and a way to let time pass.
#[async_trait]
pub(crate) trait QueueUnderTest: Send + Sync {
    /// The sending end.
    fn producer(&self) -> Arc<dyn Producer>;

    /// The receiving end.
    fn consumer(&self) -> Arc<dyn Consumer>;

    /// The receiving end of the dead-letter queue.
    fn dead_letters(&self) -> Arc<dyn Consumer>;

    /// Seconds for which a received record stays invisible.
    fn visibility_s(&self) -> u32;

    /// Seconds that a receive has to wait to be sure to find a record that is there.
    fn wait_s(&self) -> u32;

    /// Lets time pass: a jump of a clock that stands still, or a sleep.
    async fn advance(&self, seconds: u32);
}

/// The table on one machine, in a file of its own.
pub(crate) async fn embedded_table() -> OnDisk<Arc<dyn Table>> {
    let directory = Directory::new();
    let engine = Engine::open(&directory.0).expect("a database");
    OnDisk { adapter: Arc::new(EmbeddedTable::new(engine)), _directory: directory }
}

/// The queues on one machine, with a clock that stands still.
pub(crate) async fn embedded_queue() -> EmbeddedUnderTest {
    let directory = Directory::new();
    let engine = Engine::open(&directory.0).expect("a database");
    let now = Arc::new(StandingClock(AtomicU64::new(1_800_000_000_000)));
    let clock: Arc<dyn Clock> = now.clone();
    let queues = EmbeddedQueues::open(&engine, &clock, QueueSettings::default());
    EmbeddedUnderTest { queues: queues.expect("the queues"), now, _directory: directory }
}

/// An adapter together with the directory it lives in.
pub(crate) struct OnDisk<T> {
    adapter: T,
    _directory: Directory,
}

impl<T> Deref for OnDisk<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.adapter
    }
}

/// The embedded queues, of which one pair is tested.
pub(crate) struct EmbeddedUnderTest {
    queues: EmbeddedQueues,
    now: Arc<StandingClock>,
    _directory: Directory,
}

#[async_trait]
impl QueueUnderTest for EmbeddedUnderTest {
    fn producer(&self) -> Arc<dyn Producer> {
        Arc::new(self.queues.deliveries.clone())
    }

    fn consumer(&self) -> Arc<dyn Consumer> {
        Arc::new(self.queues.deliveries.clone())
    }

    fn dead_letters(&self) -> Arc<dyn Consumer> {
        Arc::new(self.queues.deliveries_dlq.clone())
    }

    fn visibility_s(&self) -> u32 {
        VISIBILITY_S
    }

    fn wait_s(&self) -> u32 {
        0
    }

    async fn advance(&self, seconds: u32) {
        self.now.0.fetch_add(u64::from(seconds) * 1000, Ordering::SeqCst);
    }
}

/// The table of a simulated account without limits.
pub(crate) async fn simulated_table() -> Arc<dyn Table> {
    let clock = Arc::new(StandingClock(AtomicU64::new(1_800_000_000_000)));
    let dice = Arc::new(Dice::new(1, 0));
    Arc::new(SimulatedTable::new(clock, dice, Weather::calm(), Arc::new(Nobody)))
}

/// The queues of a simulated account without limits, with a clock that stands still.
pub(crate) async fn simulated_queue() -> SimulatedUnderTest {
    let now = Arc::new(StandingClock(AtomicU64::new(1_800_000_000_000)));
    let queue =
        |dead| SimulatedQueue::new(now.clone(), Arc::new(Dice::new(1, 0)), Weather::calm(), dead);
    let dead_letters = queue(None);
    SimulatedUnderTest { queue: queue(Some(dead_letters.clone())), dead_letters, now }
}

/// Simulated queues.
pub(crate) struct SimulatedUnderTest {
    queue: SimulatedQueue,
    dead_letters: SimulatedQueue,
    now: Arc<StandingClock>,
}

#[async_trait]
impl QueueUnderTest for SimulatedUnderTest {
    fn producer(&self) -> Arc<dyn Producer> {
        Arc::new(self.queue.clone())
    }

    fn consumer(&self) -> Arc<dyn Consumer> {
        Arc::new(self.queue.clone())
    }

    fn dead_letters(&self) -> Arc<dyn Consumer> {
        Arc::new(self.dead_letters.clone())
    }

    fn visibility_s(&self) -> u32 {
        VISIBILITY_S
    }

    fn wait_s(&self) -> u32 {
        0
    }

    async fn advance(&self, seconds: u32) {
        self.now.0.fetch_add(u64::from(seconds) * 1000, Ordering::SeqCst);
    }
}

/// Keeps no books.
struct Nobody;

impl Watch for Nobody {
    fn stored(&self, _: &Item, _: Option<&Item>) {}
}

/// DynamoDB, in the test process.
pub(crate) async fn dynamodb_table() -> Arc<dyn Table> {
    Arc::new(Dynoxide::start().table())
}

/// Two new queues in the emulated account at `AWS_ENDPOINT_URL`. They are left behind.
pub(crate) async fn sqs_queue() -> SqsUnderTest {
    assert!(variable("AWS_ENDPOINT_URL").is_some(), "never on a real account");
    let environment = AwsEnvironment::from_lookup(&variable).expect("AWS_REGION and credentials");
    let client = sqs_client(&environment, http_client(connections().expect("an HTTP client")));

    let name = format!("claim-{}", unique());
    let dead_url = create(&client, &format!("{name}-dead"), None).await;
    let url = create(&client, &name, Some(&arn(&client, &dead_url).await)).await;
    SqsUnderTest {
        queue: Arc::new(SqsQueue::new(client.clone(), url)),
        dead_letters: Arc::new(SqsQueue::new(client, dead_url)),
    }
}

/// SQS, with a visibility timeout that a test can wait for.
pub(crate) struct SqsUnderTest {
    queue: Arc<SqsQueue>,
    dead_letters: Arc<SqsQueue>,
}

const SQS_VISIBILITY_S: u32 = 2;

#[async_trait]
impl QueueUnderTest for SqsUnderTest {
    fn producer(&self) -> Arc<dyn Producer> {
        self.queue.clone()
    }

    fn consumer(&self) -> Arc<dyn Consumer> {
        self.queue.clone()
    }

    fn dead_letters(&self) -> Arc<dyn Consumer> {
        self.dead_letters.clone()
    }

    fn visibility_s(&self) -> u32 {
        SQS_VISIBILITY_S
    }

    fn wait_s(&self) -> u32 {
        1
    }

    async fn advance(&self, seconds: u32) {
        tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
    }
}

async fn create(client: &aws_sdk_sqs::Client, name: &str, dead_arn: Option<&str>) -> String {
    let mut request = client
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::VisibilityTimeout, SQS_VISIBILITY_S.to_string());
    if let Some(arn) = dead_arn {
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES });
        request = request.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    }
    request.send().await.expect("a queue").queue_url.expect("its URL")
}

async fn arn(client: &aws_sdk_sqs::Client, url: &str) -> String {
    let request = client.get_queue_attributes().queue_url(url);
    let answer = request.attribute_names(QueueAttributeName::QueueArn).send().await;
    let attributes = answer.expect("the queue's attributes").attributes.unwrap_or_default();
    attributes[&QueueAttributeName::QueueArn].clone()
}

/// Milliseconds since the Unix epoch, moved by hand.
struct StandingClock(AtomicU64);

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A new directory that goes when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("posthorn-{}", unique())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left behind is the operating system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[expect(clippy::disallowed_methods, reason = "where the emulated account is")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn unique() -> String {
    format!("{:032x}", u128::from_be_bytes(Ambient::system().random()))
}
