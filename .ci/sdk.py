"""The official Python libraries against a platform that runs: publish, deliver, verify, list.

usage: sdk.py URL TOKEN

Uses the unmodified `svix` client as a customer's code would, and checks what arrives with both
`svix` and `standardwebhooks`. Any surprise is an exception.
"""

import http.server
import queue
import sys
import threading
import time

import standardwebhooks
from svix.api import (
    ApplicationIn,
    EndpointIn,
    EndpointPatch,
    EndpointSecretRotateIn,
    MessageIn,
    MessageListOptions,
    Svix,
    SvixOptions,
)
from svix.exceptions import HttpError, HTTPValidationError
from svix.webhooks import Webhook, WebhookVerificationError

PATIENCE_S = 20


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Answers with the status in the path and hands over what came."""

    arrivals: "queue.Queue[tuple[str, dict, bytes]]" = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.arrivals.put((self.path, dict(self.headers.items()), body))
        self.send_response(int(self.path.rsplit("/", 1)[-1]))
        self.end_headers()

    def log_message(self, *_):
        pass


def main(url: str, token: str) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    receiver = f"http://127.0.0.1:{server.server_port}"
    svix = Svix(token, SvixOptions(server_url=url))

    app = svix.application.create(ApplicationIn(name="SDK", uid=f"sdk-{time.time_ns()}"))
    assert svix.application.get(app.uid).id == app.id
    good = svix.endpoint.create(app.id, EndpointIn(url=f"{receiver}/good/200", uid="good"))
    bad = svix.endpoint.create(
        app.id, EndpointIn(url=f"{receiver}/bad/500", event_types=["order.failed"])
    )
    secret = svix.endpoint.get_secret(app.id, good.id).key
    payload = {"order": "1001", "note": "ünïcödé 🎺"}

    message = svix.message.create(
        app.id, MessageIn(event_type="order.paid", payload=payload, event_id="order-1001-paid")
    )
    path, headers, body = Endpoint.arrivals.get(timeout=PATIENCE_S)
    assert path == "/good/200", path
    # Raises where the signature does not fit; the other library returns the payload as well.
    Webhook(secret).verify(body, headers)
    assert standardwebhooks.Webhook(secret).verify(body, headers) == payload
    try:
        Webhook(secret).verify(body + b" ", headers)
        raise AssertionError("a changed body was verified")
    except WebhookVerificationError:
        pass
    assert svix.message.get(app.id, "order-1001-paid").id == message.id

    expect(409, lambda: svix.message.create(
        app.id, MessageIn(event_type="order.paid", payload=payload, event_id="order-1001-paid")
    ))
    expect(404, lambda: svix.application.get("app_000000000000000000000000000"))
    expect(401, lambda: Svix("nonsense", SvixOptions(server_url=url)).application.list())
    try:
        svix.endpoint.create(app.id, EndpointIn(url="ftp://example.com"))
        raise AssertionError("ftp was accepted")
    except HTTPValidationError as error:
        assert error.detail[0].loc == ["body", "url"], error.detail

    svix.message.create(app.id, MessageIn(event_type="order.failed", payload=payload))
    arrived = {Endpoint.arrivals.get(timeout=PATIENCE_S)[0] for _ in range(2)}
    assert arrived == {"/good/200", "/bad/500"}, arrived
    failed = wait_for(lambda: svix.message_attempt.list_by_endpoint(app.id, bad.id).data)
    assert failed[0].response_status_code == 500 and failed[0].status == 2, failed[0]
    retried = Endpoint.arrivals.get(timeout=PATIENCE_S)
    assert retried[0] == "/bad/500", "the retry after about 5 seconds"

    svix.endpoint.rotate_secret(app.id, good.id, EndpointSecretRotateIn())
    renewed = svix.endpoint.get_secret(app.id, good.id).key
    assert renewed != secret
    svix.message_attempt.resend(app.id, message.id, good.id)
    path, headers, body = Endpoint.arrivals.get(timeout=PATIENCE_S)
    for key in (secret, renewed):
        Webhook(key).verify(body, headers)
    attempts = wait_for(
        lambda: [a for a in svix.message_attempt.list_by_msg(app.id, message.id).data
                 if a.trigger_type == 1]
    )
    assert attempts[0].status == 0 and attempts[0].endpoint_id == good.id

    svix.endpoint.patch(app.id, good.id, EndpointPatch(disabled=True))
    assert svix.endpoint.get(app.id, good.id).disabled
    first = svix.message.list(app.id, MessageListOptions(limit=1))
    second = svix.message.list(app.id, MessageListOptions(limit=1, iterator=first.iterator))
    assert [m.event_type for m in first.data + second.data] == ["order.failed", "order.paid"]
    svix.endpoint.delete(app.id, bad.id)
    svix.application.delete(app.id)
    expect(404, lambda: svix.application.get(app.id))
    print("the official libraries: published, delivered, verified, retried, resent, listed")


def expect(status: int, call) -> None:
    try:
        call()
    except HttpError as error:
        assert error.status_code == status, error.status_code
        return
    raise AssertionError(f"expected {status}")


def wait_for(look):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
