"""A receiver of webhooks with Flask.

    WEBHOOK_KEYS=whsec_...,whpk_... python flask_receiver.py

Takes signed JSON at /webhooks, under any of the keys (several while one is rotated), and tokens
at /tokens if JWKS_URL, ISSUER and AUDIENCE are set. Prints each event once, as a line of JSON.
PORT is 8080 unless set.
"""

import json
import os
import urllib.request

from flask import Flask, request

from webhooks import Tokens, Webhook, WebhookError

app = Flask(__name__)
hooks = [Webhook(key) for key in os.environ.get("WEBHOOK_KEYS", "").split(",") if key]
# Yours belongs into a database, under a unique key, in the same transaction as what you do.
seen = set()


@app.post("/webhooks")
def webhook():
    body = request.get_data()
    for hook in hooks:
        try:
            return handle(hook.verify(request.headers, body), json.loads(body))
        except WebhookError as error:
            refusal = error
    return {"error": str(refusal)}, 401


@app.post("/tokens")
def token():
    try:
        claims = tokens().verify(request.get_data())
    except WebhookError as error:
        return {"error": str(error)}, 401
    return handle(claims["jti"], claims["events"])


def handle(event, data):
    """Answers at once. What takes longer than a second belongs into a queue."""
    if event not in seen:
        seen.add(event)
        print(json.dumps({"id": event, "data": data}), flush=True)
    return "", 200


def tokens():
    """With the key set as it is now; keep it for as long as its cache-control says."""
    with urllib.request.urlopen(os.environ["JWKS_URL"], timeout=5) as answer:
        return Tokens(json.load(answer), os.environ["ISSUER"], os.environ["AUDIENCE"])


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
