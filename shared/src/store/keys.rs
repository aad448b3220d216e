//! Every key string of the store, and the version of what is stored under it.
//!
//! | item | pk | sk | by_time (tpk, tsk) | due (dpk, dsk) |
//! |---|---|---|---|---|
//! | application | `APP#{app}` | `APP` | `ORG#{org}`, `{app}` | |
//! | endpoint | `APP#{app}` | `EP#{ep}` | while it fails: `FAILING#{org}`, `{ep}` | |
//! | event type | `ORG#{org}` | `ETYPE#{name}` | | |
//! | settings of an event type | `ORG#{org}` | `TREAT#{name}` | | |
//! | uid of an application | `ORG#{org}` | `UID#{uid}` | | |
//! | uid of an endpoint | `APP#{app}` | `UID#{uid}` | | |
//! | message | `MSG#{key}` | `MSG` | `APP#{app}#{n}`, `{msg}` | |
//! | attempt by schedule | `MSG#{key}` | `ATT#{ep}#0001` | `EP#{ep}#{n}`, `{atmpt}` | |
//! | attempt by hand | `MSG#{key}` | `ATT#{ep}#{atmpt}` | `EP#{ep}#{n}`, `{atmpt}` | |
//! | scheduled message | `MSG#{key}` | `DLV` | | `DUE#{shard}`, `{epoch ms}` |
//! | mark of shares that were cut again | `MSG#{key}` | `SHARES` | | |
//! | delivery | `MSG#{key}` | `DLV#{ep}` | before its first attempt: `EP#{ep}#0`, `{atmpt}` | `DUE#{shard}`, `{epoch ms}` |
//! | settings of the portal | `ORG#{org}` | `PORTAL` | | |
//! | profile | `ORG#{org}` | `PROFILE#{name}` | | |
//! | source | `SOURCE#{src}` | `SOURCE` | | |
//! | source in its organisation | `ORG#{org}` | `SOURCE#{src}` | | |
//! | refused webhooks | `SOURCE#{src}` | `REFUSED#{msg}` | `REFUSED#{src}`, `{msg}` | |
//! | uid of a source | `ORG#{org}` | `SRCUID#{uid}` | | |
//! | parked record | `PARKED#{record}` | `PARKED` | `PARKED`, `{epoch ms}#{record}` | |
//! | parked record, earlier | `PARKED` | `{epoch ms}#{id}` | | |
//! | key set | `ORG#{org}` | `JWKS` | | |
//! | background task | `TASK#{task}` | `TASK` | `TASKS#{org}`, `{task}` | `DUE#{shard}`, `{epoch ms}` |
//! | token taken back | `REVOKED#{fingerprint}` | `REVOKED` | | |
//! | API token | `ORG#{org}` | `KEY#{key}` | | |
//! | integration | `INTEG#{app}` | `{integ}` | | |
//! | code for a token | `CODE#{fingerprint}` | `CODE` | | |
//! | answer to a request | `ANSWER#{request}` | `ANSWER` | | |
//! | what was given out of a rate | `RATE#{app or ep}` | `RATE` | | |
//! | inspector | `INSPECT#{token}` | `INSPECTOR` | | |
//! | inspected request | `INSPECT#{token}` | `REQ#{epoch ms}#{random}` | | |
//!
//! An application and its endpoints share a partition, so one query brings both. `{n}` is the place
//! of a list that is [spread](Spread), 0 for most.

use sha2::{Digest, Sha256};

use crate::domain::attempt::Trigger;
use crate::domain::clock::Timestamp;
use crate::domain::endpoint::Stretch;
use crate::domain::id::{
    ApiTokenId, ApplicationId, AttemptId, EndpointId, IntegrationId, MessageId, MessageKey,
    OrganisationId, SourceId, TaskId,
};
use crate::domain::spread::Spread;

/// Partition and sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

/// Names of the table's attributes.
pub mod attribute {
    /// Partition key.
    pub const PK: &str = "pk";
    /// Sort key.
    pub const SK: &str = "sk";
    /// Partition key of the index `by_time`.
    pub const TPK: &str = "tpk";
    /// Sort key of the index `by_time`.
    pub const TSK: &str = "tsk";
    /// Partition key of the index `due`.
    pub const DPK: &str = "dpk";
    /// Sort key of the index `due`.
    pub const DSK: &str = "dsk";
    /// DynamoDB's time to live, in seconds since the Unix epoch.
    pub const EXPIRES_AT: &str = "expires_at";
    /// Revision number.
    pub const REV: &str = "rev";
    /// Versioned JSON.
    pub const DOC: &str = "doc";
    /// Bytes.
    pub const BODY: &str = "body";
}

