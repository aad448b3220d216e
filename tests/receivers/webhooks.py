"""Verifies webhooks: Standard Webhooks v1 and v1a, and security event tokens (JWT).

Copy this file into your receiver. v1 needs nothing but Python; v1a and tokens need the package
`cryptography`. Give `verify` the raw body, never one that was parsed and written again.

    from webhooks import Webhook, WebhookError, Tokens

    message_id = Webhook("whsec_...").verify(request.headers, request.get_data())
    claims = Tokens(key_set, issuer="...", audience="...").verify(request.get_data())

Both raise WebhookError: answer 400 or 401 then. Deliveries are repeated when your answer is
lost: remember the message id (`jti` of a token), and do nothing the second time.
"""

import base64
import hashlib
import hmac
import json
import time

TOLERANCE_S = 5 * 60


class WebhookError(Exception):
    """The request is not from where it says, or not of now."""


class Webhook:
    """One endpoint's secret (`whsec_...`) or public key (`whpk_...`)."""

    def __init__(self, key):
        if key.startswith("whpk_"):
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

            self._scheme = "v1a"
            self._public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key[5:]))
        else:
            self._scheme = "v1"
            self._secret = base64.b64decode(key.removeprefix("whsec_"))

    def verify(self, headers, body, now=None):
        """The message's id, if the request is good."""
        given = {name.lower(): value for name, value in dict(headers).items()}

        def header(name):
            return given.get(f"webhook-{name}") or given.get(f"svix-{name}")

        message, timestamp, signatures = (header(name) for name in ("id", "timestamp", "signature"))
        if not (message and timestamp and signatures):
            raise WebhookError("a header is missing")
        if not (timestamp.isascii() and timestamp.isdigit()):
            raise WebhookError("the timestamp is no number")
        if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_S:
            raise WebhookError("the timestamp is not of now")
        body = body.encode() if isinstance(body, str) else body
        content = f"{message}.{timestamp}.".encode() + body
        for signature in signatures.split(" "):
            scheme, _, encoded = signature.partition(",")
            if scheme == self._scheme and self._fits(content, encoded):
                return message
        raise WebhookError("no signature fits")

    def _fits(self, content, encoded):
        try:
            signature = base64.b64decode(encoded, validate=True)
        except ValueError:
            return False
        if self._scheme == "v1":
            return hmac.compare_digest(hmac.digest(self._secret, content, hashlib.sha256), signature)
        from cryptography.exceptions import InvalidSignature

        try:
            self._public.verify(signature, content)
        except InvalidSignature:
            return False
        return True


class Tokens:
    """The sender's key set (the answer of /.well-known/jwks.json), and who sends to whom."""

    def __init__(self, key_set, issuer, audience):
        self._keys = {key["kid"]: key for key in key_set["keys"]}
        self._issuer, self._audience = issuer, audience

    def verify(self, token):
        """The claims, if the token is good. Fetch the key set anew on "unknown key"."""
        token = token.decode() if isinstance(token, bytes) else token
        try:
            head, payload, signature = token.split(".")
            header, claims = json.loads(_unbase64(head)), json.loads(_unbase64(payload))
            signature, key = _unbase64(signature), self._keys.get(header.get("kid"))
        except (ValueError, AttributeError) as error:
            raise WebhookError("not a token") from error
        if key is None:
            raise WebhookError("unknown key")
        # The algorithm is the key's. What the token says may only agree.
        if header.get("alg") != key["alg"] or not _signed(key, f"{head}.{payload}".encode(), signature):
            raise WebhookError("the signature does not fit")
        audience = claims.get("aud")
        if claims.get("iss") != self._issuer or self._audience not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise WebhookError("from or for somebody else")
        return claims


def _signed(key, content, signature):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

    number = lambda name: int.from_bytes(_unbase64(key[name]), "big")
    try:
        if key["alg"] == "RS256":
            public = rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
            public.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        elif key["alg"] == "ES256" and len(signature) == 64:
            public = ec.EllipticCurvePublicNumbers(number("x"), number("y"), ec.SECP256R1())
            halves = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            encoded = utils.encode_dss_signature(*halves)
            public.public_key().verify(encoded, content, ec.ECDSA(hashes.SHA256()))
        elif key["alg"] == "EdDSA":
            public = ed25519.Ed25519PublicKey.from_public_bytes(_unbase64(key["x"]))
            public.verify(signature, content)
        else:
            return False
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True


def _unbase64(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
