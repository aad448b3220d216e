//! Every operation of the admin API, once: the table that requests are routed by and that the
//! API's description is made of.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use shared::api::error::ApiError;
use shared::api::request::parts;
use shared::domain::right::Right;

use crate::{Answer, Call};

/// One operation, as the API's description sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name, the same as in Svix's description where there is one.
    pub id: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// What its caller has to be given. An application in the path has to be the one that the
    /// token is confined to, if it is confined to one.
    pub right: Right,
    /// Segments of the path after `/api/v1`, or of one after `/ingest/api/v1` with `"ingest"`
    /// before them: a quoted one stands for itself, any other is the
    /// name of a parameter.
    pub segments: &'static [&'static str],
}

/// What the operations under `/ingest/api/v1` start with in the table.
const INGEST: &str = "\"ingest\"";

/// The segments that the table is asked for; `None` if this path is not of the API.
pub(crate) fn below<'a>(segments: &[&'a str]) -> Option<Vec<&'a str>> {
    match segments {
        ["api", "v1", "ingest", ..] => None,
        ["api", "v1", rest @ ..] => Some(rest.to_vec()),
        ["ingest", "api", "v1", rest @ ..] => {
            Some(std::iter::once("ingest").chain(rest.iter().copied()).collect())
        }
        _ => None,
    }
}

/// What is answered without a token, before the table of routes is asked.
pub(crate) const OPEN: [(&str, &str, &str); 10] = [
    ("posthorn.welcome.get", "GET", "/"),
    ("v1.health.get", "GET", "/api/v1/health"),
    ("posthorn.health.ping", "GET", "/api/v1/health/ping"),
    ("posthorn.openapi.get", "GET", "/api/v1/openapi.json"),
    ("v1.authentication.exchange-one-time-token", "POST", "/api/v1/auth/one-time-token"),
    ("posthorn.docs.get", "GET", "/docs"),
    ("posthorn.portal.get", "GET", "/portal"),
    ("posthorn.console.get", "GET", "/console"),
    ("posthorn.jwks.get", "GET", "/.well-known/jwks.json"),
    ("posthorn.jwks.get-of", "GET", "/.well-known/{org_id}/jwks.json"),
];

impl Operation {
    /// The whole path, with the names of its parameters in braces as Svix has them.
    pub fn path(&self) -> String {
        let segment = |segment: &&str| match *segment {
            "app" => "/{app_id}".to_owned(),
            "ep" => "/{endpoint_id}".to_owned(),
            "msg" => "/{msg_id}".to_owned(),
            "attempt" => "/{attempt_id}".to_owned(),
            "task" => "/{task_id}".to_owned(),
            "op" => "/{operational_endpoint_id}".to_owned(),
            name => match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(fixed) => format!("/{fixed}"),
                None => format!("/{{{name}}}"),
            },
        };
        let (base, rest) = match self.segments {
            [INGEST, rest @ ..] => ("/ingest/api/v1", rest),
            rest => ("/api/v1", rest),
        };
        std::iter::once(base.to_owned()).chain(rest.iter().map(segment)).collect()
    }

    /// How many segments stand for themselves.
    fn fixed(&self) -> usize {
        self.segments.iter().filter(|segment| segment.starts_with('"')).count()
    }

    /// Whether these segments after `/api/v1` are of this operation's path.
    fn is_at(&self, path: &[&str]) -> bool {
        let fits = |(segment, part): (&&str, &&str)| {
            segment.strip_prefix('"').is_none_or(|quoted| quoted.strip_suffix('"') == Some(*part))
        };
        self.segments.len() == path.len() && self.segments.iter().zip(path).all(fits)
    }
}

/// 405 for a path of [`OPEN`] with another method than it takes.
pub(crate) fn refuse_open(method: &Method, path: &str) -> Option<Answer> {
    // Every request comes by here: nothing is allocated for it.
    let is_at = |pattern: &str| {
        let (mut own, mut asked) = (parts(pattern), parts(path));
        loop {
            match (own.next(), asked.next()) {
                (None, None) => return true,
                (Some(own), Some(part)) if own.starts_with('{') || own == part => {}
                _ => return false,
            }
        }
    };
    let (_, takes, _) = OPEN.iter().find(|(_, _, pattern)| is_at(pattern))?;
    let allowed: &[&str] = match *takes {
        "GET" => &["GET", "HEAD"],
        _ => std::slice::from_ref(takes),
    };
    (!allowed.contains(&method.as_str())).then(|| refuse(allowed))
}

