"""What only Svix's hosted API has, through the models that its official library was generated with.

usage: hosted.py URL TOKEN

The library has those operations as modules of `svix.internal.openapi_client`: each test calls one
and reads what comes back from its typed model, and the last one knows every module. Prints a line of
JSON for each test, as `suite.py` does.
"""

import importlib
import json
import pathlib
import pkgutil
import re
import sys
import time
import traceback
import urllib.request
from datetime import datetime, timedelta, timezone

import svix.internal.openapi_client.api as modules
import svix.internal.openapi_client.models as models
from svix.api import ApplicationIn, EndpointIn, MessageIn, Svix, SvixOptions
from svix.internal.openapi_client.client import AuthenticatedClient

PATIENCE_S = 20
ELSEWHERE = pathlib.Path(__file__).parents[3] / "tests" / "svix-elsewhere.json"
TESTS = []


def test(name):
    def register(body):
        TESTS.append((name, body))
        return body

    return register


class Bench:
    """An application with an endpoint that nobody listens at, and a message to it."""

    def __init__(self, url, token):
        self.url = url
        self.svix = Svix(token, SvixOptions(server_url=url))
        self.client = AuthenticatedClient(
            base_url=url, token=token, retry_schedule=[], raise_on_unexpected_status=True
        )
        self.name = f"sdk{time.time_ns()}.paid"
        schemas = {"1": {"type": "object"}}
        shape = models.EventTypeIn(name=self.name, description="Paid", schemas=schemas)
        self.svix.event_type.create(shape)
        self.app = self.svix.application.create(ApplicationIn(name="Hosted")).id
        self.ep = self.svix.endpoint.create(self.app, EndpointIn(url="http://127.0.0.1:9/hook")).id
        event = MessageIn(event_type=self.name, payload={"order": "1001"})
        self.msg = self.svix.message.create(self.app, event).id

    def call(self, module, *names, **more):
        return at(module).request_sync(*names, client=self.client, **more)

    def attempt(self):
        """The first attempt, once it is on record."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            named = "message_attempt.v1_message_attempt_list_by_msg_deprecated"
            listed = self.call(named, self.app, self.msg)
            if listed.data:
                return listed.data[0]
            assert time.monotonic() < deadline, "no attempt came"
            time.sleep(0.05)


def at(module):
    return importlib.import_module(f"{modules.__name__}.{module}")


def now():
    return datetime.now(timezone.utc)


@test("attempts, older paths")
def older(b):
    first = b.attempt()
    assert (first.endpoint_id, first.msg_id) == (b.ep, b.msg)
    named = "message_attempt.v1_message_attempt_list_by_endpoint_deprecated"
    assert first.id in [one.id for one in b.call(named, b.app, b.msg, b.ep).data]


@test("attempt: headers")
def headers(b):
    shown = b.call(
        "message_attempt.v1_message_attempt_get_headers", b.app, b.msg, b.attempt().id
    )
    sent = {name.lower(): value for name, value in shown.sent_headers.items()}
    assert sent["webhook-id"] == b.msg, sent
    assert isinstance(shown.sensitive, list)


@test("attempts: count")
def count(b):
    b.attempt()
    named = "message_attempt.v1_message_attempt_count_by_endpoint"
    counted = b.call(named, b.app, b.ep)
    assert (counted.count, counted.approximated) == (1, False), counted
    none = b.call(named, b.app, b.ep, event_types=["nothing.else"])
    assert none.count == 0, none


@test("message: raw payload")
def raw(b):
    shown = b.call("message.v1_message_get_raw_payload", b.app, b.msg)
    assert json.loads(shown.payload) == {"order": "1001"}


@test("application: stats")
def stats(b):
    b.attempt()
    since, until = now() - timedelta(hours=1), now() + timedelta(minutes=1)
    counted = b.call("application.v1_application_get_stats", b.app, since=since, until=until)
    assert (counted.app_id, counted.message_destinations) == (b.app, 1), counted


@test("attempts: charts")
def charts(b):
    b.attempt()
    for named, path in (("app", [b.app]), ("endpoint", [b.app, b.ep])):
        chart = b.call(f"statistics.v1_stats_{named}_attempts", *path)
        assert chart.start_date < chart.end_date, chart
        assert sum(chart.data.failure_count) == 1 and sum(chart.data.success_count) == 0, chart


@test("event type: retry schedule")
def retry_schedule(b):
    wanted = [models.Duration(secs=5, nanos=0), models.Duration(secs=600, nanos=0)]
    body = models.RetryScheduleInOut(retry_schedule=wanted)
    named = "event_type.v1_event_type_update_retry_schedule"
    for shown in (
        b.call(named, b.name, json_body=body),
        b.call("event_type.v1_event_type_get_retry_schedule", b.name),
    ):
        assert [one.secs for one in shown.retry_schedule] == [5, 600], shown


@test("event type: export")
def export(b):
    begun = b.call("event_type.v1_event_type_export_openapi")
    task = b.call("background_tasks.get_background_task", begun.id)
    assert (task.id, task.task, str(task.status)) == (begun.id, begun.task, "finished"), task
    assert b.name in task.data["webhooks"], task


@test("message: broadcast")
def broadcast(b):
    body = models.MessageBroadcastIn(event_type=b.name, payload={"order": "1"})
    begun = b.call("broadcast.create_broadcast_message", json_body=body)
    assert begun.id.startswith("qtask_") and str(begun.task) == "message.broadcast", begun


@test("one-time token")
def one_time(b):
    # The library has no field for it: a link with a code in place of the token.
    request = urllib.request.Request(
        f"{b.url}/api/v1/auth/app-portal-access/{b.app}",
        json.dumps({"oneTime": True}).encode(),
        {"authorization": f"Bearer {b.client.token}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        code = json.load(answer)["url"].rsplit("=", 1)[-1]
    body = models.OneTimeTokenIn(one_time_token=code)
    token = b.call("authentication.v1_authentication_exchange_one_time_token", json_body=body).token
    visitor = Svix(token, SvixOptions(server_url=b.url))
    assert [one.id for one in visitor.endpoint.list(b.app).data] == [b.ep]


@test("every module")
def every_module(b):
    """Each operation is served (called above or by the other suites) or known to be elsewhere."""
    with urllib.request.urlopen(f"{b.url}/api/v1/openapi.json", timeout=20) as answer:
        paths = json.load(answer)["paths"]
    here = {
        f"{method.upper()} {re.sub('{[^}]*}', '{}', path)}"
        for path, methods in paths.items() for method in methods
    }
    elsewhere = {name for group in json.loads(ELSEWHERE.read_text()) for name in group["operations"]}
    known, lost = 0, []
    for package in pkgutil.iter_modules(modules.__path__):
        inside = importlib.import_module(f"{modules.__name__}.{package.name}")
        for module in pkgutil.iter_modules(inside.__path__):
            file = pathlib.Path(module.module_finder.path) / f"{module.name}.py"
            source = file.read_text()
            path = re.search(r'url = "\{\}([^"]+)"', source)
            method = re.search(r'"method": "(\w+)"', source)
            operation = f"{method[1].upper()} {re.sub('{[^}]*}', '{}', path[1])}"
            known += 1
            if operation not in here | elsewhere:
                lost.append(operation)
    assert known > 100, known
    assert not lost, f"neither served nor explained: {lost}"


def main(url, token):
    for name, body in TESTS:
        outcome, why = "ok", ""
        try:
            body(Bench(url, token))
        except Exception:
            outcome, why = "fail", traceback.format_exc()
        print(json.dumps({"test": f"hosted: {name}", "outcome": outcome, "why": why}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
