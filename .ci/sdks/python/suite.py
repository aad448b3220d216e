"""The official Python libraries, of the lines 1.x and 2.x, against a platform that runs.

usage: suite.py URL TOKEN

A test for each resource, as a customer's code would use it. Prints a line of JSON for each test:
its name, `ok`, `fail` or `not there`, and the reason. A test that needs an operation which the
served description does not have is `not there`.
"""

import hmac
import http.server
import inspect
import json
import pathlib
import queue
import re
import sys
import threading
import time
import traceback
import urllib.request
from datetime import datetime, timedelta, timezone

import standardwebhooks
import svix.api as api
import svix.api.common as common
from svix.api import Svix, SvixOptions
from svix.exceptions import HttpError, HTTPValidationError
from svix.webhooks import Webhook, WebhookVerificationError

# The line 2.x is the one that says `upsert`.
NEW = hasattr(api.Application, "upsert")
PATIENCE_S = 20
TESTS = []
# What is elsewhere or comes later, with the reason: no platform of ours serves it.
ELSEWHERE = pathlib.Path(__file__).parents[3] / "tests" / "svix-elsewhere.json"


def test(name, *needs):
    """Registers a test and what it needs: operations ("GET /app/{}"), fields ("MessageIn.tags")."""

    def register(body):
        TESTS.append((name, needs, body))
        return body

    return register


def plain(path):
    """A path without the names of its parameters."""
    return re.sub(r"{[^}]*}", "{}", path)


