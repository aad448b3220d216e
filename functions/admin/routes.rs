//! Every operation of the admin API, once: the table that requests are routed by and that the
//! API's description is made of.

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use shared::api::error::ApiError;

use crate::{Answer, Call};

/// One operation, as the API's description sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name, the same as in Svix's description where there is one.
    pub id: &'static str,
    /// HTTP method.
    pub method: &'static str,
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
pub(crate) const OPEN: [(&str, &str, &str); 7] = [
    ("v1.health.get", "GET", "/api/v1/health"),
    ("posthorn.health.ping", "GET", "/api/v1/health/ping"),
    ("posthorn.openapi.get", "GET", "/api/v1/openapi.json"),
    ("posthorn.docs.get", "GET", "/docs"),
    ("posthorn.portal.get", "GET", "/portal"),
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
    let path = shared::api::request::segments(path);
    let is_at = |pattern: &str| {
        let pattern = shared::api::request::segments(pattern);
        let fits = |(own, part): (&&str, &&str)| own.starts_with('{') || own == part;
        pattern.len() == path.len() && pattern.iter().zip(&path).all(fits)
    };
    let is_wrong = method != Method::GET && method != Method::HEAD;
    let is_open = OPEN.iter().any(|(_, _, pattern)| is_at(pattern));
    (is_wrong && is_open).then(|| refuse(&["GET", "HEAD"]))
}

