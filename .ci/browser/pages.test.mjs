// The pure parts of the pages. `node --test .ci/browser` runs them; they import the files as they
// are, from the repository.

import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const ROOT = new URL("../../", import.meta.url);
const FILES = new URL("functions/admin/portal/", ROOT);
const load = (name) => import(new URL(name, FILES));
const format = await load("format.js");
const json = await load("json.js");
const { DE, SERVER } = await load("de.js");
const { ONE, t, use, tell } = await load("text.js");
const { sample, languages } = await load("samples.js");
const { deliveryState, isDue, rest } = await load("state.js");
const { differences, toml } = await load("toml.js");
const { beginning, visitor } = await load("api.js");

test("names are sorted as people do it: 2 before 10", () => {
  assert.deepEqual(["type_10", "type_2", "type_1"].sort(format.byName), ["type_1", "type_2", "type_10"]);
});

test("a search looks into ids only for one", () => {
  const id = "app_3Ml9paid";
  assert.deepEqual(["paid", "3", "app_3ml", "APP_3Ml9paid"].map((wanted) => format.fits(wanted, "Shop", format.idFor(wanted, id))), [false, false, true, true]);
});

test("times are said as a person would", () => {
  const now = Date.parse("2026-01-31T12:00:00Z");
  assert.match(format.ago("2026-01-31T11:38:00Z", now), /22 min.* ago/);
  assert.match(format.ago("2026-01-31T12:07:00Z", now), /in 7 min/);
  assert.match(format.ago("2026-01-31T11:00:01Z", now), /1 hr.? ago/);
  assert.match(format.ago("2026-01-31T11:59:00.4Z", now), /1 min.* ago/);
  assert.equal(format.ago(null, now), "–");
});

test("delays are read as they are written, and what is none is refused", () => {
  assert.deepEqual(format.delays("5s, 5m 2h,1d"), [5, 300, 7_200, 86_400]);
  assert.equal(format.schedule([5, 300, 7_200, 86_400]), "5s, 5m, 2h, 1d");
  for (const nothing of ["", " , "]) assert.equal(format.delays(nothing), null, "which is not a single attempt");
  assert.throws(() => format.delays("soon"));
  assert.throws(() => format.delays("8d"), /at most 7d/);
});

test("pieces of JSON are the JSON, whatever is in it", () => {
  for (const text of ['{"a\\"b": [1, -2.5e3, true, null, "x:y"]}', "{}", '"<script>"', "not json"]) {
    assert.equal(json.pieces(text).map((piece) => piece.text).join(""), text);
  }
  assert.deepEqual(json.pieces('{"a": "b"}').filter((piece) => piece.kind).map((piece) => piece.kind), ["key", "string"]);
});

test("what would turn the text around it is spelled out", () => {
  const shown = json.pieces('{"a": "x\u202ey"}').map((piece) => piece.text).join("");
  assert.equal(shown, '{"a": "x\\u202ey"}');
});

test("a name that would turn the text around it is spelled out, and one that nobody sees is another", () => {
  assert.equal(json.named("\u202eevil"), "\\u202eevil");
  for (const name of ["شركة", "👩‍👩‍👧", "می‌خواهم", "a b"]) assert.equal(json.named(name), name);
  for (const name of ["", null, undefined, "   ", "\u200b", "\u00a0\u3164\u2800\ufeff"]) assert.equal(json.named(name, "else"), "else");
});

test("JSON is laid out as it was written: every digit, every key in its place", () => {
  const text = '{"id":12345678901234567890,"amount":1.0,"z":[],"10":{},"2":["a,b:{}\\"",{"c":null}]}';
  const laid = json.laidOut(text);
  assert.equal(laid, '{\n  "id": 12345678901234567890,\n  "amount": 1.0,\n  "z": [],\n  "10": {},\n  "2": [\n    "a,b:{}\\"",\n    {\n      "c": null\n    }\n  ]\n}');
  assert.equal(json.laidOut(laid), laid);
  for (const plain of ["", "{", "<a>", "12"]) assert.equal(json.laidOut(plain), plain);
  const usual = JSON.stringify({ a: [1, { b: "c" }, []], d: {} });
  assert.equal(json.laidOut(usual), JSON.stringify(JSON.parse(usual), null, 2));
});