/// Names of the table's indexes.
pub mod index {
    /// History.
    pub const BY_TIME: &str = "by_time";
    /// Pending retries.
    pub const DUE: &str = "due";
}

/// Format of the stored documents. Readers accept this and every earlier one.
pub const FORMAT: u8 = 1;
/// Partitions of the `due` index: 500 claims a second each before DynamoDB throttles. Earlier
/// versions knew the first 16.
pub const DUE_SHARDS: u32 = 64;
/// How many of them hold what is due of one application. What throttles one of them is felt by
/// those who have it in common, and hardly two have all.
const SHARDS_OF_ONE: u8 = 8;
/// The sort key of an application; endpoints follow it.
pub const APPLICATION_SK: &str = "APP";
/// The sort key of a message; its attempts and deliveries come before it.
pub const MESSAGE_SK: &str = "MSG";
/// How sort keys of endpoints start.
pub const ENDPOINT_PREFIX: &str = "EP#";
/// How sort keys of event types start.
pub const EVENT_TYPE_PREFIX: &str = "ETYPE#";
/// How sort keys of the settings of event types start.
pub const TREATMENT_PREFIX: &str = "TREAT#";
/// How sort keys of attempts start.
pub const ATTEMPT_PREFIX: &str = "ATT#";
/// How sort keys of sources in their organisation start.
pub const SOURCE_PREFIX: &str = "SOURCE#";
/// How sort keys of what sources refused start.
pub const REFUSED_PREFIX: &str = "REFUSED#";
/// How sort keys of API tokens start.
pub const API_TOKEN_PREFIX: &str = "KEY#";
/// How sort keys of deliveries start.
pub const DELIVERY_PREFIX: &str = "DLV#";
/// How sort keys of inspected requests start.
pub const INSPECTED_PREFIX: &str = "REQ#";
/// The sort key of a background task.
pub const TASK_SK: &str = "TASK";
/// How sort keys of profiles start.
pub const PROFILE_PREFIX: &str = "PROFILE#";
/// The sort key of a scheduled message: after its attempts, before its deliveries.
pub const SCHEDULED_SK: &str = "DLV";
/// Where parked records are listed.
pub const PARKED_PK: &str = "PARKED";

/// An application.
pub fn application(app: &ApplicationId) -> Key {
    key(application_pk(app), APPLICATION_SK)
}

/// The partition of an application and its endpoints.
pub fn application_pk(app: &ApplicationId) -> String {
    format!("APP#{app}")
}

/// Where an organisation's applications are listed.
pub fn applications_by_time(org: &OrganisationId) -> String {
    format!("ORG#{org}")
}

/// Where an organisation's failing endpoints are listed.
pub fn failing_by_time(org: &OrganisationId) -> String {
    format!("FAILING#{org}")
}

/// How an organisation's portal looks.
pub fn portal(org: &OrganisationId) -> Key {
    key(organisation_pk(org), "PORTAL")
}

/// The partition of what belongs to an organisation itself.
pub fn organisation_pk(org: &OrganisationId) -> String {
    format!("ORG#{org}")
}

/// An application's own name within its organisation.
pub fn application_uid(org: &OrganisationId, uid: &str) -> Key {
    key(format!("ORG#{org}"), format!("UID#{uid}"))
}

/// An event type.
pub fn event_type(org: &OrganisationId, name: &str) -> Key {
    key(format!("ORG#{org}"), format!("{EVENT_TYPE_PREFIX}{name}"))
}

/// The delivery settings of an event type.
pub fn settings(org: &OrganisationId, name: &str) -> Key {
    key(organisation_pk(org), format!("{TREATMENT_PREFIX}{name}"))
}

/// An endpoint.
pub fn endpoint(app: &ApplicationId, ep: &EndpointId) -> Key {
    key(application_pk(app), format!("{ENDPOINT_PREFIX}{ep}"))
}

/// The sort keys of a stretch of an application's endpoints, from the first to the last that there
/// can be.
pub fn endpoints_in(stretch: &Stretch) -> (String, String) {
    in_stretch(ENDPOINT_PREFIX, stretch)
}

/// The same of the attempts to reach them.
pub fn attempts_in(stretch: &Stretch) -> (String, String) {
    in_stretch(ATTEMPT_PREFIX, stretch)
}

/// The same of the deliveries to them.
pub fn deliveries_in(stretch: &Stretch) -> (String, String) {
    in_stretch(DELIVERY_PREFIX, stretch)
}