/// 308 for an event that is published with a slash at the end of the path. API Gateway has no
/// routes that end with one, so it gets here instead of where events are taken; most clients
/// follow, with the same method and body.
pub(crate) fn moved(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let path = request.uri().path();
    let ["api", "v1", "app", _, "msg"] = shared::api::request::segments(path).as_slice() else {
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
    if let ["app", _, "msg"] = path {
        allowed.push("POST");
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
    ($($id:literal $method:ident [$($segment:tt),*] => $handler:ident($($argument:ident),*);)*) => {
        /// Every operation of the admin function but the health checks.
        pub const OPERATIONS: &[Operation] = &[$(Operation {
            id: $id,
            method: stringify!($method),
            segments: &[$(stringify!($segment)),*],
        }),*];

        impl Call<'_> {
            /// Hands the request to the operation that its method and path name. Segments after
            /// `/api/v1` only.
            pub(crate) async fn route(&self, path: &[&str]) -> Answer {
                // What answers GET answers HEAD; the server leaves the body out.
                let method = match self.request.method() {
                    &Method::HEAD => &Method::GET,
                    method => method,
                };
                match (method, path) {
                    $((&Method::$method, &[$($segment),*]) => {
                        self.$handler($($argument),*).await
                    })*
                    _ => wrong_method(path),
                }
            }
        }
    };
}

operations! {
    "v1.message.broadcast" POST ["msg", "broadcast"] => broadcast();

    "v1.application.list" GET ["app"] => list_applications();
    "v1.application.create" POST ["app"] => create_application();
    "v1.application.get" GET ["app", app] => get_application(app);
    "v1.application.update" PUT ["app", app] => update_application(app);
    "v1.application.patch" PATCH ["app", app] => patch_application(app);
    "v1.application.delete" DELETE ["app", app] => delete_application(app);
    "posthorn.integration-key.get" GET ["app", app, "integration-key"] => integration_key(app);
    "posthorn.integration-key.rotate" POST ["app", app, "integration-key", "rotate"]
        => rotate_integration_key(app);

    "v1.endpoint.list" GET ["app", app, "endpoint"] => list_endpoints(app);
    "v1.endpoint.create" POST ["app", app, "endpoint"] => create_endpoint(app);
    "v1.endpoint.get" GET ["app", app, "endpoint", ep] => get_endpoint(app, ep);
    "v1.endpoint.update" PUT ["app", app, "endpoint", ep] => update_endpoint(app, ep);
    "v1.endpoint.patch" PATCH ["app", app, "endpoint", ep] => patch_endpoint(app, ep);
    "v1.endpoint.delete" DELETE ["app", app, "endpoint", ep] => delete_endpoint(app, ep);
    "v1.endpoint.get-secret" GET ["app", app, "endpoint", ep, "secret"] => get_secret(app, ep);
    "v1.endpoint.rotate-secret" POST ["app", app, "endpoint", ep, "secret", "rotate"]
        => rotate_secret(app, ep);

    "v1.event-type.list" GET ["event-type"] => list_event_types();
    "v1.event-type.create" POST ["event-type"] => create_event_type();
    "v1.event-type.import-openapi" POST ["event-type", "import", "openapi"]
        => import_event_types();
    "v1.event-type.export-openapi" GET ["event-type", "export", "openapi"]
        => export_event_types();
    "v1.event-type.get" GET ["event-type", event_type_name] => get_event_type(event_type_name);
    "v1.event-type.update" PUT ["event-type", event_type_name]
        => update_event_type(event_type_name);
    "v1.event-type.patch" PATCH ["event-type", event_type_name]
        => patch_event_type(event_type_name);
    "v1.event-type.delete" DELETE ["event-type", event_type_name]
        => delete_event_type(event_type_name);
    "v1.event-type.get-retry-schedule" GET ["event-type", event_type_name, "retry-schedule"]
        => get_retry_schedule(event_type_name);
    "v1.event-type.update-retry-schedule" PUT ["event-type", event_type_name, "retry-schedule"]
        => set_retry_schedule(event_type_name);

    "v1.message.list" GET ["app", app, "msg"] => list_messages(app);
    "v1.message.get" GET ["app", app, "msg", msg] => get_message(app, msg);

    "v1.endpoint.get-headers" GET ["app", app, "endpoint", ep, "headers"] => get_headers(app, ep);
    "v1.endpoint.update-headers" PUT ["app", app, "endpoint", ep, "headers"]
        => set_headers(app, ep);
    "v1.endpoint.patch-headers" PATCH ["app", app, "endpoint", ep, "headers"]
        => patch_headers(app, ep);
    "v1.endpoint.get-stats" GET ["app", app, "endpoint", ep, "stats"] => endpoint_stats(app, ep);
    "v1.endpoint.get-attempt-stats" GET ["app", app, "endpoint", ep, "attempt-stats"]
        => attempt_stats(app, ep);
    "posthorn.endpoint.rate-limit-status" GET ["app", app, "endpoint", ep, "rate-limit-status"]
        => rate_status(app, ep);
    "v1.message-attempt.list-attempted-messages" GET ["app", app, "endpoint", ep, "msg"]
        => attempted_messages(app, ep);
    "v1.message.expunge-content" DELETE ["app", app, "msg", msg, "content"]
        => expunge_message(app, msg);
    "v1.message.bulk-expunge-content" POST ["app", app, "msg", "bulk-expunge"]
        => expunge_messages(app);
    "v1.message.expunge-all-contents" POST ["app", app, "msg", "expunge-all-contents"]
        => expunge_all(app);
    "v1.message-attempt.expunge-content" DELETE
        ["app", app, "msg", msg, "attempt", attempt, "content"]
        => expunge_attempt(app, msg, attempt);

    "v1.message-attempt.list-by-msg" GET ["app", app, "attempt", "msg", msg]
        => attempts_of_message(app, msg);
    "v1.message-attempt.list-by-msg-deprecated" GET ["app", app, "msg", msg, "attempt"]
        => attempts_of_message(app, msg);
    "v1.message-attempt.list-by-endpoint-deprecated"
        GET ["app", app, "msg", msg, "endpoint", ep, "attempt"] => attempts_of_pair(app, msg, ep);
    "v1.message-attempt.list-by-endpoint" GET ["app", app, "attempt", "endpoint", ep]
        => attempts_of_endpoint(app, ep);
    "v1.message-attempt.get" GET ["app", app, "msg", msg, "attempt", attempt]
        => get_attempt(app, msg, attempt);
    "v1.message-attempt.list-attempted-destinations" GET ["app", app, "msg", msg, "endpoint"]
        => destinations(app, msg);
    "v1.message-attempt.resend" POST ["app", app, "msg", msg, "endpoint", ep, "resend"]
        => resend(app, msg, ep);

    "v1.operational-webhook.endpoint.list" GET ["operational-webhook", "endpoint"]
        => list_operational();
    "v1.operational-webhook.endpoint.create" POST ["operational-webhook", "endpoint"]
        => create_operational();
    "v1.operational-webhook.endpoint.get" GET ["operational-webhook", "endpoint", op]
        => get_operational(op);
    "v1.operational-webhook.endpoint.update" PUT ["operational-webhook", "endpoint", op]
        => update_operational(op);
    "v1.operational-webhook.endpoint.delete" DELETE ["operational-webhook", "endpoint", op]
        => delete_operational(op);
    "v1.operational-webhook.endpoint.get-secret"
        GET ["operational-webhook", "endpoint", op, "secret"] => get_operational_secret(op);
    "v1.operational-webhook.endpoint.rotate-secret"
        POST ["operational-webhook", "endpoint", op, "secret", "rotate"]
        => rotate_operational_secret(op);
    "v1.operational-webhook.endpoint.get-headers"
        GET ["operational-webhook", "endpoint", op, "headers"] => get_operational_headers(op);
    "v1.operational-webhook.endpoint.update-headers"
        PUT ["operational-webhook", "endpoint", op, "headers"] => set_operational_headers(op);

    "v1.statistics.aggregate-app-stats" POST ["stats", "usage", "app"] => app_usage();
    "v1.statistics.aggregate-event-types" PUT ["stats", "usage", "event-types"]
        => event_type_usage();
    "v1.authentication.whoami" GET ["auth", "whoami"] => whoami();
    "v1.authentication.expire-all" POST ["auth", "app", app, "expire-all"] => expire_all(app);
    "v1.message.precheck" POST ["app", app, "msg", "precheck", "active"] => precheck(app);

    "v1.background-task.list" GET ["background-task"] => list_tasks();
    "v1.background-task.get" GET ["background-task", task] => get_task(task);
    "v1.endpoint.recover" POST ["app", app, "endpoint", ep, "recover"] => recover(app, ep);
    "v1.endpoint.replay-missing" POST ["app", app, "endpoint", ep, "replay-missing"]
        => replay_missing(app, ep);
    "v1.endpoint.bulk-replay" POST ["app", app, "endpoint", ep, "bulk-replay"]
        => bulk_replay(app, ep);
    "posthorn.message.cancel" POST ["app", app, "msg", msg, "cancel"] => cancel_message(app, msg);
    "v1.endpoint.cancel-msgs" POST ["app", app, "endpoint", ep, "cancel-msgs"]
        => cancel_deliveries(app, ep);
    "posthorn.profile.list" GET ["profile"] => list_profiles();
    "posthorn.profile.get" GET ["profile", profile] => get_profile(profile);
    "posthorn.application.profile" GET ["app", app, "profile"] => application_profile(app);
    "posthorn.profile.put" PUT ["profile", profile] => put_profile(profile);
    "posthorn.profile.load" POST ["profile", profile, "load"] => load_profile(profile);
    "v1.endpoint.send-example" POST ["app", app, "endpoint", ep, "send-example"]
        => send_example(app, ep);
    "posthorn.endpoint.check" POST ["app", app, "endpoint", ep, "check"]
        => check_endpoint(app, ep);
    "posthorn.event-type-grant.set" PUT ["app", app, "event-type-grant"]
        => grant_event_types(app);

    "posthorn.parked.list" GET ["operator", "parked"] => list_parked();
    "v1.authentication.app-portal-access" POST ["auth", "app-portal-access", app]
        => app_portal_access(app);
    "v1.authentication.dashboard-access" POST ["auth", "dashboard-access", app]
        => dashboard_access(app);
    "v1.authentication.logout" POST ["auth", "logout"] => logout();

    "v1.ingest.source.list" GET ["ingest", "source"] => list_sources();
    "v1.ingest.source.create" POST ["ingest", "source"] => create_source();
    "v1.ingest.source.get" GET ["ingest", "source", source_id] => get_source(source_id);
    "v1.ingest.source.update" PUT ["ingest", "source", source_id] => update_source(source_id);
    "v1.ingest.source.delete" DELETE ["ingest", "source", source_id] => delete_source(source_id);

    "posthorn.jwt-key.list" GET ["operator", "jwt-key"] => list_jwt_keys();
    "posthorn.jwt-key.rotate" POST ["operator", "jwt-key", "rotate"] => rotate_jwt_key();
    "posthorn.inspector.create" POST ["operator", "inspector"] => create_inspector();
    "posthorn.inspector.list" GET ["operator", "inspector", token] => list_inspected(token);
    "posthorn.parked.redrive-many" POST ["operator", "parked", "redrive"] => redrive_all_parked();
    "posthorn.parked.redrive" POST ["operator", "parked", id, "redrive"] => redrive_parked(id);
}