test("a part of JSON is found as it was written", () => {
  const text = '{"a": {"b": [1, {"c": 1.50}], "payload": 0}, "payload" : {"n":1e999, "s":"}"} , "last":true}';
  assert.equal(json.sourceAt(text, ["payload"]), '{"n":1e999, "s":"}"}');
  assert.equal(json.sourceAt(text, ["a", "b", "1", "c"]), "1.50");
  assert.equal(json.sourceAt(text, ["last"]), "true");
  assert.equal(json.sourceAt(text, []), text);
  for (const path of [["nowhere"], ["a", "b", "2"], ["last", "x"]]) assert.equal(json.sourceAt(text, path), undefined);
  assert.equal(json.sourceAt("", ["a"]), undefined);
});

test("a body has JSON in it as it was typed, and what is none is refused", () => {
  const typed = new json.Json('{"n": 1.0, "big": 12345678901234567890}');
  assert.equal(json.written({ eventType: "a", payload: typed, more: [typed] }), `{"eventType":"a","payload":${typed.text},"more":[${typed.text}]}`);
  assert.equal(json.written({ a: "json-0.1-0" }), '{"a":"json-0.1-0"}');
  assert.equal(json.written(undefined), undefined);
  assert.throws(() => new json.Json("{"));
});

test("a request as a shell command keeps quotes to itself", () => {
  const made = format.curl({ method: "POST", url: "https://a.example/x?y='z'", headers: [{ name: "x", value: "it's" }], body: "{'}" });
  assert.ok(made.includes(`'https://a.example/x?y='\\''z'\\'''`), made);
  assert.ok(made.includes(`'x: it'\\''s'`));
});

test("event types are grouped by what they name, or by what is before the first dot", () => {
  const groups = format.grouped([{ name: "order.paid" }, { name: "ping" }, { name: "a.b", group: "Own" }]);
  assert.deepEqual(groups.map(([name]) => name), ["", "order", "Own"].sort(format.byName));
});

test("fields of a schema are listed with those within, and a circle ends", () => {
  const inner = { properties: { b: { type: "string" } }, required: ["b"] };
  const found = format.fields({ properties: { a: inner, list: { type: "array", items: inner } } });
  assert.deepEqual(found.map((one) => one.name), ["a", "a.b", "list", "list[].b"]);
  assert.deepEqual(format.fields({ required: true, properties: { a: {} } }).map((one) => one.always), [false], "a schema that is being typed");
  const circle = { properties: {} };
  circle.properties.again = circle;
  assert.ok(format.fields(circle).length < 20);
});

test("a delivery says how far it is", () => {
  const row = { state: "failing", endpoints: 1, delivered: 0, attempt: 4, attempts: 8, nextAttempt: new Date(7 * 60_000).toISOString() };
  const said = deliveryState(row, 0);
  assert.match(said.more, /4 of 8, next in 7 min/);
  assert.equal(deliveryState({ ...row, state: "delivered", endpoints: 3, delivered: 3 }, 0).says, "3/3 delivered");
});

test("a profile is written as a file: fields as files call them, event types as they are", () => {
  const profile = {
    name: "a", title: "It's \"A\"", note: "one\ntwo", inferred: ["x"], delivery: { timeoutMs: 5_000, scheduleS: [1, 2], success: ["2xx"] }, envelope: '{"a":{{type}}}',
    endpoints: { secretShownOnce: false, httpsOnly: true, most: null }, jwt: { issuer: "i", inferredUrns: { newThing: "urn:x", "a.b": "urn:y" } },
    events: [{ type: "newThing", description: "\u007f", inferred: true, schema: "{\n}", example: "ends with '\n'" }],
  };
  assert.equal(toml(profile, "b"), `name = "b"
title = "It's \\"A\\""
note = '''
one
two'''
inferred = ["x"]
envelope = '{"a":{{type}}}'

[delivery]
timeout_ms = 5000
schedule_s = [1, 2]
success = ["2xx"]

[endpoints]
https_only = true

[jwt]
issuer = "i"

[jwt.inferred_urns]
newThing = "urn:x"
"a.b" = "urn:y"

[[event]]
type = "newThing"
description = "\\u007f"
inferred = true
schema = '''
{
}'''
example = "ends with '\\n'"
`);
});