/// 308 for events that are published with a slash at the end of the path. API Gateway has no
/// routes that end with one, so it gets here instead of where events are taken; most clients
/// follow, with the same method and body.
pub(crate) fn moved(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let path = request.uri().path();
    let segments = shared::api::request::segments(path);
    let (["api", "v1", "app", _, "msg"] | ["api", "v1", "app", _, "msg", "batch"]) =
        segments.as_slice()
    else {
        return None;
    };
    if request.method() != Method::POST || !path.ends_with('/') {
        return None;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    // Not a double slash at the start: that would lead to another host.
    let target = format!("/{}{query}", path.trim_matches('/'));
    let mut response = shared::api::error::empty(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(LOCATION, HeaderValue::from_str(&target).ok()?);
    Some(response)
}

/// 405 with what the path does take, or 404 where it takes nothing.
fn wrong_method(path: &[&str]) -> Answer {
    let here = || OPERATIONS.iter().filter(|operation| operation.is_at(path));
    // A name that stands for itself is not one that a caller gave.
    let most_fixed = here().map(Operation::fixed).max();
    let mut allowed: Vec<&str> = here()
        .filter(|operation| Some(operation.fixed()) == most_fixed)
        .map(|operation| operation.method)
        .collect();
    // What another function answers.
    match path {
        ["app", _, "msg"] => allowed.push("POST"),
        ["app", _, "msg", "batch"] => allowed = vec!["POST"],
        _ => {}
    }
    if allowed.is_empty() {
        return Err(ApiError::not_found());
    }
    if let Some(get) = allowed.iter().position(|method| *method == "GET") {
        allowed.insert(get + 1, "HEAD");
    }
    refuse(&allowed)
}

fn refuse(allowed: &[&str]) -> Answer {
    let allowed = HeaderValue::from_str(&allowed.join(", "));
    let mut response = ApiError::wrong_method().into_response();
    response.headers_mut().extend(allowed.ok().map(|allowed| (ALLOW, allowed)));
    Ok(response)
}

/// Makes both the table and the routing of it. A segment in quotes must be there as it stands;
/// any other is handed to the handler.
macro_rules! operations {
    ($($id:literal $right:ident $method:ident [$($segment:tt),*] => $handler:ident($($argument:ident),*);)*) => {
        /// Every operation of the admin function but the health checks.
        pub const OPERATIONS: &[Operation] = &[$(Operation {
            id: $id,
            method: stringify!($method),
            right: Right::$right,
            segments: &[$(stringify!($segment)),*],
        }),*];

        impl Call<'_> {
            /// Hands the request to the operation that its method and path name, if the caller has
            /// the right that it asks for. Segments after `/api/v1` only.
            pub(crate) async fn route(&self, path: &[&str]) -> Answer {
                // What answers GET answers HEAD; the server leaves the body out.
                let method = match self.request.method() {
                    &Method::HEAD => &Method::GET,
                    method => method,
                };
                match (method, path) {
                    $((&Method::$method, &[$($segment),*]) => {
                        self.require(Right::$right)?;
                        // Made apart: here, all of them together would be on the stack.
                        let begin = || -> BoxFuture<'_, Answer> {
                            Box::pin(self.$handler($($argument),*))
                        };
                        begin().await
                    })*
                    _ => wrong_method(path),
                }
            }
        }
    };
}

