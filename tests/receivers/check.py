"""Holds webhooks.py to the vectors."""

import json
from pathlib import Path

from webhooks import Tokens, Webhook, WebhookError


def accepts(verify, *arguments):
    try:
        verify(*arguments)
    except WebhookError:
        return False
    return True


vectors = json.loads((Path(__file__).parent / "vectors.json").read_text())
wrong = [
    one["claim"]
    for one in vectors["webhooks"]
    if accepts(Webhook(one["key"]).verify, one["headers"], one["body"].encode(), vectors["now"])
    != one["good"]
]
tokens = vectors["tokens"]
verifier = Tokens(tokens["keySet"], tokens["issuer"], tokens["audience"])
wrong += [one["claim"] for one in tokens["cases"] if accepts(verifier.verify, one["token"]) != one["good"]]
if wrong:
    raise SystemExit(f"webhooks.py is wrong about: {wrong}")
print(f"webhooks.py: {len(vectors['webhooks'])} webhooks, {len(tokens['cases'])} tokens")