test("two profiles are compared key by key: what one has not, what both have otherwise", () => {
  const event = (type, schema) => ({ type, description: type, schema: JSON.stringify(schema), example: "{}" });
  const one = { name: "one", title: "Same", delivery: { timeoutMs: 1, success: ["2xx"] }, optIn: ["a"], events: [event("kept", { properties: { a: { type: "string" } } }), event("gone", {})] };
  const other = { name: "other", title: "Same", delivery: { timeoutMs: 2, success: ["2xx"], format: "jwt" }, events: [event("kept", { properties: { a: { type: "number" } } }), event("new", {})] };
  assert.deepEqual(differences(one, other).map(({ key, kind, before, after }) => [key, kind, before, after]), [
    ["delivery.format", "added", undefined, "jwt"],
    ["delivery.timeout_ms", "changed", "1", "2"],
    ["event.gone", "removed", "gone", undefined],
    ["event.kept.schema.properties.a.type", "changed", "string", "number"],
    ["event.new", "added", undefined, "new"],
    ["opt_in", "removed", '["a"]', undefined],
  ]);
  assert.deepEqual(differences(one, { ...one, name: "another" }), []);
});

test("a list looks every 5 s while something goes on or is near, then after 10, 20 and 30 s", () => {
  const [now, at] = [1e12, (ms) => new Date(1e12 + ms).toISOString()];
  const over = { timestamp: at(-3_600_000), attemptedAt: at(-61_000), nextAttempt: at(61_000) };
  const quiet = [0, 1, 2, 3, 4, 99].map((looks) => rest([over], now, looks));
  assert.deepEqual(quiet, [5_000, 10_000, 20_000, 30_000, 30_000, 30_000]);
  assert.equal(rest([], now, 2), 20_000);
  for (const near of [{ timestamp: at(-59_000) }, { attemptedAt: at(-1_000) }, { nextAttempt: at(59_000) }]) {
    assert.equal(rest([over, { ...over, ...near }], now, 99), 5_000, JSON.stringify(near));
  }
  assert.equal(rest([{ ...over, nextAttempt: null, attemptedAt: undefined }], now, 99), 30_000);
});

test("a line is out of date once its next try is due, and never when it is over", () => {
  const at = (ms) => new Date(ms).toISOString();
  for (const state of ["failing", "waiting"]) {
    assert.ok(isDue({ state, nextAttempt: at(1_000) }, 1_000), state);
    assert.ok(isDue({ state, nextAttempt: null }, 1_000), `${state}, whenever it comes`);
    assert.ok(!isDue({ state, nextAttempt: at(1_001) }, 1_000), state);
  }
  for (const state of ["delivered", "failed", "canceled", "none"]) assert.ok(!isDue({ state, nextAttempt: null }, 1_000), state);
});

test("headers are read a line each, and what is none is refused at its field", () => {
  assert.deepEqual(format.headers(" x-team: payments: all \n\nX-Empty:\n"), { "x-team": "payments: all", "X-Empty": "" });
  for (const text of ["nonsense", ": value", "two words: value"]) {
    assert.throws(() => format.headers(text), { field: "headers" }, text);
  }
});

