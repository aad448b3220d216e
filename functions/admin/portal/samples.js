// @ts-check
// Code that verifies what an endpoint is sent, in the languages of those who receive it. The
// secret is filled in.

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
    return "", 204`],
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
  response.sendStatus(204);
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
    w.WriteHeader(http.StatusNoContent)
})`],
  ["Rust", "cargo add standardwebhooks", `use standardwebhooks::Webhook;

let webhook = Webhook::new("{secret}")?;
// body: the bytes as they came, headers: an http::HeaderMap.
match webhook.verify(&body, &headers) {
    Ok(()) => StatusCode::NO_CONTENT,
    Err(_) => StatusCode::UNAUTHORIZED,
}`],
  ["PHP", "composer require standard-webhooks/standard-webhooks:dev-main", `$webhook = new \\StandardWebhooks\\Webhook("{secret}");
$body = file_get_contents("php://input");
$headers = array_change_key_case(getallheaders(), CASE_LOWER);
try {
    $event = $webhook->verify($body, $headers);
    http_response_code(204);
} catch (\\StandardWebhooks\\Exception\\WebhookVerificationException $e) {
    http_response_code(401);
}`],
  ["Ruby", "gem install standardwebhooks", `require "sinatra"
require "standardwebhooks"

webhook = StandardWebhooks::Webhook.new("{secret}")

post "/webhooks" do
  headers = %w[id timestamp signature].to_h { |n| ["webhook-#{n}", request.env["HTTP_WEBHOOK_#{n.upcase}"]] }
  webhook.verify(request.body.read, headers)
  204
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
    return ResponseEntity.noContent().build();
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
    return Math.Abs(age) < 300 && good ? Results.NoContent() : Results.Unauthorized();
});`],
]);

/** The languages. */
export function languages() {
  return SAMPLES.map(([name]) => name);
}

/** What is needed, and the code. @param {string} language @param {string} secret */
export function sample(language, secret) {
  const [, needs, code] = SAMPLES.find(([name]) => name === language) ?? SAMPLES[0];
  return { needs, code: code.replaceAll(SECRET, secret) };
}
