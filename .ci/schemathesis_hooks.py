"""Makes what Schemathesis generates fit what JSON is here."""

import os
import re
import secrets
from datetime import datetime, timedelta, timezone

import schemathesis

KEY = re.compile(r"[!-~]([\t -~]{0,254}[!-~])?")
PLAIN_URL = re.compile(r"https?://[a-zA-Z0-9.-]{1,200}(:[0-9]{1,4})?(/[!-~]{0,500})?")


def integers(value):
    """JSON Schema calls 7.0 an integer; whoever reads JSON into integers does not."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {name: integers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [integers(part) for part in value]
    return value


@schemathesis.auth()
class Token:
    """Logging out takes a token back, which the rest still needs: it gets one of its own."""

    def get(self, _case, _context):
        return {"": os.environ["POSTHORN_TOKEN"], "/auth/logout": os.environ["POSTHORN_SPARE_TOKEN"]}

    def set(self, case, tokens, _context):
        token = next(tokens[end] for end in ("/auth/logout", "") if case.path.endswith(end))
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}


@schemathesis.hook
def map_body(_context, body):
    return integers(body)


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """What no schema says: a profile must be one that there is, and a time not long ago."""
    if case.method.upper() == "DELETE" and "/event-type/" in case.path:
        # An event type that is deleted without this is archived, and can still be read.
        if case.query.get("expunge") in (None, False, "false"):
            case.query["expunge"] = "true"
    # A key that was used before would bring the answer to another request.
    key = (case.headers or {}).get("idempotency-key")
    if isinstance(key, str) and KEY.fullmatch(key):
        case.headers["idempotency-key"] = f"{key[:200]}{secrets.token_hex(8)}"
    if not isinstance(case.body, dict):
        return
    # What signs has to fit the secret, if one comes with it.
    if any(isinstance(case.body.get(name), str) for name in ("key", "secret")):
        case.body.pop("signatureScheme", None)
    recent = {
        "profile": "svix",
        "since": moment(hours=-1),
        "until": moment(),
        "deliverAt": moment(hours=1),
    }
    if PLAIN_URL.fullmatch(str(case.body.get("url"))):
        # Nobody out there is sent anything.
        case.body["url"] = "http://127.0.0.1:9/hook"
    # One or the other.
    if isinstance(case.body.get("payloadRetentionHours"), int):
        case.body.pop("payloadRetentionPeriod", None)
    brought = case.body.get("application")
    for body in (case.body, brought if isinstance(brought, dict) else {}):
        for name, value in recent.items():
            # What is wrong on purpose stays so.
            if isinstance(body.get(name), str) and plausible(name, body[name]):
                body[name] = value


def moment(**shift):
    return (datetime.now(timezone.utc) + timedelta(**shift)).isoformat()


def plausible(name, value):
    if name == "profile":
        return True
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