fn in_stretch(prefix: &str, stretch: &Stretch) -> (String, String) {
    // After everything that begins with an id: U+10FFFF sorts after every character that follows.
    let end = |id: EndpointId| format!("{prefix}{id}\u{10FFFF}");
    let all = (prefix.to_owned(), format!("{prefix}\u{10FFFF}"));
    (stretch.after.map_or(all.0, end), stretch.until.map_or(all.1, end))
}

/// An endpoint's own name within its application.
pub fn endpoint_uid(app: &ApplicationId, uid: &str) -> Key {
    key(application_pk(app), format!("UID#{uid}"))
}

/// A message.
pub fn message(message: &MessageKey) -> Key {
    key(message_pk(message), MESSAGE_SK)
}

/// The partition of a message, its attempts and its deliveries.
pub fn message_pk(message: &MessageKey) -> String {
    format!("MSG#{message}")
}

/// Where an application's messages are listed.
pub fn messages_by_time(app: &ApplicationId, spread: Spread) -> Vec<String> {
    spread.places().map(|place| format!("APP#{app}#{place}")).collect()
}

/// The place there of a message.
pub fn message_time(app: &ApplicationId, spread: Spread, msg: &MessageId) -> Key {
    let place = place_of(spread, &msg.key().to_string());
    key(format!("APP#{app}#{place}"), msg.to_string())
}

/// An attempt.
pub fn attempt(message: &MessageKey, ep: &EndpointId, trigger: Trigger) -> Key {
    let sk = match trigger {
        Trigger::Scheduled(number) => format!("{}{number:04}", attempts_to(ep)),
        Trigger::Manual(id) => format!("{}{id}", attempts_to(ep)),
    };
    key(message_pk(message), sk)
}

/// How the sort keys of the attempts to reach an endpoint start, among a message's.
pub fn attempts_to(ep: &EndpointId) -> String {
    format!("{ATTEMPT_PREFIX}{ep}#")
}

/// Where an endpoint's attempts are listed.
pub fn attempts_by_time(ep: &EndpointId, spread: Spread) -> Vec<String> {
    spread.places().map(|place| format!("EP#{ep}#{place}")).collect()
}

/// The place there of an attempt.
pub fn attempt_time(ep: &EndpointId, spread: Spread, id: &AttemptId) -> Key {
    let name = id.to_string();
    key(format!("EP#{ep}#{}", place_of(spread, &name)), name)
}

/// The name there of a delivery that has no attempt on record: that of an attempt made when the
/// message was accepted. No real attempt has it, since this one is made of the message's id.
pub fn unattempted_name(msg: &MessageId) -> String {
    AttemptId::from_ksuid(msg.ksuid()).to_string()
}

/// Where such deliveries are listed.
pub fn unattempted_by_time(ep: &EndpointId) -> String {
    format!("EP#{ep}#0")
}

/// The place there of such a delivery: the first, so that it stays where it is.
pub fn unattempted_time(ep: &EndpointId, msg: &MessageId) -> Key {
    key(unattempted_by_time(ep), unattempted_name(msg))
}

/// What is in one place needs no hash.
fn place_of(spread: Spread, name: &str) -> u8 {
    if spread.is_one() { 0 } else { spread.place_of(hash(name)) }
}

/// A delivery.
pub fn delivery(message: &MessageKey, ep: &EndpointId) -> Key {
    key(message_pk(message), format!("{DELIVERY_PREFIX}{ep}"))
}

/// What says that there may be second copies of a message's shares.
pub fn cut_again(message: &MessageKey) -> Key {
    key(message_pk(message), "SHARES")
}

/// What makes a message wait for its time.
pub fn scheduled(message: &MessageKey) -> Key {
    key(message_pk(message), SCHEDULED_SK)
}

/// Its place in the `due` index.
pub fn scheduled_due(app: &ApplicationId, msg: &MessageId, at: Timestamp) -> Key {
    key(due_pk(shard_of(app, &msg.to_string())), due_sk(at))
}

/// The partition of the `due` index that a delivery belongs to.
pub fn due_shard_of(app: &ApplicationId, msg: &MessageId, ep: &EndpointId) -> u32 {
    shard_of(app, &format!("{msg}{ep}"))
}

/// One of the partitions of this application.
fn shard_of(app: &ApplicationId, name: &str) -> u32 {
    let which = hash(name) % SHARDS_OF_ONE;
    u32::from(hash(&format!("{app}{which}"))) % DUE_SHARDS
}

