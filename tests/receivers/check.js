"use strict";
// Holds webhooks.js to the vectors.

const fs = require("node:fs");
const path = require("node:path");
const { Webhook, Tokens, WebhookError } = require("./webhooks");

function accepts(verify) {
  try {
    verify();
    return true;
  } catch (error) {
    if (error instanceof WebhookError) return false;
    throw error;
  }
}

const vectors = JSON.parse(fs.readFileSync(path.join(__dirname, "vectors.json"), "utf8"));
const { webhooks, tokens, now } = vectors;
const verifier = new Tokens(tokens.keySet, tokens);
const wrong = [
  ...webhooks.filter(
    (one) => accepts(() => new Webhook(one.key).verify(one.headers, one.body, now)) !== one.good,
  ),
  ...tokens.cases.filter((one) => accepts(() => verifier.verify(one.token)) !== one.good),
].map((one) => one.claim);
if (wrong.length) {
  console.error("webhooks.js is wrong about:", wrong);
  process.exit(1);
}
console.log(`webhooks.js: ${webhooks.length} webhooks, ${tokens.cases.length} tokens`);
