"use strict";
// Verifies webhooks: Standard Webhooks v1 and v1a, and security event tokens (JWT).
//
// Copy this file into your receiver; it needs nothing but Node 16 or newer. Give `verify` the raw
// body (a Buffer or string), never one that was parsed and written again.
//
//     const { Webhook, Tokens } = require("./webhooks");
//     const id = new Webhook("whsec_...").verify(request.headers, body);
//     const claims = new Tokens(keySet, { issuer: "...", audience: "..." }).verify(body);
//
// Both throw a WebhookError: answer 400 or 401 then. Deliveries are repeated when your answer is
// lost: remember the message id (`jti` of a token), and do nothing the second time.

const crypto = require("node:crypto");

const TOLERANCE_S = 5 * 60;
// The DER of an ed25519 public key up to the key itself (RFC 8410).
const ED25519_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** The request is not from where it says, or not of now. */
class WebhookError extends Error {}

/** One endpoint's secret (`whsec_...`) or public key (`whpk_...`). */
class Webhook {
  constructor(key) {
    if (key.startsWith("whpk_")) {
      this.scheme = "v1a";
      const der = Buffer.concat([ED25519_PREFIX, Buffer.from(key.slice(5), "base64")]);
      this.publicKey = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
    } else {
      this.scheme = "v1";
      this.secret = Buffer.from(key.replace(/^whsec_/, ""), "base64");
    }
  }

  /** The message's id, if the request is good. `now` is in seconds. */
  verify(headers, body, now = Date.now() / 1000) {
    const given = {};
    for (const [name, value] of Object.entries(headers)) given[name.toLowerCase()] = value;
    const header = (name) => given[`webhook-${name}`] || given[`svix-${name}`];
    const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map(header);
    if (!id || !timestamp || !signatures) throw new WebhookError("a header is missing");
    if (!/^[0-9]+$/.test(timestamp)) throw new WebhookError("the timestamp is no number");
    if (Math.abs(now - Number(timestamp)) > TOLERANCE_S) {
      throw new WebhookError("the timestamp is not of now");
    }
    const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), Buffer.from(body)]);
    for (const signature of signatures.split(" ")) {
      const [scheme, encoded] = signature.split(",", 2);
      if (scheme === this.scheme && encoded && this.fits(content, encoded)) return id;
    }
    throw new WebhookError("no signature fits");
  }

  fits(content, encoded) {
    const signature = Buffer.from(encoded, "base64");
    if (this.scheme === "v1a") return crypto.verify(null, content, this.publicKey, signature);
    const expected = crypto.createHmac("sha256", this.secret).update(content).digest();
    return signature.length === expected.length && crypto.timingSafeEqual(signature, expected);
  }
}

/** The sender's key set (the answer of /.well-known/jwks.json), and who sends to whom. */
class Tokens {
  constructor(keySet, { issuer, audience }) {
    this.keys = new Map(keySet.keys.map((key) => [key.kid, key]));
    Object.assign(this, { issuer, audience });
  }

  /** The claims, if the token is good. Fetch the key set anew on "unknown key". */
  verify(token) {
    const parts = token.toString().split(".");
    let header, claims;
    try {
      if (parts.length !== 3) throw new Error("three parts");
      [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
    } catch {
      throw new WebhookError("not a token");
    }
    const key = this.keys.get(header.kid);
    if (!key) throw new WebhookError("unknown key");
    // The algorithm is the key's. What the token says may only agree.
    const content = Buffer.from(`${parts[0]}.${parts[1]}`);
    if (header.alg !== key.alg || !signed(key, content, Buffer.from(parts[2], "base64url"))) {
      throw new WebhookError("the signature does not fit");
    }
    if (claims.iss !== this.issuer || ![claims.aud].flat().includes(this.audience)) {
      throw new WebhookError("from or for somebody else");
    }
    return claims;
  }
}

function signed(key, content, signature) {
  const publicKey = crypto.createPublicKey({ key, format: "jwk" });
  switch (key.alg) {
    case "RS256":
      return crypto.verify("sha256", content, publicKey, signature);
    case "ES256":
      return crypto.verify("sha256", content, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature);
    case "EdDSA":
      return crypto.verify(null, content, publicKey, signature);
    default:
      return false;
  }
}

module.exports = { Webhook, Tokens, WebhookError };
