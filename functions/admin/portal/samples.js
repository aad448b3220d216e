// @ts-check
// Code that verifies what an endpoint is sent, in the languages of those who receive it. The
// secret is filled in. All of it answers 200: some profiles take nothing else for a success.

/** What stands for the secret. */
const SECRET = "{secret}";

/** Languages and their code. */
const SAMPLES = /** @type {[string, string, string][]} */ ([
  ["Python", "pip install standardwebhooks", `from flask import Flask, request
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

app = Flask(__name__)
webhook = Webhook("{secret}")

@app.post("/webhooks")
def webhooks():
    try:
        event = webhook.verify(request.get_data(), dict(request.headers))
    except WebhookVerificationError:
        return "", 401
    return "", 200`],
  ["JavaScript", "npm install standardwebhooks", `import express from "express";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook("{secret}");
const app = express();

app.post("/webhooks", express.raw({ type: "*/*" }), (request, response) => {
  try {
    const event = webhook.verify(request.body.toString(), request.headers);
  } catch {
    return response.sendStatus(401);
  }
  response.sendStatus(200);
});`],
  ["Go", "go get github.com/standard-webhooks/standard-webhooks/libraries/go", `webhook, err := standardwebhooks.NewWebhook("{secret}")
if err != nil {
    log.Fatal(err)
}
http.HandleFunc("/webhooks", func(w http.ResponseWriter, r *http.Request) {
    body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
    if err != nil || webhook.Verify(body, r.Header) != nil {
        w.WriteHeader(http.StatusUnauthorized)
        return
    }
    w.WriteHeader(http.StatusOK)
})`],
  ["Rust", "cargo add standardwebhooks", `use standardwebhooks::Webhook;

let webhook = Webhook::new("{secret}")?;
// body: the bytes as they came, headers: an http::HeaderMap.
match webhook.verify(&body, &headers) {
    Ok(()) => StatusCode::OK,
    Err(_) => StatusCode::UNAUTHORIZED,
}`],
  ["PHP", "composer require standard-webhooks/standard-webhooks:dev-main", `$webhook = new \\StandardWebhooks\\Webhook("{secret}");
$body = file_get_contents("php://input");
$headers = array_change_key_case(getallheaders(), CASE_LOWER);
try {
    $event = $webhook->verify($body, $headers);
    http_response_code(200);
} catch (\\StandardWebhooks\\Exception\\WebhookVerificationException $e) {
    http_response_code(401);
}`],
  ["Ruby", "gem install standardwebhooks", `require "sinatra"
require "standardwebhooks"

webhook = StandardWebhooks::Webhook.new("{secret}")

post "/webhooks" do
  headers = %w[id timestamp signature].to_h { |n| ["webhook-#{n}", request.env["HTTP_WEBHOOK_#{n.upcase}"]] }
  webhook.verify(request.body.read, headers)
  200
rescue StandardWebhooks::WebhookVerificationError
  401
end`],
  ["Java", "com.standardwebhooks:standardwebhooks", `Webhook webhook = new Webhook("{secret}");

@PostMapping("/webhooks")
ResponseEntity<Void> webhooks(@RequestBody String body, @RequestHeader HttpHeaders headers) {
    try {
        webhook.verify(body, java.net.http.HttpHeaders.of(headers, (name, value) -> true));
    } catch (WebhookVerificationException e) {
        return ResponseEntity.status(401).build();
    }
    return ResponseEntity.ok().build();
}`],
  ["C#", ".NET 8", `var secret = Convert.FromBase64String("{secret}".Replace("whsec_", ""));

app.MapPost("/webhooks", async (HttpRequest request) =>
{
    using var reader = new StreamReader(request.Body);
    var body = await reader.ReadToEndAsync();
    string id = request.Headers["webhook-id"]!, at = request.Headers["webhook-timestamp"]!;
    var age = DateTimeOffset.UtcNow.ToUnixTimeSeconds() - long.Parse(at);
    var mac = HMACSHA256.HashData(secret, Encoding.UTF8.GetBytes($"{id}.{at}.{body}"));
    var signed = Encoding.UTF8.GetBytes("v1," + Convert.ToBase64String(mac));
    var good = request.Headers["webhook-signature"].ToString().Split(' ')
        .Any(one => CryptographicOperations.FixedTimeEquals(signed, Encoding.UTF8.GetBytes(one)));
    return Math.Abs(age) < 300 && good ? Results.Ok() : Results.Unauthorized();
});`],
]);