class Called:
    """The operations that answered with success, noted while the library calls them."""

    operations: "set[str]" = set()

    @classmethod
    def note(cls):
        request = common.ApiBaseSync._request_sync

        def noting(self, method, path, *more, **named):
            answer = request(self, method, path, *more, **named)
            cls.operations.add(f"{method.upper()} {plain(path)}")
            return answer

        common.ApiBaseSync._request_sync = noting

    @staticmethod
    def known():
        """Every operation that this library has, read from its source."""
        written = re.compile(r'method="(\w+)",\s*path="([^"]+)"')
        there = set()
        for file in pathlib.Path(inspect.getfile(api)).parent.glob("*.py"):
            for method, path in written.findall(file.read_text()):
                there.add(f"{method.upper()} {plain(path)}")
        return there


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers with the status in the path and hands over what came to that path."""

    arrivals: "dict[str, queue.Queue]" = {}
    lock = threading.Lock()

    @classmethod
    def at(cls, path):
        with cls.lock:
            return cls.arrivals.setdefault(path, queue.Queue())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        # HTTP does not tell upper from lower case in names.
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.at(self.path).put((headers, body))
        self.send_response(int(self.path.rsplit("/", 1)[-1]))
        self.end_headers()

    def log_message(self, *_):
        pass


class Bench:
    """What a test works with: a client, an application of its own, and places to send to."""

    count = 0

    def __init__(self, url, token, receiver):
        self.url, self.token, self.receiver = url, token, receiver
        self.svix = Svix(token, SvixOptions(server_url=url))
        self.app = self.svix.application.create(api.ApplicationIn(name="SDK")).id

    def place(self, status=200):
        Bench.count += 1
        return f"{self.receiver}/{Bench.count}/{status}"

    def endpoint(self, status=200, types=None, **more):
        filters = {"event_types" if NEW else "filter_types": types} if types else {}
        return self.svix.endpoint.create(
            self.app, api.EndpointIn(url=self.place(status), **filters, **more)
        )

    def send(self, event_type="order.paid", **more):
        more.setdefault("payload", {"order": "1001", "note": "ünïcödé 🎺"})
        return self.svix.message.create(
            self.app, api.MessageIn(event_type=event_type, **more)
        )

    def arrival(self, endpoint):
        return Receiver.at(endpoint.url.removeprefix(self.receiver)).get(timeout=PATIENCE_S)

    def nothing_arrived(self, endpoint):
        return Receiver.at(endpoint.url.removeprefix(self.receiver)).empty()


def expect(status, call):
    try:
        call()
    except HttpError as error:
        assert error.status_code == status, f"{error.status_code} instead of {status}"
        return error
    except HTTPValidationError as error:
        assert status == 422, f"422 instead of {status}"
        return error
    raise AssertionError(f"success instead of {status}")


def wait_for(look):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def now():
    return datetime.now(timezone.utc)


@test("health", "GET /health")
def health(b):
    assert b.svix.health.get() is None


@test("application", "PATCH /app/{}")
def application(b):
    apps = b.svix.application
    uid = f"sdk-{time.time_ns()}"
    made = apps.create(api.ApplicationIn(name="One", uid=uid, metadata={"a": "b"}))
    assert made.metadata == {"a": "b"} and made.uid == uid
    assert apps.get(uid).id == made.id
    again = apps.get_or_create(api.ApplicationIn(name="Other", uid=uid))
    assert again.id == made.id and again.name == "One"
    expect(409, lambda: apps.create(api.ApplicationIn(name="Twice", uid=uid)))
    change = apps.upsert if NEW else apps.update
    assert change(uid, api.ApplicationIn(name="Two", uid=uid)).name == "Two"
    fresh = change(uid + "-new", api.ApplicationIn(name="Three"))
    assert fresh.uid == uid + "-new"
    assert apps.patch(made.id, api.ApplicationPatch(throttle_rate=7)).throttle_rate == 7
    assert apps.patch(made.id, api.ApplicationPatch(throttle_rate=None)).throttle_rate is None
    seen, iterator = [], None
    while True:
        options = {"limit": 2, "iterator": iterator, "order": api.Ordering.DESCENDING}
        page = apps.list(api.ApplicationListOptions(**options))
        seen += [one.id for one in page.data]
        iterator = page.iterator
        if page.done:
            break
    assert seen == sorted(set(seen), reverse=True) and {made.id, fresh.id} <= set(seen)
    apps.delete(fresh.id)
    expect(404, lambda: apps.get(fresh.id))


@test("endpoint", "PATCH /app/{}/endpoint/{}")
def endpoint(b):
    eps = b.svix.endpoint
    made = b.endpoint(types=["order.paid"], uid="one", channels=["red"], description="First")
    types = "event_types" if NEW else "filter_types"
    assert getattr(made, types) == ["order.paid"] and made.channels == ["red"]
    assert eps.get(b.app, "one").id == made.id
    expect(409, lambda: b.endpoint(uid="one"))
    change, shape = (eps.upsert, "EndpointUpsertIn") if NEW else (eps.update, "EndpointUpdate")
    shape = getattr(api, shape)
    changed = change(b.app, made.id, shape(url=b.place(), uid="two"))
    assert changed.uid == "two" and getattr(changed, types) is None
    assert change(b.app, "three", shape(url=b.place())).uid == "three"
    patched = eps.patch(b.app, made.id, api.EndpointPatch(disabled=True, **{types: ["a.b"]}))
    assert patched.disabled and getattr(patched, types) == ["a.b"] and patched.uid == "two"
    patched = eps.patch(b.app, made.id, api.EndpointPatch(**{types: None}))
    assert getattr(patched, types) is None and patched.disabled
    page = eps.list(b.app, api.EndpointListOptions(limit=1))
    assert len(page.data) == 1 and not page.done
    more = eps.list(b.app, api.EndpointListOptions(limit=1, iterator=page.iterator))
    assert more.data[0].id == made.id
    back = eps.list(b.app, api.EndpointListOptions(limit=1, iterator=more.prev_iterator))
    assert [one.id for one in back.data] == [one.id for one in page.data]
    eps.delete(b.app, made.id)
    expect(404, lambda: eps.get(b.app, made.id))


@test("endpoint headers", "PUT /app/{}/endpoint/{}/headers", "PATCH /app/{}/endpoint/{}/headers")
def headers(b):
    eps = b.svix.endpoint
    ep = b.endpoint()
    put = eps.set_headers if NEW else eps.update_headers
    put(b.app, ep.id, api.EndpointHeadersIn(headers={"X-Tenant": "7", "Authorization": "Key 1"}))
    shown = eps.get_headers(b.app, ep.id)
    assert shown.headers == {"X-Tenant": "7"}, shown
    assert [name.lower() for name in shown.sensitive] == ["authorization"], shown
    eps.patch_headers(b.app, ep.id, api.EndpointHeadersPatchIn(headers={"X-More": "8"}))
    b.send()
    came, _ = b.arrival(ep)
    assert (came["x-tenant"], came["x-more"], came["authorization"]) == ("7", "8", "Key 1")
    refused = api.EndpointHeadersIn(headers={"Content-Length": "3"})
    expect(422, lambda: put(b.app, ep.id, refused))


@test("endpoint secret")
def secrets(b):
    eps = b.svix.endpoint
    own = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    ep = b.endpoint(secret=own)
    assert eps.get_secret(b.app, ep.id).key == own
    rotated = eps.rotate_secret(b.app, ep.id, api.EndpointSecretRotateIn())
    new = eps.get_secret(b.app, ep.id).key
    assert new != own and (not NEW or rotated.key == new)
    b.send()
    came, body = b.arrival(ep)
    for key in (own, new):
        Webhook(key).verify(body, came)
    third = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    eps.rotate_secret(b.app, ep.id, api.EndpointSecretRotateIn(key=third))
    assert eps.get_secret(b.app, ep.id).key == third


@test("delivery, verified")
def verified(b):
    ep = b.endpoint()
    secret = b.svix.endpoint.get_secret(b.app, ep.id).key
    message = b.send()
    came, body = b.arrival(ep)
    # Raises where the signature does not fit; the other library returns the payload as well.
    Webhook(secret).verify(body, came)
    assert standardwebhooks.Webhook(secret).verify(body, came)["note"] == "ünïcödé 🎺"
    lowered = {name.lower(): value for name, value in came.items()}
    assert lowered.get("webhook-id", lowered.get("svix-id")) == message.id
    for verifier, rejection in (
        (Webhook(secret), WebhookVerificationError),
        (standardwebhooks.Webhook(secret), standardwebhooks.webhooks.WebhookVerificationError),
    ):
        try:
            verifier.verify(body + b" ", came)
        except rejection:
            continue
        raise AssertionError("a changed body was verified")


@test("as Dots does it")
def dots(b):
    """The receiver of Dots' documentation: Svix's library, on headers of its family alone."""
    app = b.svix.application.create(api.ApplicationIn(name="Dots", metadata={"posthorn.profile": "dots"}))
    ep = b.svix.endpoint.create(app.id, api.EndpointIn(url=b.place()))
    secret = b.svix.endpoint.get_secret(app.id, ep.id).key
    payload = {"app_id": "6301bbfc-a0c5-454e-8ff9-bb510944fe0c"}
    event = api.MessageIn(event_type="app.updated", payload=payload)
    sent = b.svix.message.create(app.id, event)
    came, body = b.arrival(ep)
    assert json.loads(body) == payload
    assert came["svix-id"] == sent.id and not any(name.startswith("webhook-") for name in came)
    Webhook(secret).verify(body, came)


@test("message")
def message(b):
    msgs = b.svix.message
    red = b.endpoint(channels=["red"])
    paid = b.endpoint(types=["order.paid"])
    first = b.send(event_id="paid-1", channels=["red"])
    b.arrival(red)
    b.arrival(paid)
    second = b.send("order.failed", channels=["blue"])
    assert msgs.get(b.app, "paid-1").id == first.id
    # The line 2.x asks for messages without their content unless told to.
    whole = api.MessageGetOptions(with_content=True)
    assert msgs.get(b.app, first.id, whole).payload["order"] == "1001"
    without = msgs.get(b.app, first.id, api.MessageGetOptions(with_content=False))
    assert without.payload == {}
    expect(409, lambda: b.send(event_id="paid-1"))
    both = msgs.list(b.app)
    assert [one.id for one in both.data] == [second.id, first.id] and both.done
    one = msgs.list(b.app, api.MessageListOptions(limit=1))
    two = msgs.list(b.app, api.MessageListOptions(limit=1, iterator=one.iterator))
    assert [m.id for m in one.data + two.data] == [second.id, first.id]
    for options, found in (
        ({"event_types": ["order.failed"]}, second),
        ({"channel": "red"}, first),
        ({"before": now() + timedelta(minutes=1), "channel": "blue"}, second),
    ):
        listed = msgs.list(b.app, api.MessageListOptions(**options))
        assert [m.id for m in listed.data] == [found.id], options
    nothing = msgs.list(b.app, api.MessageListOptions(after=now() + timedelta(minutes=1)))
    assert nothing.data == []
    key = api.MessageCreateOptions(idempotency_key=f"key-{time.time_ns()}")
    shape = api.MessageIn(event_type="order.paid", payload={"n": 1})
    assert msgs.create(b.app, shape, key).id == msgs.create(b.app, shape, key).id
    assert b.nothing_arrived(red)
    for event_type, active in (("order.paid", True), ("a.b", False)):
        asked = api.MessagePrecheckIn(event_type=event_type, channels=["blue"])
        assert msgs.precheck(b.app, asked).active is active, event_type


@test("message: application with it", "MessageIn.application")
def create_on_send(b):
    uid = f"sdk-late-{time.time_ns()}"
    sent = b.svix.message.create(
        uid,
        api.MessageIn(
            event_type="order.paid", payload={}, application=api.ApplicationIn(name="Late", uid=uid)
        ),
    )
    assert b.svix.message.get(uid, sent.id).id == sent.id


@test("message: raw payload", "MessageIn.transformationsParams")
def raw(b):
    ep = b.endpoint()
    from svix.api import message as module

    b.svix.message.create(b.app, module.message_in_raw("order.paid", "not, JSON", "text/plain"))
    came, body = b.arrival(ep)
    assert body == b"not, JSON"
    assert {k.lower(): v for k, v in came.items()}["content-type"] == "text/plain"


@test("message: expunge", "DELETE /app/{}/msg/{}/content")
def expunge(b):
    ep = b.endpoint()
    sent = b.send()
    b.arrival(ep)
    b.svix.message.expunge_content(b.app, sent.id)
    if NEW:
        named = api.BulkExpungeContentsIn(ids=[sent.id, "nobody"])
        results = b.svix.message.bulk_expunge_content(b.app, named).results
        assert {name: str(what) for name, what in results.items()} == {
            sent.id: "expunged", "nobody": "not-found",
        }
    assert b.svix.message.expunge_all_contents(b.app).id.startswith("qtask_")
    whole = api.MessageGetOptions(with_content=True)
    assert "order" not in b.svix.message.get(b.app, sent.id, whole).payload
    expect(400, lambda: b.svix.message_attempt.resend(b.app, sent.id, ep.id))


@test("message: tags, later", "MessageIn.tags", "MessageIn.deliverAt")
def tags(b):
    ep = b.endpoint()
    expect(422, lambda: b.send(deliver_at=now() + timedelta(days=365)))
    sent = b.send(tags=["vip"], deliver_at=now() + timedelta(seconds=90))
    b.send(tags=["other"])
    b.arrival(ep)
    assert b.nothing_arrived(ep), "it came too soon"
    found = b.svix.message.list(b.app, api.MessageListOptions(tag="vip"))
    assert [m.id for m in found.data] == [sent.id]
    assert b.svix.message.list(b.app, api.MessageListOptions(tag="none")).data == []


@test("event type", "POST /event-type")
def event_type(b):
    types = b.svix.event_type
    name = f"sdk{time.time_ns()}.paid"
    schema = {"1": {"type": "object", "properties": {"order": {"type": "string"}}}}
    made = types.create(api.EventTypeIn(name=name, description="Paid", schemas=schema))
    assert made.schemas == schema and not made.archived
    expect(409, lambda: types.create(api.EventTypeIn(name=name, description="Twice")))
    change, shape = (
        (types.upsert, "EventTypeUpsertIn") if NEW else (types.update, "EventTypeUpdate")
    )
    changed = change(name, getattr(api, shape)(description="Was paid"))
    assert changed.description == "Was paid"
    patched = types.patch(name, api.EventTypePatch(feature_flags=["beta"], group_name="orders"))
    assert patched.feature_flags == ["beta"] and patched.description == "Was paid"
    names = [one.name for one in types.list(api.EventTypeListOptions(limit=250)).data]
    assert name in names
    types.delete(name)
    assert types.get(name).archived
    names = [one.name for one in types.list(api.EventTypeListOptions(limit=250)).data]
    assert name not in names
    listed = types.list(api.EventTypeListOptions(limit=250, include_archived=True)).data
    assert name in [one.name for one in listed]
    types.delete(name, api.EventTypeDeleteOptions(expunge=True))
    expect(404, lambda: types.get(name))


@test("event type: import", "POST /event-type/import/openapi")
def import_openapi(b):
    name = f"sdk{time.time_ns()}.imported"
    spec = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "webhooks": {
            name: {
                "post": {
                    "operationId": name,
                    "description": "Imported",
                    "requestBody": {
                        "content": {"application/json": {"schema": {"type": "object"}}}
                    },
                }
            }
        },
    }
    b.svix.event_type.import_openapi(api.EventTypeImportOpenApiIn(spec=spec))
    assert b.svix.event_type.get(name).description == "Imported"


@test("message attempt")
def attempts(b):
    tries = b.svix.message_attempt
    good, bad = b.endpoint(), b.endpoint(500)
    sent = b.send()
    b.arrival(good)
    b.arrival(bad)
    both = wait_for(lambda: len(p := tries.list_by_msg(b.app, sent.id).data) == 2 and p)
    assert {one.endpoint_id for one in both} == {good.id, bad.id}
    failed = tries.list_by_endpoint(b.app, bad.id).data[0]
    assert (failed.response_status_code, failed.status) == (500, 2)
    assert tries.get(b.app, sent.id, failed.id).url == bad.url
    for options, found in (
        ({"status": 0}, good.id),
        ({"status": 2}, bad.id),
        ({"status_code_class": 500}, bad.id),
        ({"endpoint_id": good.id}, good.id),
    ):
        listed = tries.list_by_msg(b.app, sent.id, api.MessageAttemptListByMsgOptions(**options))
        assert [one.endpoint_id for one in listed.data] == [found], options
    places = tries.list_attempted_destinations(b.app, sent.id).data
    assert {one.id: one.status for one in places} == {good.id: 0, bad.id: 3}
    # The retry after about 5 seconds.
    b.arrival(bad)


@test("message attempt: messages", "GET /app/{}/endpoint/{}/msg")
def attempted_messages(b):
    ep = b.endpoint()
    sent = b.send()
    b.arrival(ep)
    listed = wait_for(
        lambda: b.svix.message_attempt.list_attempted_messages(b.app, ep.id).data
    )
    assert [(one.id, one.status) for one in listed] == [(sent.id, 0)]


@test("message attempt: expunge", "DELETE /app/{}/msg/{}/attempt/{}/content")
def expunge_attempt(b):
    ep = b.endpoint()
    sent = b.send()
    b.arrival(ep)
    tries = b.svix.message_attempt
    attempt = wait_for(lambda: tries.list_by_msg(b.app, sent.id).data)[0]
    tries.expunge_content(b.app, sent.id, attempt.id)
    assert tries.get(b.app, sent.id, attempt.id).response == "EXPUNGED"


@test("resend")
def resend(b):
    ep = b.endpoint()
    sent = b.send()
    first, _ = b.arrival(ep)
    wait_for(lambda: b.svix.message_attempt.list_by_msg(b.app, sent.id).data)
    b.svix.message_attempt.resend(b.app, sent.id, ep.id)
    second, _ = b.arrival(ep)
    assert {k: v for k, v in first.items() if k.lower() == "webhook-id"} == {
        k: v for k, v in second.items() if k.lower() == "webhook-id"
    }
    both = wait_for(
        lambda: len(p := b.svix.message_attempt.list_by_msg(b.app, sent.id).data) == 2 and p
    )
    assert [one.trigger_type for one in both] == [1, 0]


@test("recover", "POST /app/{}/endpoint/{}/recover")
def recover(b):
    since = now() - timedelta(minutes=1)
    ep = b.endpoint(500)
    sent = b.send()
    b.arrival(ep)
    tries = b.svix.message_attempt
    wait_for(lambda: tries.list_by_msg(b.app, sent.id).data)
    b.svix.endpoint.patch(b.app, ep.id, api.EndpointPatch(url=b.place()))
    moved = b.svix.endpoint.get(b.app, ep.id)
    task = b.svix.endpoint.recover(b.app, ep.id, api.RecoverIn(since=since))
    assert task.id.startswith("qtask_") and task.task == "endpoint.recover"
    b.arrival(moved)


@test("replay missing", "POST /app/{}/endpoint/{}/replay-missing")
def replay_missing(b):
    since = now() - timedelta(minutes=1)
    sent = b.send()
    ep = b.endpoint()
    task = b.svix.endpoint.replay_missing(b.app, ep.id, api.ReplayIn(since=since))
    assert task.task == "endpoint.replay"
    came, _ = b.arrival(ep)
    assert sent.id in came.values()


@test("bulk replay", "POST /app/{}/endpoint/{}/bulk-replay")
def bulk_replay(b):
    since = now() - timedelta(minutes=1)
    ep = b.endpoint()
    b.send()
    b.arrival(ep)
    wait_for(lambda: b.svix.message_attempt.list_by_endpoint(b.app, ep.id).data)
    b.svix.endpoint.bulk_replay(b.app, ep.id, api.BulkReplayIn(since=since))
    b.arrival(ep)


@test("background task", "GET /background-task/{}", "POST /app/{}/endpoint/{}/replay-missing")
def background_task(b):
    ep = b.endpoint()
    since = now() - timedelta(minutes=1)
    task = b.svix.endpoint.replay_missing(b.app, ep.id, api.ReplayIn(since=since))
    done = wait_for(
        lambda: (one := b.svix.background_task.get(task.id)).status == "finished" and one
    )
    assert done.id == task.id and done.task == task.task
    assert task.id in [one.id for one in b.svix.background_task.list().data]


@test("endpoint stats", "GET /app/{}/endpoint/{}/stats")
def stats(b):
    ep = b.endpoint()
    b.send()
    b.arrival(ep)
    counted = wait_for(
        lambda: (one := b.svix.endpoint.get_stats(b.app, ep.id)).success == 1 and one
    )
    assert (counted.fail, counted.pending, counted.sending) == (0, 0, 0)
    if NEW:
        attempts = b.svix.endpoint.get_attempt_stats(b.app, ep.id)
        assert (attempts.success, attempts.fail, attempts.canceled) == (1, 0, 0)


@test("statistics", "POST /stats/usage/app", "PUT /stats/usage/event-types")
def statistics(b):
    b.send()
    usage = api.AppUsageStatsIn(since=now() - timedelta(hours=1), until=now())
    assert b.svix.statistics.aggregate_app_stats(usage).id.startswith("qtask_")
    assert b.svix.statistics.aggregate_event_types().id.startswith("qtask_")


@test("send example", "POST /app/{}/endpoint/{}/send-example", "POST /event-type")
def send_example(b):
    name = f"sdk{time.time_ns()}.example"
    schema = {"1": {"type": "object", "examples": [{"order": "7"}]}}
    b.svix.event_type.create(api.EventTypeIn(name=name, description="One", schemas=schema))
    ep = b.endpoint()
    b.svix.endpoint.send_example(b.app, ep.id, api.EventExampleIn(event_type=name))
    _, body = b.arrival(ep)
    assert json.loads(body) == {"order": "7"}


@test("authentication", "POST /auth/app-portal-access/{}", "POST /auth/logout")
def authentication(b):
    access = b.svix.authentication.app_portal_access(b.app, api.AppPortalAccessIn())
    assert access.token and access.url
    portal = Svix(access.token, SvixOptions(server_url=b.url))
    assert portal.endpoint.list(b.app).data == []
    expect(403, portal.application.list)
    other = b.svix.application.create(api.ApplicationIn(name="Other"))
    expect(404, lambda: portal.endpoint.list(other.id))
    portal.authentication.logout()
    expect(401, lambda: portal.endpoint.list(b.app))
    if not NEW:
        assert b.svix.authentication.dashboard_access(b.app).url


@test("authentication: expire all", "POST /auth/app/{}/expire-all")
def expire_all(b):
    access = b.svix.authentication.app_portal_access(b.app, api.AppPortalAccessIn())
    portal = Svix(access.token, SvixOptions(server_url=b.url))
    portal.endpoint.list(b.app)
    b.svix.authentication.expire_all(b.app, api.ApplicationTokenExpireIn())
    wait_for(lambda: refused(lambda: portal.endpoint.list(b.app)))


def refused(call):
    try:
        call()
    except HttpError as error:
        return error.status_code == 401
    return False


@test("authentication: less", "AppPortalAccessIn.capabilities")
def capabilities(b):
    ep = b.endpoint()

    def visit(**more):
        shape = api.AppPortalAccessIn(**more)
        access = b.svix.authentication.app_portal_access(b.app, shape)
        return Svix(access.token, SvixOptions(server_url=b.url))

    looks = visit(read_only=True)
    assert [one.id for one in looks.endpoint.list(b.app).data] == [ep.id]
    expect(403, lambda: looks.endpoint.get_secret(b.app, ep.id))
    expect(403, lambda: looks.endpoint.delete(b.app, ep.id))
    held = [api.AppPortalCapability.VIEW_BASE, api.AppPortalCapability.VIEW_ENDPOINT_SECRET]
    sees = visit(capabilities=held)
    assert sees.endpoint.get_secret(b.app, ep.id).key.startswith("whsec_")
    expect(403, lambda: sees.endpoint.rotate_secret(b.app, ep.id, api.EndpointSecretRotateIn()))
    session = visit(session_id="one", expiry=3600, feature_flags=["beta"])
    session.endpoint.list(b.app)
    ended = api.ApplicationTokenExpireIn(session_ids=["one"])
    b.svix.authentication.expire_all(b.app, ended)
    wait_for(lambda: refused(lambda: session.endpoint.list(b.app)))
    looks.endpoint.list(b.app)
    # The application is made on the way.
    uid = f"made-{time.time_ns()}"
    shape = api.AppPortalAccessIn(application=api.ApplicationIn(name="Made", uid=uid))
    b.svix.authentication.app_portal_access(uid, shape)
    assert b.svix.application.get(uid).name == "Made"


@test("environment", "POST /environment/export")
def environment(b):
    name = f"sdk{time.time_ns()}.environment"
    b.svix.event_type.create(api.EventTypeIn(name=name, description="One"))
    exported = b.svix.environment.export()
    [one] = [one for one in exported.event_types if one.name == name]
    assert (one.description, exported.connectors) == ("One", [])
    changed = api.EventTypeIn(name=name, description="Two")
    b.svix.environment.import_(api.EnvironmentIn(event_types=[changed]))
    assert b.svix.event_type.get(name).description == "Two"
    b.svix.environment.import_(api.EnvironmentIn(settings=exported.settings))


@test("integration", "POST /app/{}/integration")
def integration(b):
    all_of = b.svix.integration
    made = all_of.create(b.app, api.IntegrationIn(name="Zap", feature_flags=["beta"]))
    assert (made.name, made.feature_flags) == ("Zap", ["beta"])
    changed = all_of.update(b.app, made.id, api.IntegrationUpdate(name="Zip"))
    assert (changed.id, changed.name) == (made.id, "Zip")
    assert all_of.get(b.app, made.id).name == "Zip"
    assert [one.id for one in all_of.list(b.app).data] == [made.id]
    key = all_of.rotate_key(b.app, made.id).key
    if not NEW:
        assert all_of.get_key(b.app, made.id).key == key
    other = Svix(key, SvixOptions(server_url=b.url))
    other.message.create(b.app, api.MessageIn(event_type="order.paid", payload={}))
    expect(403, lambda: other.endpoint.list(b.app))
    all_of.delete(b.app, made.id)
    expect(404, lambda: all_of.get(b.app, made.id))


@test("message attempt: with it", "GET /app/{}/attempt/endpoint/{}")
def with_msg(b):
    ep = b.endpoint()
    sent = b.send(event_id=f"order-{time.time_ns()}")
    b.arrival(ep)
    options = api.MessageAttemptListByEndpointOptions(with_msg=True)
    tries = b.svix.message_attempt
    listed = wait_for(lambda: tries.list_by_endpoint(b.app, ep.id, options).data)
    assert (listed[0].msg.id, listed[0].msg.event_id) == (sent.id, sent.event_id)
    assert listed[0].msg.payload == {}


@test("ingest: source", "POST /ingest/api/v1/source/{}/token/rotate")
def ingest_source(b):
    sources = b.svix.ingest.source
    shape = api.IngestSourceIn(
        name="Hub", type="github", config=api.GithubConfig(secret="s3cret"),
        metadata={"posthorn.app": b.app},
    )
    made = sources.create(shape)
    try:
        assert sources.get(made.id).ingest_url == made.ingest_url
        assert made.id in [one.id for one in sources.list().data]
        shape.name = "Renamed"
        change = sources.upsert if NEW else sources.update
        assert change(made.id, shape).name == "Renamed"
        new = sources.rotate_token(made.id).ingest_url
        assert new != made.ingest_url
        assert sources.get(made.id).ingest_url == new
        hooks = b.svix.ingest.endpoint
        ep = hooks.create(made.id, api.IngestEndpointIn(url=b.place()))
        assert [one.id for one in hooks.list(made.id).data] == [ep.id]
        assert hooks.get(made.id, ep.id).url == ep.url
        ingest_endpoint(b, hooks, made.id, ep)
        portal = b.svix.ingest
        access = (portal.authentication.consumer_portal_access if NEW else portal.dashboard)(
            made.id, api.IngestSourceConsumerPortalAccessIn(read_only=True)
        )
        visitor = Svix(access.token, SvixOptions(server_url=b.url))
        assert [one.id for one in visitor.endpoint.list(b.app).data] == [ep.id]
        expect(403, lambda: visitor.endpoint.delete(b.app, ep.id))
        body = b'{"action":"opened"}'
        signature = "sha256=" + hmac.new(b"s3cret", body, "sha256").hexdigest()
        for address in (made.ingest_url, new):
            request = urllib.request.Request(address, body, {
                "x-hub-signature-256": signature, "x-github-event": "a.b",
            })
            urllib.request.urlopen(request, timeout=20).close()
            assert b.arrival(ep)[1] == body
    finally:
        sources.delete(made.id)
    expect(404, lambda: sources.get(made.id))


def ingest_endpoint(b, hooks, source, ep):
    """Everything else that may be done with an endpoint of a source."""
    old = hooks.get_secret(source, ep.id).key
    hooks.rotate_secret(source, ep.id, api.IngestEndpointSecretIn(grace_period_seconds=0))
    assert hooks.get_secret(source, ep.id).key.startswith("whsec_")
    assert hooks.get_secret(source, ep.id).key != old
    put = hooks.set_headers if NEW else hooks.update_headers
    put(source, ep.id, api.IngestEndpointHeadersIn(headers={"X-Team": "hub"}))
    assert hooks.get_headers(source, ep.id).headers == {"X-Team": "hub"}
    change, shape = (
        (hooks.upsert, "IngestEndpointUpsertIn") if NEW else (hooks.update, "IngestEndpointUpdate")
    )
    changed = change(source, ep.id, getattr(api, shape)(url=ep.url, description="Changed"))
    assert (changed.id, changed.description) == (ep.id, "Changed")
    other = hooks.create(source, api.IngestEndpointIn(url=b.place()))
    hooks.delete(source, other.id)
    expect(404, lambda: hooks.get(source, other.id))


@test("operational webhook", "POST /operational-webhook/endpoint")
def operational_webhook(b):
    if NEW:
        hooks = b.svix.operational_webhook.endpoint
    else:
        hooks = b.svix.operational_webhook_endpoint
    types = "event_types" if NEW else "filter_types"
    hook = hooks.create(
        api.OperationalWebhookEndpointIn(url=b.place(), **{types: ["endpoint.created"]})
    )
    try:
        assert hooks.get(hook.id).url == hook.url
        secret = hooks.get_secret(hook.id).key
        added = {"X-Team": "webhooks", "Authorization": "Bearer one"}
        change = hooks.set_headers if NEW else hooks.update_headers
        change(hook.id, api.OperationalWebhookEndpointHeadersIn(headers=added))
        shown = hooks.get_headers(hook.id)
        assert (shown.headers, shown.sensitive) == ({"X-Team": "webhooks"}, ["Authorization"])
        ep = b.endpoint()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            came, body = b.arrival(hook)
            Webhook(secret).verify(body, came)
            event = json.loads(body)
            assert event["type"] == "endpoint.created"
            if event["data"]["endpointId"] == ep.id:
                break
        else:
            raise AssertionError("the endpoint was never told of")
        assert hook.id in [one.id for one in hooks.list().data]
        change, shape = (hooks.upsert, "UpsertIn") if NEW else (hooks.update, "Update")
        shape = getattr(api, "OperationalWebhookEndpoint" + shape)
        changed = change(hook.id, shape(url=hook.url, description="Changed"))
        assert (changed.id, changed.description) == (hook.id, "Changed")
        hooks.rotate_secret(hook.id, api.OperationalWebhookEndpointSecretIn())
        assert hooks.get_secret(hook.id).key not in ("", secret)
    finally:
        hooks.delete(hook.id)
    expect(404, lambda: hooks.get(hook.id))


@test("errors")
def errors(b):
    error = expect(404, lambda: b.svix.application.get("app_000000000000000000000000000"))
    assert error.code == "not_found"
    nonsense = Svix("nonsense", SvixOptions(server_url=b.url))
    assert expect(401, nonsense.application.list).code == "authentication_failed"
    ftp = api.EndpointIn(url="ftp://example.com")
    error = expect(422, lambda: b.svix.endpoint.create(b.app, ftp))
    assert error.detail[0].loc == ["body", "url"]


@test("every operation")
def every_operation(b):
    """The last one: each operation of the library was called above, or is known to be elsewhere."""
    there = served(b.url)
    elsewhere = {name for group in json.loads(ELSEWHERE.read_text()) for name in group["operations"]}
    known = Called.known()
    assert len(known) > 100, known
    lost = {name for name in known - elsewhere if name.replace(" /api/v1", " ") not in there}
    assert not lost, f"neither served nor explained: {sorted(lost)}"
    uncalled = known - elsewhere - Called.operations
    assert not uncalled, f"served and not called: {sorted(uncalled)}"


def served(url):
    with urllib.request.urlopen(f"{url}/api/v1/openapi.json") as answer:
        document = json.load(answer)
    there = set()
    for path, methods in document["paths"].items():
        path = plain(path).removeprefix("/api/v1")
        there |= {f"{method.upper()} {path}" for method in methods}
    for name, schema in document["components"]["schemas"].items():
        there |= {f"{name}.{field}" for field in schema.get("properties", {})}
    return there


def main(url, token):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = served(url)
    Called.note()
    for name, needs, body in TESTS:
        missing = [need for need in needs if need not in there]
        outcome, why = "ok", ""
        if missing:
            outcome, why = "not there", missing[0]
        else:
            try:
                body(Bench(url, token, f"http://127.0.0.1:{server.server_port}"))
            except Exception:
                outcome, why = "fail", traceback.format_exc()
        print(json.dumps({"test": name, "outcome": outcome, "why": why}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
