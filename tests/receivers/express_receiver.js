"use strict";
// A receiver of webhooks with Express.
//
//     WEBHOOK_KEYS=whsec_...,whpk_... node express_receiver.js
//
// Takes signed JSON at /webhooks, under any of the keys (several while one is rotated), and tokens
// at /tokens if JWKS_URL, ISSUER and AUDIENCE are set. Prints each event once, as a line of JSON.
// PORT is 8080 unless set.

const express = require("express");
const { Webhook, Tokens, WebhookError } = require("./webhooks");

const { WEBHOOK_KEYS = "", JWKS_URL, ISSUER, AUDIENCE, PORT = "8080" } = process.env;
const hooks = WEBHOOK_KEYS.split(",").filter(Boolean).map((key) => new Webhook(key));
// Yours belongs into a database, under a unique key, in the same transaction as what you do.
const seen = new Set();

const app = express();
// The raw bytes: what is signed is what was sent.
app.use(express.raw({ type: () => true, limit: "1mb" }));

app.post("/webhooks", (request, response) => {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  let refusal;
  for (const hook of hooks) {
    try {
      return handle(response, hook.verify(request.headers, body), JSON.parse(body));
    } catch (error) {
      if (!(error instanceof WebhookError)) throw error;
      refusal = error;
    }
  }
  response.status(401).json({ error: refusal.message });
});

app.post("/tokens", async (request, response) => {
  try {
    const claims = (await tokens()).verify(request.body);
    handle(response, claims.jti, claims.events);
  } catch (error) {
    if (!(error instanceof WebhookError)) throw error;
    response.status(401).json({ error: error.message });
  }
});

// Answers at once. What takes longer than a second belongs into a queue.
function handle(response, id, data) {
  if (!seen.has(id)) {
    seen.add(id);
    console.log(JSON.stringify({ id, data }));
  }
  response.status(200).end();
}

// With the key set as it is now; keep it for as long as its cache-control says.
async function tokens() {
  const answer = await fetch(JWKS_URL, { signal: AbortSignal.timeout(5000) });
  return new Tokens(await answer.json(), { issuer: ISSUER, audience: AUDIENCE });
}

app.listen(Number(PORT), "127.0.0.1");
