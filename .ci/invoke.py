#!/usr/bin/env python3
"""Runs the four functions and invokes them with every event of events/.

    .ci/invoke.py --account .env --binaries target/lambda
    .ci/invoke.py --account .env

With --binaries the functions are those that would be deployed, each with exactly the variables
that template.yaml gives it, on the control plane of `cargo lambda watch`. Without, it is
`cargo lambda watch` that compiles and starts each at its first event, as a developer would have
it. `cargo lambda invoke` hands them the events. Table and queues are those of a new account made by `.ci/account --env-file`. The
endpoint is a server in this script that checks signatures. Between the queues and dispatch this
script does what Lambda's pollers do.

Needs Python 3.10, cargo-lambda, and nothing else.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVENTS = ROOT / "events"
HOST = "127.0.0.1"
TIMEOUT_S = 30
# How long the first answer may take when a function has to be compiled for it.
COMPILE_S = 600
ORGANISATION = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"
# The ids in the events, in whose place those of this run are put.
APP, MSG, EP, SRC = (
    "app_2xmplWq7RbT4nKc9LsVd1HgYz3F",
    "msg_3MSN3rKecIKqf9HrEwrBqh5aq8z",
    "ep_2xmplWs9TdV6pMe1NuXf3JiAb5H",
    "src_2xmplWt3KqR8vNf5OyYg4LkBc7J",
)


def main():
    options = parse_options()
    account = dict(
        line.split("=", 1) for line in options.account.read_text().splitlines() if "=" in line
    )
    with tempfile.TemporaryDirectory() as scratch:
        with Functions(options.binaries, account, Path(scratch)) as functions, Receiver() as receiver:
            Trip(functions, receiver, Queues(account), account["POSTHORN_ROOT_SECRET"]).run()
            if options.binaries:
                functions.check_logs()


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binaries", type=Path, help="made by cargo lambda build")
    parser.add_argument("--account", type=Path, required=True, help="made by .ci/account")
    return parser.parse_args()


# ------------------------------------------------------------------------------------ the trip


class Trip:
    """What is invoked, in an order in which each step finds what the ones before it made."""

    def __init__(self, functions, receiver, queues, root_secret):
        self.functions, self.receiver, self.queues = functions, receiver, queues
        self.values = {"Bearer TOKEN": f"Bearer {token(root_secret)}"}
        self.seen = set()

    def run(self):
        self.create()
        self.publish()
        self.deliver()
        self.sweep()
        missing = {path.name for path in EVENTS.iterdir()} - self.seen
        check(not missing, "every event was invoked", missing)

    def create(self):
        app = self.ask("admin", "admin-create-application.json", 201)
        self.values[APP] = app["id"]
        listed = self.ask("admin", "admin-list-applications.json", 200)
        check([one["id"] for one in listed["data"]] == [app["id"]], "it is listed", listed)
        self.ask("admin", "admin-get-unknown.json", 404)
        path = f"/api/v1/app/{app['id']}/endpoint"
        endpoint = self.call("POST", path, 201, {"url": self.receiver.url})
        self.values[EP] = endpoint["id"]
        source = {"name": "Billing", "type": "generic-webhook", "app": app["id"]}
        source |= {"verification": {"scheme": "bearer"}, "config": {"secret": "of-the-other-system"}}
        self.values[SRC] = self.call("POST", "/ingest/api/v1/source", 201, source)["id"]
        self.receiver.secret = self.call("GET", f"{path}/{endpoint['id']}/secret", 200)["key"]

    def publish(self):
        self.message = self.ask("receive", "receive-publish.json", 202)["id"]
        self.ask("receive", "receive-publish-base64.json", 202)
        self.ask("receive", "receive-function-url.json", 202)
        self.ask("receive", "receive-malformed.json", 422)
        self.ask("receive", "receive-unauthorized.json", 401)
        self.ask("receive", "receive-source.json", 202)
        # Fails, so that there is something to try again.
        self.receiver.refuse_once = self.message
        self.work("DELIVERIES", 4)
        self.expect(4)
        self.delivered(EVENTS / "receive-publish.json", self.message)

    def deliver(self):
        self.values[MSG] = self.message
        self.dispatch("dispatch-retry.json")
        self.expect(2)
        path = f"/api/v1/app/{self.values[APP]}/attempt/msg/{self.message}"
        attempts = self.call("GET", path, 200)["data"]
        codes = sorted(attempt["responseStatusCode"] for attempt in attempts)
        check(codes == [200, 200, 500], "a failure, its retry and a resend are on record", codes)
        # The record that dispatch itself sent for the retry comes when that was made already.
        self.work("RETRIES", 1)
        self.expect(0)
        self.ask("receive", "receive-publish.json", 409)
        # The other events bring messages of their own.
        del self.values[MSG]
        self.dispatch("dispatch-mixed.json")
        self.expect(1)
        # These messages are days old, so what is on record is looked up: the one that the batch
        # shares with the event before is there.
        self.dispatch("dispatch-batch.json")
        self.expect(1)
        self.dispatch("dispatch-poison.json")
        self.expect(0)
        parked = self.call("GET", "/api/v1/operator/parked", 200)["data"]
        check(len(parked) == 2, "two records are parked", parked)

    def sweep(self):
        record = json.loads(self.event("dispatch-batch.json"))["Records"][0]
        self.queues.call("SendMessage", "DELIVERIES_DLQ", MessageBody=record["body"])
        report = self.invoke("retry", "retry-schedule.json")
        done = {what: count for what, count in report.items() if count}
        check(done == {"redriven": 1}, "a dead record goes back into its queue", report)
        # Its attempt is on record.
        self.work("DELIVERIES", 1)
        self.expect(0)

    # What the steps are made of.

    def event(self, name):
        """The text of an event, with the ids and the token of this run."""
        self.seen.add(name)
        return self.substitute((EVENTS / name).read_text())

    def substitute(self, text):
        for placeholder, value in self.values.items():
            text = text.replace(placeholder, value)
        return text

    def invoke(self, function, name):
        answer = self.functions.invoke(function, self.event(name))
        print(f"    {name}: {answer.get('statusCode') or json.dumps(answer)}")
        return answer

    def ask(self, function, name, status):
        """Invokes with an HTTP event; the body of the answer."""
        return opened(self.invoke(function, name), status, name)

    def dispatch(self, name):
        answer = self.invoke("dispatch", name)
        check(answer == {"batchItemFailures": []}, f"{name} is done", answer)

    def call(self, method, path, status, body=None):
        """A request to admin that is not among the events."""
        event = json.loads(self.substitute((EVENTS / "admin-create-application.json").read_text()))
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["requestContext"]["http"]["method"] = method
        del event["headers"]["idempotency-key"]
        event["body"] = json.dumps(body) if body else ""
        event["headers"]["content-length"] = str(len(event["body"]))
        answer = self.functions.invoke("admin", json.dumps(event))
        return opened(answer, status, f"{method} {path}")

    def work(self, queue, count):
        """Brings `count` records from a queue to dispatch, as Lambda's pollers do."""
        done = 0
        deadline = time.monotonic() + TIMEOUT_S
        while done < count and time.monotonic() < deadline:
            batch = self.queues.receive(queue)
            if not batch:
                continue
            answer = self.functions.invoke("dispatch", json.dumps({"Records": batch}))
            check(answer == {"batchItemFailures": []}, f"records of {queue} are done", answer)
            for record in batch:
                self.queues.call("DeleteMessage", queue, ReceiptHandle=record["receiptHandle"])
            done += len(batch)
        check(done == count, f"{count} records came through {queue}", done)

    def expect(self, count):
        """Exactly so many requests reached the endpoint since the last time, all signed."""
        got = self.receiver.take()
        check(len(got) == count, f"{count} requests reach the endpoint", got)
        wrong = [request for request in got if not request["signed"]]
        check(not wrong, "every request is signed", wrong)
        self.last = got

    def delivered(self, event, message):
        """What reached the endpoint is, byte for byte, the payload that was published."""
        body = json.loads(event.read_text())["body"]
        got = next(request["body"].decode() for request in self.last if request["id"] == message)
        check(f'"payload":{got},' in body, "the payload arrives untouched", got)