fn hash(name: &str) -> u8 {
    Sha256::digest(name)[0]
}

/// A delivery's place in the `due` index.
pub fn due(app: &ApplicationId, msg: &MessageId, ep: &EndpointId, at: Timestamp) -> Key {
    key(due_pk(due_shard_of(app, msg, ep)), due_sk(at))
}

/// A partition of the `due` index.
pub fn due_pk(shard: u32) -> String {
    format!("DUE#{shard:02}")
}

/// A moment in the `due` index: 13 digits reach to the year 2286.
pub fn due_sk(at: Timestamp) -> String {
    format!("{:013}", at.as_ms())
}

/// A background task.
pub fn task(task: &TaskId) -> Key {
    key(format!("TASK#{task}"), TASK_SK)
}

/// Where an organisation's background tasks are listed.
pub fn tasks_by_time(org: &OrganisationId) -> String {
    format!("TASKS#{org}")
}

/// A background task's place in the `due` index.
pub fn task_due(task: &TaskId, at: Timestamp) -> Key {
    key(due_pk(u32::from(hash(&task.to_string())) % DUE_SHARDS), due_sk(at))
}

/// A source, where receive finds it.
pub fn source(source: &SourceId) -> Key {
    key(format!("SOURCE#{source}"), "SOURCE")
}

/// The same source, where its organisation lists it.
pub fn source_of(org: &OrganisationId, source: &SourceId) -> Key {
    key(organisation_pk(org), format!("{SOURCE_PREFIX}{source}"))
}

/// Webhooks that a source refused.
pub fn refused(source: &SourceId, id: &MessageId) -> Key {
    key(self::source(source).pk, format!("{REFUSED_PREFIX}{id}"))
}

/// Where what a source refused is listed.
pub fn refused_by_time(source: &SourceId) -> String {
    format!("REFUSED#{source}")
}

/// The place there of webhooks that were refused.
pub fn refused_time(source: &SourceId, id: &MessageId) -> Key {
    key(refused_by_time(source), id.to_string())
}

/// Where the uid of a source leads to it.
pub fn source_uid(org: &OrganisationId, uid: &str) -> Key {
    key(organisation_pk(org), format!("SRCUID#{uid}"))
}

/// A profile that an organisation stored.
pub fn profile(org: &OrganisationId, name: &str) -> Key {
    key(organisation_pk(org), format!("{PROFILE_PREFIX}{name}"))
}

/// A parked record.
pub fn parked(record: &str) -> Key {
    key(format!("{PARKED_PK}#{record}"), PARKED_PK)
}

/// Its place where parked records are listed. Earlier ones are stored under such a key.
pub fn parked_by_time(at: Timestamp, record: &str) -> Key {
    key(PARKED_PK, format!("{:013}#{record}", at.as_ms()))
}

/// An organisation's key set.
pub fn key_set(org: &OrganisationId) -> Key {
    key(format!("ORG#{org}"), "JWKS")
}

/// A token that was taken back.
pub fn revocation(fingerprint: &str) -> Key {
    key(format!("REVOKED#{fingerprint}"), "REVOKED")
}

/// An API token.
pub fn api_token(org: &OrganisationId, id: &ApiTokenId) -> Key {
    key(organisation_pk(org), format!("{API_TOKEN_PREFIX}{id}"))
}

/// The partition of an application's integrations.
pub fn integrations_pk(app: &ApplicationId) -> String {
    format!("INTEG#{app}")
}

/// An integration.
pub fn integration(app: &ApplicationId, id: &IntegrationId) -> Key {
    key(integrations_pk(app), id.to_string())
}

/// A code that is exchanged for a token.
pub fn code(fingerprint: &str) -> Key {
    key(format!("CODE#{fingerprint}"), "CODE")
}

/// The answer to a request that may be repeated.
pub fn answer(request: &str) -> Key {
    key(format!("ANSWER#{request}"), "ANSWER")
}

/// What was given out lately of the rate of an application or endpoint.
pub fn rate(owner: &str) -> Key {
    key(format!("RATE#{owner}"), "RATE")
}

/// An inspector.
pub fn inspector(token: &str) -> Key {
    key(format!("INSPECT#{token}"), "INSPECTOR")
}

/// A request that an inspector was sent. `random` tells those of one moment apart.
pub fn inspected(token: &str, at: Timestamp, random: [u8; 4]) -> Key {
    let random = u32::from_be_bytes(random);
    key(inspector(token).pk, format!("{INSPECTED_PREFIX}{:013}#{random:08x}", at.as_ms()))
}

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}