// Each line: name, right, method, path, handler.
operations! {
    "v1.message.broadcast" Broadcast POST ["msg", "broadcast"] => broadcast();

    "v1.application.list" Read GET ["app"] => list_applications();
    "v1.application.create" Manage POST ["app"] => create_application();
    "v1.application.get" ViewBase GET ["app", app] => get_application(app);
    "v1.application.update" Manage PUT ["app", app] => update_application(app);
    "v1.application.patch" Manage PATCH ["app", app] => patch_application(app);
    "v1.application.delete" Manage DELETE ["app", app] => delete_application(app);
    "posthorn.application.health" ViewBase GET ["app", app, "health"] => application_health(app);
    "posthorn.application.portal" ViewBase GET ["app", app, "portal"] => application_portal(app);
    "posthorn.application.task" ViewBase GET ["app", app, "background-task", task]
        => get_task_of(app, task);
    "posthorn.delivery.list" ViewBase GET ["app", app, "delivery"] => list_deliveries(app);
    "posthorn.message.explain" ViewBase GET ["app", app, "msg", msg, "explain"] => explain(app, msg);
    "posthorn.message-attempt.request" ViewBase GET
        ["app", app, "msg", msg, "attempt", attempt, "request"] => sent(app, msg, attempt);
    "posthorn.endpoint.health" ViewBase GET ["app", app, "endpoint", ep, "health"]
        => endpoint_health(app, ep);
    "posthorn.endpoint.overview" ViewBase GET ["app", app, "endpoint", ep, "overview"]
        => endpoint_overview(app, ep);
    "posthorn.endpoint.failing" Read GET ["operator", "failing"] => list_failing();
    "posthorn.endpoint.missing" ViewBase GET ["app", app, "endpoint", ep, "missing"] => missing(app, ep);
    "posthorn.source.state" Read GET ["operator", "source-state"] => list_source_states();
    "posthorn.message.find" Read GET ["operator", "msg", msg] => find_message(msg);
    "posthorn.portal.get-settings" Read GET ["operator", "portal"] => get_portal_settings();
    "posthorn.portal.put-settings" Manage PUT ["operator", "portal"] => put_portal_settings();
    "posthorn.integration-key.get" Keys GET ["app", app, "integration-key"] => integration_key(app);
    "posthorn.integration-key.rotate" Keys POST ["app", app, "integration-key", "rotate"]
        => rotate_integration_key(app);

    "v1.integration.list" Read GET ["app", app, "integration"] => list_integrations(app);
    "v1.integration.create" Manage POST ["app", app, "integration"] => create_integration(app);
    "v1.integration.get" Read GET ["app", app, "integration", integ_id]
        => get_integration(app, integ_id);
    "v1.integration.update" Manage PUT ["app", app, "integration", integ_id]
        => update_integration(app, integ_id);
    "v1.integration.delete" Manage DELETE ["app", app, "integration", integ_id]
        => delete_integration(app, integ_id);
    "v1.integration.get-key" Keys GET ["app", app, "integration", integ_id, "key"]
        => integration_s_key(app, integ_id);
    "v1.integration.rotate-key" Keys POST ["app", app, "integration", integ_id, "key", "rotate"]
        => rotate_integration_s_key(app, integ_id);

    "v1.endpoint.list" ViewBase GET ["app", app, "endpoint"] => list_endpoints(app);
    "v1.endpoint.create" ManageEndpoint POST ["app", app, "endpoint"] => create_endpoint(app);
    "v1.endpoint.get" ViewBase GET ["app", app, "endpoint", ep] => get_endpoint(app, ep);
    "v1.endpoint.update" ManageEndpoint PUT ["app", app, "endpoint", ep] => update_endpoint(app, ep);
    "v1.endpoint.patch" ManageEndpoint PATCH ["app", app, "endpoint", ep] => patch_endpoint(app, ep);
    "v1.endpoint.delete" ManageEndpoint DELETE ["app", app, "endpoint", ep] => delete_endpoint(app, ep);
    "v1.endpoint.get-secret" ViewEndpointSecret GET ["app", app, "endpoint", ep, "secret"] => get_secret(app, ep);
    "v1.endpoint.rotate-secret" ManageEndpointSecret POST ["app", app, "endpoint", ep, "secret", "rotate"]
        => rotate_secret(app, ep);

    "v1.event-type.list" ViewBase GET ["event-type"] => list_event_types();
    "v1.event-type.create" Manage POST ["event-type"] => create_event_type();
    "v1.event-type.import-openapi" Manage POST ["event-type", "import", "openapi"]
        => import_event_types();
    "posthorn.event-type.export-openapi" Read GET ["event-type", "export", "openapi"]
        => export_event_types();
    "v1.event-type.export-openapi" Read POST ["event-type", "export", "openapi"]
        => begin_export();
    "v1.environment.export" Read POST ["environment", "export"] => export_environment();
    "v1.environment.import" Manage POST ["environment", "import"] => import_environment();
    "v1.event-type.get" ViewBase GET ["event-type", event_type_name] => get_event_type(event_type_name);
    "v1.event-type.update" Manage PUT ["event-type", event_type_name]
        => update_event_type(event_type_name);
    "v1.event-type.patch" Manage PATCH ["event-type", event_type_name]
        => patch_event_type(event_type_name);
    "v1.event-type.delete" Manage DELETE ["event-type", event_type_name]
        => delete_event_type(event_type_name);
    "v1.event-type.get-retry-schedule" Read GET ["event-type", event_type_name, "retry-schedule"]
        => get_retry_schedule(event_type_name);
    "v1.event-type.update-retry-schedule" Manage PUT ["event-type", event_type_name, "retry-schedule"]
        => set_retry_schedule(event_type_name);

    "v1.message.list" ViewBase GET ["app", app, "msg"] => list_messages(app);
    "posthorn.message.search" ViewBase GET ["app", app, "msg-search"] => search_messages(app);
    "v1.message.get" ViewBase GET ["app", app, "msg", msg] => get_message(app, msg);
    "v1.message.get-raw-payload" ViewBase GET ["app", app, "msg", msg, "raw"] => raw_payload(app, msg);

    "v1.endpoint.get-headers" ViewBase GET ["app", app, "endpoint", ep, "headers"] => get_headers(app, ep);
    "v1.endpoint.update-headers" ManageEndpoint PUT ["app", app, "endpoint", ep, "headers"]
        => set_headers(app, ep);
    "v1.endpoint.patch-headers" ManageEndpoint PATCH ["app", app, "endpoint", ep, "headers"]
        => patch_headers(app, ep);
    "v1.endpoint.get-stats" ViewBase GET ["app", app, "endpoint", ep, "stats"] => endpoint_stats(app, ep);
    "v1.endpoint.get-attempt-stats" ViewBase GET ["app", app, "endpoint", ep, "attempt-stats"]
        => attempt_stats(app, ep);
    "posthorn.endpoint.rate-limit-status" ViewBase GET ["app", app, "endpoint", ep, "rate-limit-status"]
        => rate_status(app, ep);
    "v1.message-attempt.list-attempted-messages" ViewBase GET ["app", app, "endpoint", ep, "msg"]
        => attempted_messages(app, ep);
    "v1.message.expunge-content" Manage DELETE ["app", app, "msg", msg, "content"]
        => expunge_message(app, msg);
    "v1.message.bulk-expunge-content" Manage POST ["app", app, "msg", "bulk-expunge"]
        => expunge_messages(app);
    "v1.message.expunge-all-contents" Manage POST ["app", app, "msg", "expunge-all-contents"]
        => expunge_all(app);
    "v1.message-attempt.expunge-content" Manage DELETE
        ["app", app, "msg", msg, "attempt", attempt, "content"]
        => expunge_attempt(app, msg, attempt);

    "v1.message-attempt.list-by-msg" ViewBase GET ["app", app, "attempt", "msg", msg]
        => attempts_of_message(app, msg);
    "v1.message-attempt.list-by-msg-deprecated" ViewBase GET ["app", app, "msg", msg, "attempt"]
        => attempts_of_message(app, msg);
    "v1.message-attempt.list-by-endpoint-deprecated" ViewBase
        GET ["app", app, "msg", msg, "endpoint", ep, "attempt"] => attempts_of_pair(app, msg, ep);
    "v1.message-attempt.list-by-endpoint" ViewBase GET ["app", app, "attempt", "endpoint", ep]
        => attempts_of_endpoint(app, ep);
    "v1.message-attempt.count-by-endpoint" ViewBase
        GET ["app", app, "attempt", "endpoint", ep, "count"] => count_attempts(app, ep);
    "v1.message-attempt.get-headers" ViewBase
        GET ["app", app, "msg", msg, "attempt", attempt, "headers"] => sent_headers(app, msg, attempt);
    "v1.message-attempt.get" ViewBase GET ["app", app, "msg", msg, "attempt", attempt]
        => get_attempt(app, msg, attempt);
    "v1.message-attempt.list-attempted-destinations" ViewBase GET ["app", app, "msg", msg, "endpoint"]
        => destinations(app, msg);
    "v1.message-attempt.resend" CreateAttempts POST ["app", app, "msg", msg, "endpoint", ep, "resend"]
        => resend(app, msg, ep);

    "v1.operational-webhook.endpoint.list" Read GET ["operational-webhook", "endpoint"]
        => list_operational();
    "v1.operational-webhook.endpoint.create" Manage POST ["operational-webhook", "endpoint"]
        => create_operational();
    "v1.operational-webhook.endpoint.get" Read GET ["operational-webhook", "endpoint", op]
        => get_operational(op);
    "v1.operational-webhook.endpoint.update" Manage PUT ["operational-webhook", "endpoint", op]
        => update_operational(op);
    "v1.operational-webhook.endpoint.delete" Manage DELETE ["operational-webhook", "endpoint", op]
        => delete_operational(op);
    "v1.operational-webhook.endpoint.get-secret" Manage
        GET ["operational-webhook", "endpoint", op, "secret"] => get_operational_secret(op);
    "v1.operational-webhook.endpoint.rotate-secret" Manage
        POST ["operational-webhook", "endpoint", op, "secret", "rotate"]
        => rotate_operational_secret(op);
    "v1.operational-webhook.endpoint.get-headers" Read
        GET ["operational-webhook", "endpoint", op, "headers"] => get_operational_headers(op);
    "v1.operational-webhook.endpoint.update-headers" Manage
        PUT ["operational-webhook", "endpoint", op, "headers"] => set_operational_headers(op);

    "v1.application.get-stats" ViewBase GET ["app", app, "stats"] => application_stats(app);
    "posthorn.endpoint.count" ViewBase GET ["app", app, "endpoint-count"] => count_endpoints(app);
    "v1.stats.app-attempts" ViewBase GET ["stats", "app", app, "attempt"] => application_series(app);
    "v1.stats.endpoint-attempts" ViewBase GET ["stats", "app", app, "ep", ep, "attempt"]
        => endpoint_series(app, ep);
    "v1.statistics.aggregate-app-stats" Read POST ["stats", "usage", "app"] => app_usage();
    "v1.statistics.aggregate-event-types" Read PUT ["stats", "usage", "event-types"]
        => event_type_usage();
    "v1.authentication.whoami" Token GET ["auth", "whoami"] => whoami();
    "v1.authentication.expire-all" Manage POST ["auth", "app", app, "expire-all"] => expire_all(app);
    "v1.message.precheck" ViewBase POST ["app", app, "msg", "precheck", "active"] => precheck(app);

    "v1.background-task.list" Read GET ["background-task"] => list_tasks();
    "v1.background-task.get" Read GET ["background-task", task] => get_task(task);
    "v1.endpoint.recover" CreateAttempts POST ["app", app, "endpoint", ep, "recover"] => recover(app, ep);
    "v1.endpoint.replay-missing" CreateAttempts POST ["app", app, "endpoint", ep, "replay-missing"]
        => replay_missing(app, ep);
    "v1.endpoint.bulk-replay" CreateAttempts POST ["app", app, "endpoint", ep, "bulk-replay"]
        => bulk_replay(app, ep);
    "posthorn.message.cancel" Manage POST ["app", app, "msg", msg, "cancel"] => cancel_message(app, msg);
    "v1.endpoint.cancel-msgs" Manage POST ["app", app, "endpoint", ep, "cancel-msgs"]
        => cancel_deliveries(app, ep);
    "posthorn.profile.list" Read GET ["profile"] => list_profiles();
    "posthorn.profile.get" Read GET ["profile", profile] => get_profile(profile);
    "posthorn.application.profile" ViewBase GET ["app", app, "profile"] => application_profile(app);
    "posthorn.profile.put" Manage PUT ["profile", profile] => put_profile(profile);
    "posthorn.profile.load" Manage POST ["profile", profile, "load"] => load_profile(profile);
    "v1.endpoint.send-example" CreateAttempts POST ["app", app, "endpoint", ep, "send-example"]
        => send_example(app, ep);
    "posthorn.endpoint.check" CreateAttempts POST ["app", app, "endpoint", ep, "check"]
        => check_endpoint(app, ep);
    "posthorn.event-type-grant.set" Manage PUT ["app", app, "event-type-grant"]
        => grant_event_types(app);

    "posthorn.api-token.list" Keys GET ["operator", "api-token"] => list_api_tokens();
    "posthorn.api-token.create" Keys POST ["operator", "api-token"] => create_api_token();
    "posthorn.api-token.delete" Keys DELETE ["operator", "api-token", key_id]
        => delete_api_token(key_id);
    "posthorn.authentication.expire-organisation" Keys POST ["auth", "expire-all"]
        => expire_organisation();
    "posthorn.root-secret.get" Operate GET ["operator", "root-secret"] => root_secret();
    "posthorn.parked.list" Operate GET ["operator", "parked"] => list_parked();
    "v1.authentication.app-portal-access" Manage POST ["auth", "app-portal-access", app]
        => app_portal_access(app);
    "v1.authentication.dashboard-access" Manage POST ["auth", "dashboard-access", app]
        => dashboard_access(app);
    "v1.authentication.logout" Token POST ["auth", "logout"] => logout();

    "v1.ingest.source.list" Read GET ["ingest", "source"] => list_sources();
    "v1.ingest.source.create" Manage POST ["ingest", "source"] => create_source();
    "v1.ingest.source.get" Read GET ["ingest", "source", source_id] => get_source(source_id);
    "v1.ingest.source.update" Manage PUT ["ingest", "source", source_id] => update_source(source_id);
    "v1.ingest.source.patch" Manage PATCH ["ingest", "source", source_id] => patch_source(source_id);
    "v1.ingest.source.rotate-token" Manage POST ["ingest", "source", source_id, "token", "rotate"]
        => rotate_source_token(source_id);
    "v1.ingest.authentication.consumer-portal-access"
        Manage POST ["ingest", "source", source_id, "dashboard"]
        => source_portal_access(source_id);
    "posthorn.ingest.source.log" Read GET ["ingest", "source", source_id, "log"]
        => source_log(source_id);
    "v1.ingest.source.delete" Manage DELETE ["ingest", "source", source_id] => delete_source(source_id);

    "v1.ingest.endpoint.list" Read GET ["ingest", "source", source_id, "endpoint"]
        => list_source_endpoints(source_id);
    "v1.ingest.endpoint.create" Manage POST ["ingest", "source", source_id, "endpoint"]
        => create_source_endpoint(source_id);
    "v1.ingest.endpoint.get" Read GET ["ingest", "source", source_id, "endpoint", ep]
        => get_source_endpoint(source_id, ep);
    "v1.ingest.endpoint.update" Manage PUT ["ingest", "source", source_id, "endpoint", ep]
        => update_source_endpoint(source_id, ep);
    "v1.ingest.endpoint.delete" Manage DELETE ["ingest", "source", source_id, "endpoint", ep]
        => delete_source_endpoint(source_id, ep);
    "v1.ingest.endpoint.get-secret" Manage GET ["ingest", "source", source_id, "endpoint", ep, "secret"]
        => source_endpoint_secret(source_id, ep);
    "v1.ingest.endpoint.rotate-secret" Manage
        POST ["ingest", "source", source_id, "endpoint", ep, "secret", "rotate"]
        => rotate_source_endpoint_secret(source_id, ep);
    "v1.ingest.endpoint.get-headers" Read
        GET ["ingest", "source", source_id, "endpoint", ep, "headers"]
        => source_endpoint_headers(source_id, ep);
    "v1.ingest.endpoint.update-headers" Manage
        PUT ["ingest", "source", source_id, "endpoint", ep, "headers"]
        => set_source_endpoint_headers(source_id, ep);

    "posthorn.jwt-key.list" Read GET ["operator", "jwt-key"] => list_jwt_keys();
    "posthorn.jwt-key.rotate" Manage POST ["operator", "jwt-key", "rotate"] => rotate_jwt_key();
    "posthorn.inspector.create" Manage POST ["operator", "inspector"] => create_inspector();
    "posthorn.inspector.list" Read GET ["operator", "inspector", token] => list_inspected(token);
    "posthorn.parked.redrive-many" Operate POST ["operator", "parked", "redrive"] => redrive_all_parked();
    "posthorn.root-secret.reseal" Operate POST ["operator", "root-secret", "reseal"] => reseal();
    "posthorn.parked.redrive" Operate POST ["operator", "parked", id, "redrive"] => redrive_parked(id);
}