def opened(answer, status, what):
    check(answer.get("statusCode") == status, f"{what} answers {status}", answer)
    return json.loads(answer["body"]) if answer.get("body") else None


def check(holds, claim, found):
    if not holds:
        raise SystemExit(f"invoke: not so: {claim}; found: {found}")


def token(root_secret):
    """A bearer token of the default organisation (shared/src/domain/token.rs)."""

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    key = hmac.digest(root_secret.encode(), b"posthorn/token/v1", "sha256")
    now = int(time.time())
    claims = {"iss": "posthorn", "sub": ORGANISATION, "iat": now, "nbf": now, "exp": now + 3600}
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = head + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.digest(key, signed, "sha256"))).decode()


# ------------------------------------------------------------------------------- the functions


class Functions:
    """The control plane and the four functions, each a process of its own."""

    def __init__(self, binaries, account, scratch):
        self.binaries, self.account, self.scratch = binaries, account, scratch
        self.processes = []
        self.port = free_port()

    def __enter__(self):
        try:
            address = ["--invoke-address", HOST, "--invoke-port", str(self.port)]
            watch = ["cargo", "lambda", "watch", "--ignore-changes", *address]
            if not self.binaries:
                everything = dict(os.environ) | self.account | {"POSTHORN_ALLOW_LOOPBACK": "true"}
                self.start("watch", watch, everything)
                self.wait_until_open()
                return self
            self.start("control-plane", [*watch, "--only-lambda-apis"], dict(os.environ))
            self.wait_until_open()
            for name in ("receive", "dispatch", "retry", "admin"):
                self.start(name, [(self.binaries / name / "bootstrap").resolve()], self.environment(name))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is not None:
            for log in sorted(self.scratch.glob("*.log")):
                tail = log.read_text(errors="replace").splitlines()[-15:]
                print(f"--- {log.stem}", *tail, sep="\n", file=sys.stderr)

    def start(self, name, command, environment):
        with open(self.scratch / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def environment(self, name):
        """What Lambda sets, and what the template sets: a variable that it lacks is missing."""
        own = {variable: self.account[variable] for variable in variables(name) & set(self.account)}
        return own | {
            variable: self.account[variable] for variable in self.account if variable.startswith("AWS_")
        } | {
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_RUNTIME_API": f"http://{HOST}:{self.port}/.rt/{name}",
            "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH": "true",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "POSTHORN_STAGE": "ci",
            # The endpoint is on this machine.
            "POSTHORN_ALLOW_LOOPBACK": "true",
        }

    def check_logs(self):
        """Every line is an event with time and level, or metrics in CloudWatch's format."""
        counted = {}
        for log in self.scratch.glob("*.log"):
            if log.stem == "control-plane":
                continue
            for line in log.read_text().splitlines():
                try:
                    told = json.loads(line)
                except ValueError:
                    check(False, f"every line of {log.stem} is JSON", line)
                if "_aws" not in told:
                    check({"timestamp", "level", "fields"} <= told.keys(), "an event has these", told)
                    continue
                for directive in told["_aws"]["CloudWatchMetrics"]:
                    check(directive["Namespace"] == "Posthorn", "the namespace is ours", told)
                    check(directive["Dimensions"] == [["Stage"]] and told["Stage"] == "ci", "the stage", told)
                    for metric in directive["Metrics"]:
                        value = told[metric["Name"]]
                        if metric["Unit"] == "Count":
                            counted[metric["Name"]] = counted.get(metric["Name"], 0) + value
                        else:
                            counted.setdefault(metric["Name"], 0)
        # What is no count: it is enough that it was told.
        others = {"EndToEndLatency": 0, "EndpointLatency": 0, "SweepLag": 0, "Undone": 0}
        # The message that two events share is found on record the second time.
        expected = others | {"Accepted": 4, "Delivered": 7, "Failed": 1, "Retried": 1, "Duplicates": 4}
        # Two records that nobody can read, and a dead letter that goes back.
        expected |= {"Parked": 2, "Redriven": 1}
        check(counted == expected, "every metric adds up", counted)

    def wait_until_open(self):
        for _ in range(TIMEOUT_S * 10):
            try:
                socket.create_connection((HOST, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("invoke: `cargo lambda watch` does not answer")

    def invoke(self, name, event):
        for process in self.processes:
            check(process.poll() is None, "every process is alive", process.args)
        file = self.scratch / "event.json"
        file.write_text(event)
        address = ["--invoke-address", HOST, "--invoke-port", str(self.port)]
        done = subprocess.run(
            ["cargo", "lambda", "invoke", name, "--data-file", file, *address],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S if self.binaries else COMPILE_S,
        )
        check(done.returncode == 0, f"{name} answers", done.stdout + done.stderr)
        return json.loads(done.stdout)


def variables(function):
    """Names of the variables that the template gives to a function."""
    template = (ROOT / "template.yaml").read_text()
    resource = template.split(f"\n  {function.capitalize()}Function:\n", 1)[1]
    resource = re.split(r"\n  \w", resource, maxsplit=1)[0]
    return set(re.findall(r"^ {10}(POSTHORN_\w+): ", resource, re.MULTILINE))


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


# ---------------------------------------------------------------------------------- the queues


class Queues:
    """SQS, in the few words of its JSON protocol that are needed."""

    def __init__(self, account):
        self.account = account

    def call(self, operation, queue, **parameters):
        url = self.account[f"POSTHORN_{queue}_URL" if queue.endswith("DLQ") else f"POSTHORN_{queue}_QUEUE_URL"]
        scope = f"test/20260101/{self.account['AWS_REGION']}/sqs/aws4_request"
        request = urllib.request.Request(
            self.account["AWS_ENDPOINT_URL"],
            json.dumps({"QueueUrl": url, **parameters}).encode(),
            {
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": f"AmazonSQS.{operation}",
                # Not checked, but it names the service.
                "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            },
        )
        # Proxies are for other addresses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read() or b"{}")

    def receive(self, queue):
        """A batch as Lambda hands it to a function."""
        answer = self.call(
            "ReceiveMessage",
            queue,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=5,
            AttributeNames=["All"],
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
                "awsRegion": "us-east-1",
            }
            for message in answer.get("Messages") or []
        ]


# -------------------------------------------------------------------------------- the endpoint


class Receiver:
    """An endpoint as a customer would write it: it checks the signature and answers."""

    def __init__(self):
        self.secret, self.refuse_once = "", None
        self.requests, self.lock = [], threading.Lock()

    def __enter__(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.accept(self.headers, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{HOST}:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def accept(self, headers, body):
        with self.lock:
            message = headers["webhook-id"]
            self.requests.append({"id": message, "body": body, "signed": self.signed(headers, body)})
            if message == self.refuse_once:
                self.refuse_once = None
                return 500
            return 200

    def signed(self, headers, body):
        """Whether a request is signed as Standard Webhooks says."""
        stamp = headers["webhook-timestamp"] or "0"
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        text = f"{headers['webhook-id']}.{stamp}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
        signatures = (headers["webhook-signature"] or "").split(" ")
        return expected in signatures and abs(time.time() - int(stamp)) < 300

    def take(self):
        with self.lock:
            taken, self.requests = self.requests, []
            return taken


if __name__ == "__main__":
    main()