test("what can be pressed or filled in has an edge that can be seen, by day and by night", () => {
  const css = readFileSync(new URL("portal.css", FILES), "utf8");
  const light = (hex) => {
    const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const colours = (name) => new RegExp(`--${name}: light-dark\\((#\\w{6}), (#\\w{6})\\)`).exec(css)?.slice(1).map(light) ?? [];
  const [grounds, edges] = [colours("ground"), colours("edge")];
  assert.equal(edges.length, 2);
  for (const [at, ground] of grounds.entries()) {
    const [more, less] = [ground, edges[at]].sort((one, other) => other - one);
    assert.ok((more + 0.05) / (less + 0.05) >= 3, `${at ? "dark" : "light"}: less than 3 to 1`);
  }
  const rules = css.split("\n").map((line) => line.trim()).filter((line) => /^(button|input|select|textarea)\b/.test(line) && /border(-color)?: /.test(line));
  assert.ok(rules.length >= 2, "rules are found");
  for (const rule of rules) assert.ok(!/var\(--line\)/.test(rule), rule);
});

test("a token that is none is nobody's", () => {
  assert.equal(visitor("x.y.z").application, null);
  assert.equal(visitor("").organisation, null);
});

test("the secret is filled in wherever it stands, in eight languages, and a public key in three", () => {
  for (const [secret, many] of /** @type {[string, number][]} */ ([["whsec_own", 8], ["whpk_own", 3]])) {
    assert.equal(languages(secret).length, many);
    for (const language of languages(secret)) {
      const { code } = sample(language, secret);
      assert.ok(code.includes(secret) && !code.includes("{secret}"), language);
      assert.ok(/\b200\b|\bOK\b|StatusOK|\bok\(\)|Results\.Ok\(\)/i.test(code) && !/\b204\b|no_?content/i.test(code), language);
      assert.deepEqual(sample(language, secret, ["webhook-", "svix-"]), sample(language, secret));
      const { needs, code: own } = sample(language, secret, ["svix-"]);
      assert.ok(/svix/i.test(own + needs) && !/webhook-|HTTP_WEBHOOK|standard-?webhooks/i.test(own + needs), language);
    }
  }
});

test("the code for a public key takes what its other half signed, and nothing else", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const { code } = sample("JavaScript", `whpk_${raw.toString("base64")}`);
  globalThis.express = Object.assign(() => ({ post: (_, __, handle) => { globalThis.handle = handle; } }), { raw: () => null });
  const runs = code.replace('import express from "express";', "const { express } = globalThis;");
  assert.notEqual(runs, code);
  await import(`data:text/javascript,${encodeURIComponent(runs)}`);
  const answer = (body, at, signed = `msg_1.${at}.${body}`, scheme = "v1a") => {
    const headers = { "webhook-id": "msg_1", "webhook-timestamp": at, "webhook-signature": `v1,AAAA ${scheme},${sign(null, Buffer.from(signed), privateKey).toString("base64")}` };
    let status = 0;
    globalThis.handle({ get: (name) => headers[name], body: Buffer.from(body) }, { sendStatus: (given) => { status = given; } });
    return status;
  };
  const now = Math.floor(Date.now() / 1000);
  assert.equal(answer("{}", now), 200);
  assert.equal(answer("{}", now, `msg_1.${now}.{"x":1}`), 401, "of another body");
  assert.equal(answer("{}", now - 3_600), 401, "old");
  assert.equal(answer("{}", now, undefined, "v1"), 401, "of another scheme");
});

test("a list that is taken as a whole ends after so many pages, and says that it goes on", async () => {
  let asked = 0;
  const page = (last) => async () => ({ data: [asked += 1], iterator: "next", done: asked === last });
  assert.deepEqual(await beginning(page(3)), { found: [1, 2, 3], whole: true });
  asked = 0;
  const { found, whole } = await beginning(page(-1));
  assert.deepEqual([found.length, whole], [20, false]);
});

test("every form is one that waits for its answer, and no button only pretends to act", () => {
  for (const name of readdirSync(FILES).filter((name) => name.endsWith(".js") && name !== "parts.js")) {
    const text = readFileSync(new URL(name, FILES), "utf8");
    assert.ok(!/<form\b|type="submit"|=> \{\}\}>/.test(text), `${name} has a form of its own`);
  }
});