/** The same for ed25519 (v1a), which the official libraries do not verify. */
const PUBLIC = /** @type {[string, string, string][]} */ ([
  ["Python", "pip install cryptography", `import base64, time
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from flask import Flask, request

app = Flask(__name__)
key = Ed25519PublicKey.from_public_bytes(base64.b64decode("{secret}".removeprefix("whpk_")))

@app.post("/webhooks")
def webhooks():
    id, at, given = (request.headers.get("webhook-" + name, "") for name in ("id", "timestamp", "signature"))
    if not at.isdecimal() or abs(time.time() - int(at)) > 300:
        return "", 401
    for scheme, _, signature in (one.partition(",") for one in given.split(" ")):
        if scheme == "v1a":
            try:
                key.verify(base64.b64decode(signature), f"{id}.{at}.".encode() + request.get_data())
                return "", 200
            except (InvalidSignature, ValueError):
                pass
    return "", 401`],
  ["JavaScript", "Node 16", `import { createPublicKey, verify } from "node:crypto";
import express from "express";

// The DER of an ed25519 key up to the key itself (RFC 8410).
const head = Buffer.from("302a300506032b6570032100", "hex");
const der = Buffer.concat([head, Buffer.from("{secret}".replace("whpk_", ""), "base64")]);
const key = createPublicKey({ key: der, format: "der", type: "spki" });
const app = express();

app.post("/webhooks", express.raw({ type: "*/*" }), (request, response) => {
  const [id, at, given] = ["id", "timestamp", "signature"].map((name) => request.get("webhook-" + name) ?? "");
  const signed = Buffer.concat([Buffer.from(id + "." + at + "."), request.body]);
  const fits = (one) => one.startsWith("v1a,") && verify(null, signed, key, Buffer.from(one.slice(4), "base64"));
  const isNow = Math.abs(Date.now() / 1000 - Number(at)) < 300;
  response.sendStatus(isNow && given.split(" ").some(fits) ? 200 : 401);
});`],
  ["Go", "crypto/ed25519", `key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix("{secret}", "whpk_"))
if err != nil {
    log.Fatal(err)
}
http.HandleFunc("/webhooks", func(w http.ResponseWriter, r *http.Request) {
    body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
    id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
    seconds, wrong := strconv.ParseInt(at, 10, 64)
    age := time.Since(time.Unix(seconds, 0)).Abs()
    status := http.StatusUnauthorized
    for _, one := range strings.Fields(r.Header.Get("webhook-signature")) {
        signature, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "v1a,"))
        fits := strings.HasPrefix(one, "v1a,") && ed25519.Verify(key, append([]byte(id+"."+at+"."), body...), signature)
        if fits && err == nil && wrong == nil && age < 5*time.Minute {
            status = http.StatusOK
        }
    }
    w.WriteHeader(status)
})`],
]);

/**
 * What is otherwise where events have Svix's headers alone: Svix's libraries, which know both
 * families, and the names of headers.
 */
const FOR_SVIX = [
  ["github.com/standard-webhooks/standard-webhooks/libraries/go", "github.com/svix/svix-webhooks/go"],
  ["standard-webhooks/standard-webhooks:dev-main", "svix/svix"],
  ["com.standardwebhooks:standardwebhooks", "com.svix:svix"],
  ["use standardwebhooks::", "use svix::webhooks::"],
  ["standardwebhooks", "svix"],
  ["StandardWebhooks", "Svix"],
  ["webhook-", "svix-"],
  ["HTTP_WEBHOOK_", "HTTP_SVIX_"],
];

/** Whether it is the public half of a key, whose other half signs. @param {string} secret */
export function isPublic(secret) {
  return secret.startsWith("whpk_");
}

/** @param {string} secret */
const samples = (secret) => (isPublic(secret) ? PUBLIC : SAMPLES);

/** The languages. @param {string} secret */
export function languages(secret) {
  return samples(secret).map(([name]) => name);
}

/**
 * What is needed, and the code. `headers` are the families of headers that events are signed in, where
 * it is not both. @param {string} language @param {string} secret @param {string[]} [headers]
 */
export function sample(language, secret, headers) {
  const all = samples(secret);
  const [, ...texts] = all.find(([name]) => name === language) ?? all[0];
  const changes = headers && !headers.includes("webhook-") ? FOR_SVIX : [];
  const [needs, code] = texts.map((text) => changes.reduce((text, [from, to]) => text.replaceAll(from, to), text));
  return { needs, code: code.replaceAll(SECRET, secret) };
}