test("every operation that a page asks for is in the API's description", () => {
  const { paths } = JSON.parse(readFileSync(new URL("functions/admin/openapi.json", ROOT), "utf8"));
  const known = new Set(Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{[^}]*\}/g, "{}")}`)));
  const unknown = [];
  let asked = 0;
  for (const name of readdirSync(FILES).filter((name) => name.endsWith(".js"))) {
    const text = readFileSync(new URL(name, FILES), "utf8");
    const kept = [...text.matchAll(/const path = [^`\n]*`([^`]*)`/g), ...text.matchAll(/\bpath=\$\{`([^`]*)`\}/g), ...text.matchAll(/\bwalk\("([^"]*)"/g)].map(([, path]) => path);
    for (const [, how, method, plain, made] of text.matchAll(/\b(own|call)\("([A-Z]+)", (?:"([^"]*)"|`([^`]*)`|path\b)/g)) {
      const written = plain ?? made ?? "${path}";
      const starts = written.includes("${path}") ? kept.map((path) => written.replace("${path}", path)) : [written];
      const places = starts.map((path) => {
        const clear = path.replace(/\$\{query\(.*$/, "").replace(/\$\{[^}]*\}/g, "{}").replace(/\?.*$/, "");
        const base = how === "own" ? "/api/v1/app/{}" : clear.startsWith("/ingest/") ? "" : "/api/v1";
        return `${method} ${base}${clear}`;
      });
      asked += 1;
      if (!places.some((place) => known.has(place)) && !written.startsWith("/local/")) unknown.push(`${name}: ${method} ${written}`);
    }
  }
  assert.deepEqual(unknown, []);
  assert.ok(asked > 50, `only ${asked} were found`);
});

test("how to ask for the last hour is said as in the runbook", () => {
  const [, command] = /const COUNTED = "([^"]+)"/.exec(readFileSync(new URL("today.js", FILES), "utf8")) ?? [];
  const runbook = readFileSync(new URL("functions/runbook.md", ROOT), "utf8").split("\n").map((line) => line.trim());
  assert.ok(runbook.includes(String(command)), command);
});

/** What stands between two quotes in a program, in Rust over several lines as well, and not for a log. */
function literals(path) {
  const text = readFileSync(new URL(path, ROOT), "utf8").split("#[cfg(test)]")[0];
  const code = text.replace(/\\\n\s*/g, "").replace(/^\s*\/\/.*$/gm, "").replace(/\b(?:trace|debug|info|warn|error)!\([^;]*\);/g, "");
  return [...code.matchAll(/"((?:[^"\\\n]|\\.)*)"/g)].map(([, literal]) => literal.replaceAll('\\"', '"'));
}

/** What the parser of URLs says (url::ParseError), which is no code of ours. */
const PARSER = ["relative URL without a base", "empty host", "invalid port number", "invalid international domain name", "invalid domain character", "invalid IPv4 address", "invalid IPv6 address"];

/** A sentence with the same word wherever something may stand. */
const plain = (sentence) => sentence.replace(/\{[\w.]*\}/g, "7");

test("German has every sentence that the server says to a customer, and none that it does not say", () => {
  const explains = ["failure", "explain", "sent", "check", "source_state"].map((name) => `functions/admin/${name}.rs`);
  const refuses = ["functions/admin/endpoint.rs", "functions/admin/headers.rs", "shared/src/api/rules.rs"];
  // What the operator's own networks are called.
  const unseen = [/ is not a network: /, /^it is in a network /, /^failed to lookup/, /resolves to an address/, / does not open$/,
    /^must be left out, or fit/, /^[\d.:a-fx]+\/\d+ is /, /metadata|bytes of JSON/];
  const sentences = [
    ...explains.flatMap(literals).filter((one) => /^[A-Z].* .*\.$/.test(one)),
    ...[...refuses, "shared/src/sender/target.rs"].flatMap(literals).filter((one) => / .* /.test(one)),
  ].filter((one) => !unseen.some((pattern) => pattern.test(one)));
  assert.ok(sentences.length > 100, `only ${sentences.length} were found`);
  use(DE, SERVER);
  const unsaid = sentences.filter((one) => tell(plain(one)) === plain(one));
  use({}, {});
  assert.deepEqual([...new Set(unsaid)], []);
  const more = ["shared/src/domain/delivery/mod.rs", "shared/src/domain/profile/mod.rs", "shared/src/domain/id.rs", "shared/src/api/message.rs", "shared/src/api/error.rs", "shared/src/api/request.rs",
    "functions/admin/delivery_settings.rs", "functions/admin/secret.rs", "functions/admin/example.rs", "functions/admin/task.rs", "functions/admin/profile.rs", "functions/admin/portal/api.js"];
  const said = new Set([...sentences, ...more.flatMap(literals), ...explains.flatMap(literals), "no answer within {n} ms", ...PARSER].map(plain));
  assert.deepEqual(Object.keys(SERVER).filter((one) => !said.has(plain(one)) && !said.has(plain(one).replace("7", "1"))), []);
});

test("a sentence of the server keeps what it names, and a reason within it is German too", () => {
  use(DE, SERVER);
  assert.equal(tell("The endpoint takes the event type gone."), "Der Endpunkt nimmt den Ereignistyp gone.");
  assert.equal(tell("It was given up: gone."), "Es wurde aufgegeben: der Endpunkt ist fort (410).");
  assert.equal(tell("Something new."), "Something new.");
  assert.equal(tell("must be a whole number from 0 to 65535"), "muss eine ganze Zahl von 0 bis 65535 sein");
  assert.equal(tell("must be something new"), "must be something new");
  assert.equal(tell("not a valid URL (relative URL without a base); write it like https://host/path"), "keine gültige URL (am Anfang fehlt https://); so schreiben: https://host/pfad");
  assert.equal(tell("constructor"), "constructor");
  use({}, {});
  assert.equal(tell("It was given up: gone."), "It was given up: gone.");
});

test("one thing is not said like many, in either language", () => {
  assert.equal(t("{n} messages wait", { n: 1 }), "1 message waits");
  assert.equal(t("{n} messages wait", { n: "1+" }), "1+ messages wait");
  for (const [many, one] of Object.entries(ONE)) assert.ok(many in DE && one in DE, one);
});

test("German has every text, and no text that nobody says", () => {
  const said = new Set();
  let all = "";
  for (const name of readdirSync(FILES).filter((name) => name.endsWith(".js") && !/^de(_\w+)?\.js$/.test(name))) {
    const text = readFileSync(new URL(name, FILES), "utf8");
    all += text;
    for (const [, key] of text.matchAll(/\bt\("((?:[^"\\]|\\.)*)"/g)) said.add(key);
  }
  assert.deepEqual([...said].filter((key) => !(key in DE)), []);
  assert.deepEqual(Object.keys(DE).filter((key) => !said.has(key) && !all.includes(`"${key}"`)), []);
  for (const [key, text] of Object.entries({ ...DE, ...SERVER })) {
    const values = (of) => [...of.matchAll(/\{\w+\}/g)].map(String).sort();
    assert.deepEqual(values(text), values(key), key);
  }
});

test("German stands in order, part by part: who adds a text sees whether there is one already", () => {
  for (const name of ["de.js", "de_server.js"]) {
    let [before, seen] = ["", 0];
    for (const line of readFileSync(new URL(name, FILES), "utf8").split("\n")) {
      if (/^\s*\/\//.test(line)) before = "";
      const [, literal] = /^ {2}("(?:[^"\\]|\\.)*"): /.exec(line) ?? [];
      if (!literal) continue;
      const key = JSON.parse(literal);
      assert.ok(before < key, `${name}: "${key}" belongs before "${before}"`);
      [before, seen] = [key, seen + 1];
    }
    assert.equal(seen, Object.keys(name === "de.js" ? DE : SERVER).length, `every text of ${name} has a line of its own`);
  }
});
