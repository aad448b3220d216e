// The official JavaScript libraries, of the lines 1.x and 2.x, against a platform that runs.
//
// usage: suite.mjs DIRECTORY URL TOKEN; the directory has the node_modules of one line.
//
// A test for each resource. Prints a line of JSON for each: its name, `ok`, `fail` or `not there`,
// and the reason. A test that needs what the served description does not have is `not there`.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [directory, url, token] = process.argv.slice(2);

// From the directory of the line, as a program there would import it.
async function load(name) {
  const root = path.resolve(directory);
  const require = createRequire(path.join(root, "package.json"));
  const file = require(path.join(root, "node_modules", name, "package.json"));
  const main = file.exports?.["."] ?? file.main;
  const entry = typeof main === "string" ? main : (main.import ?? main.default ?? file.main);
  const loaded = await import(pathToFileURL(path.join(root, "node_modules", name, entry)));
  return loaded.Svix || loaded.Webhook ? loaded : loaded.default;
}

const { Svix, Webhook, messageInRaw } = await load("svix");
const standard = await load("standardwebhooks");
const PATIENCE_MS = 20_000;
const MINUTE_MS = 60_000;
const tests = [];
const test = (name, needs, body) => tests.push({ name, needs, body });

// Answers with the status in the path and hands over what came to that path.
const arrivals = new Map();
const waiting = new Map();
const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const came = { headers: request.headers, body: Buffer.concat(parts).toString() };
    const waiter = waiting.get(request.url);
    if (waiter) {
      waiting.delete(request.url);
      waiter(came);
    } else {
      arrivals.set(request.url, [...(arrivals.get(request.url) ?? []), came]);
    }
    response.writeHead(Number(request.url.split("/").pop())).end();
  });
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const receiver = `http://127.0.0.1:${server.address().port}`;

const plain = (path) => path.replace(/\{[^}]*\}/g, "{}");
// Method and path of every request that succeeded.
const called = new Set();
async function noting(address, init) {
  const answer = await fetch(address, init);
  if (answer.ok) called.add(`${init.method} ${new URL(address).pathname}`);
  return answer;
}

let places = 0;
class Bench {
  static async new() {
    const bench = new Bench();
    bench.svix = new Svix(token, { serverUrl: url, fetch: noting });
    // The line 2.x is the one that says `upsert`.
    bench.recent = "upsert" in bench.svix.application;
    bench.types = bench.recent ? "eventTypes" : "filterTypes";
    bench.app = (await bench.svix.application.create({ name: "SDK" })).id;
    return bench;
  }
  place(status = 200) {
    places += 1;
    return `${receiver}/${places}/${status}`;
  }
  endpoint({ status = 200, ...more } = {}) {
    return this.svix.endpoint.create(this.app, { url: this.place(status), ...more });
  }
  send(more = {}) {
    const payload = { order: "1001", note: "ünïcödé 🎺" };
    return this.svix.message.create(this.app, { eventType: "order.paid", payload, ...more });
  }
  arrival(endpoint) {
    const place = endpoint.url.slice(receiver.length);
    const [first, ...rest] = arrivals.get(place) ?? [];
    if (first) {
      arrivals.set(place, rest);
      return first;
    }
    return new Promise((found, lost) => {
      const late = setTimeout(() => lost(new Error(`nothing came to ${place}`)), PATIENCE_MS);
      waiting.set(place, (came) => {
        clearTimeout(late);
        found(came);
      });
    });
  }
}

async function expect(status, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.code, status, String(error));
    return error;
  }
  throw new Error(`success instead of ${status}`);
}

async function waitFor(look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, "it did not come");
    await new Promise((go) => setTimeout(go, 50));
  }
}

const unique = (word) => `${word}${process.hrtime.bigint()}`;
const minuteAgo = () => new Date(Date.now() - MINUTE_MS);
const ids = (page) => page.data.map((one) => one.id);

test("health", ["GET /health"], async (b) => {
  await b.svix.health.get();
});

test("application", ["PATCH /app/{}"], async (b) => {
  const apps = b.svix.application;
  const uid = unique("sdk-");
  const made = await apps.create({ name: "One", uid, metadata: { a: "b" } });
  assert.deepEqual([made.metadata, made.uid], [{ a: "b" }, uid]);
  assert.equal((await apps.get(uid)).id, made.id);
  assert.equal((await apps.getOrCreate({ name: "Other", uid })).name, "One");
  await expect(409, () => apps.create({ name: "Twice", uid }));
  const change = (name, shape) =>
    b.recent ? apps.upsert(name, shape) : apps.update(name, shape);
  assert.equal((await change(uid, { name: "Two", uid })).name, "Two");
  const fresh = await change(`${uid}-new`, { name: "Three" });
  assert.equal(fresh.uid, `${uid}-new`);
  assert.equal((await apps.patch(made.id, { throttleRate: 7 })).throttleRate, 7);
  assert.equal((await apps.patch(made.id, { throttleRate: null })).throttleRate ?? null, null);
  const seen = [];
  for (let iterator = null, done = false; !done; ) {
    const page = await apps.list({ limit: 2, iterator: iterator ?? undefined });
    seen.push(...ids(page));
    ({ iterator, done } = page);
  }
  assert.deepEqual(seen, [...new Set(seen)].sort());
  assert.ok(seen.includes(made.id) && seen.includes(fresh.id));
  await apps.delete(fresh.id);
  await expect(404, () => apps.get(fresh.id));
});

test("endpoint", ["PATCH /app/{}/endpoint/{}"], async (b) => {
  const eps = b.svix.endpoint;
  const made = await b.endpoint({ [b.types]: ["order.paid"], uid: "one", channels: ["red"] });
  assert.deepEqual([made[b.types], made.channels], [["order.paid"], ["red"]]);
  assert.equal((await eps.get(b.app, "one")).id, made.id);
  await expect(409, () => b.endpoint({ uid: "one" }));
  const change = (name, shape) =>
    b.recent ? eps.upsert(b.app, name, shape) : eps.update(b.app, name, shape);
  const changed = await change(made.id, { url: b.place(), uid: "two" });
  assert.deepEqual([changed.uid, changed[b.types] ?? null], ["two", null]);
  assert.equal((await change("three", { url: b.place() })).uid, "three");
  const patched = await eps.patch(b.app, made.id, { disabled: true, [b.types]: ["a.b"] });
  assert.deepEqual([patched.disabled, patched[b.types]], [true, ["a.b"]]);
  const cleared = await eps.patch(b.app, made.id, { [b.types]: null });
  assert.deepEqual([cleared.disabled, cleared[b.types] ?? null], [true, null]);
  const page = await eps.list(b.app, { limit: 1 });
  assert.ok(page.data.length === 1 && !page.done);
  const more = await eps.list(b.app, { limit: 1, iterator: page.iterator });
  assert.deepEqual(ids(more), [made.id]);
  const back = await eps.list(b.app, { limit: 1, iterator: more.prevIterator });
  assert.deepEqual(ids(back), ids(page));
  await eps.delete(b.app, made.id);
  await expect(404, () => eps.get(b.app, made.id));
});

test(
  "endpoint headers",
  ["PUT /app/{}/endpoint/{}/headers", "PATCH /app/{}/endpoint/{}/headers"],
  async (b) => {
    const eps = b.svix.endpoint;
    const ep = await b.endpoint();
    const put = (headers) =>
      b.recent
        ? eps.setHeaders(b.app, ep.id, { headers })
        : eps.updateHeaders(b.app, ep.id, { headers });
    await put({ "X-Tenant": "7", Authorization: "Key 1" });
    const shown = await eps.getHeaders(b.app, ep.id);
    assert.deepEqual(shown.headers, { "X-Tenant": "7" });
    assert.deepEqual(shown.sensitive.map((name) => name.toLowerCase()), ["authorization"]);
    await eps.patchHeaders(b.app, ep.id, { headers: { "X-More": "8" } });
    await b.send();
    const { headers } = await b.arrival(ep);
    assert.deepEqual(
      [headers["x-tenant"], headers["x-more"], headers.authorization],
      ["7", "8", "Key 1"],
    );
    await expect(422, () => put({ "Content-Length": "3" }));
  },
);

test("endpoint secret", [], async (b) => {
  const eps = b.svix.endpoint;
  const own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const ep = await b.endpoint({ secret: own });
  assert.equal((await eps.getSecret(b.app, ep.id)).key, own);
  await eps.rotateSecret(b.app, ep.id, {});
  const renewed = (await eps.getSecret(b.app, ep.id)).key;
  assert.notEqual(renewed, own);
  await b.send();
  const { headers, body } = await b.arrival(ep);
  for (const key of [own, renewed]) new Webhook(key).verify(body, headers);
});

test("delivery, verified", [], async (b) => {
  const ep = await b.endpoint();
  const secret = (await b.svix.endpoint.getSecret(b.app, ep.id)).key;
  const sent = await b.send();
  const { headers, body } = await b.arrival(ep);
  assert.equal(headers["webhook-id"] ?? headers["svix-id"], sent.id);
  assert.equal(JSON.parse(body).note, "ünïcödé 🎺");
  for (const verifier of [new Webhook(secret), new standard.Webhook(secret)]) {
    verifier.verify(body, headers);
    assert.throws(() => verifier.verify(`${body} `, headers));
  }
});

test("message", [], async (b) => {
  const msgs = b.svix.message;
  const red = await b.endpoint({ channels: ["red"] });
  const first = await b.send({ eventId: "paid-1", channels: ["red"] });
  await b.arrival(red);
  const second = await b.send({ eventType: "order.failed", channels: ["blue"] });
  assert.equal((await msgs.get(b.app, "paid-1")).id, first.id);
  const whole = await msgs.get(b.app, first.id, { withContent: true });
  assert.equal(whole.payload.order, "1001");
  const without = await msgs.get(b.app, first.id, { withContent: false });
  assert.deepEqual(without.payload, {});
  await expect(409, () => b.send({ eventId: "paid-1" }));
  assert.deepEqual(ids(await msgs.list(b.app)), [second.id, first.id]);
  for (const [options, found] of [
    [{ eventTypes: ["order.failed"] }, [second.id]],
    [{ channel: "red" }, [first.id]],
    [{ after: new Date(Date.now() + MINUTE_MS) }, []],
    [{ before: minuteAgo() }, []],
  ]) {
    assert.deepEqual(ids(await msgs.list(b.app, options)), found);
  }
  const idempotencyKey = unique("key-");
  const shape = { eventType: "order.paid", payload: { n: 1 } };
  const once = await msgs.create(b.app, shape, { idempotencyKey });
  assert.equal((await msgs.create(b.app, shape, { idempotencyKey })).id, once.id);
  for (const [channel, active] of [["red", true], ["blue", false]]) {
    const asked = { eventType: "order.paid", channels: [channel] };
    assert.equal((await msgs.precheck(b.app, asked)).active, active, channel);
  }
});

test("message: application with it", ["MessageIn.application"], async (b) => {
  const uid = unique("sdk-late-");
  const application = { name: "Late", uid };
  const message = { eventType: "order.paid", payload: {}, application };
  const sent = await b.svix.message.create(uid, message);
  assert.equal((await b.svix.message.get(uid, sent.id)).id, sent.id);
});

test("message: raw payload", ["MessageIn.transformationsParams"], async (b) => {
  const ep = await b.endpoint();
  const raw = messageInRaw("order.paid", "not, JSON", "text/plain");
  await b.svix.message.create(b.app, raw);
  const { headers, body } = await b.arrival(ep);
  assert.deepEqual([body, headers["content-type"]], ["not, JSON", "text/plain"]);
});

test("message: expunge", ["DELETE /app/{}/msg/{}/content"], async (b) => {
  const ep = await b.endpoint();
  const sent = await b.send();
  await b.arrival(ep);
  await b.svix.message.expungeContent(b.app, sent.id);
  const left = await b.svix.message.get(b.app, sent.id, { withContent: true });
  assert.equal(left.payload.order, undefined);
  await expect(400, () => b.svix.messageAttempt.resend(b.app, sent.id, ep.id));
  if (b.recent) {
    const { results } = await b.svix.message.bulkExpungeContent(b.app, { ids: [sent.id, "nobody"] });
    assert.deepEqual(results, { [sent.id]: "expunged", nobody: "not-found" });
  }
  assert.match((await b.svix.message.expungeAllContents(b.app)).id, /^qtask_/);
});

test("message: tags, later", ["MessageIn.tags", "MessageIn.deliverAt"], async (b) => {
  const ep = await b.endpoint();
  await expect(422, () => b.send({ deliverAt: new Date(Date.now() + 365 * 1440 * MINUTE_MS) }));
  const deliverAt = new Date(Date.now() + 1.5 * MINUTE_MS);
  const sent = await b.send({ tags: ["vip"], deliverAt });
  const other = await b.send({ tags: ["other"] });
  assert.equal((await b.arrival(ep)).headers["webhook-id"], other.id);
  assert.deepEqual(ids(await b.svix.message.list(b.app, { tag: "vip" })), [sent.id]);
  assert.deepEqual(ids(await b.svix.message.list(b.app, { tag: "none" })), []);
});

test("event type", ["POST /event-type"], async (b) => {
  const types = b.svix.eventType;
  const name = unique("sdk.");
  const schemas = { 1: { type: "object" } };
  const made = await types.create({ name, description: "Paid", schemas });
  assert.deepEqual([made.schemas, made.archived ?? false], [schemas, false]);
  await expect(409, () => types.create({ name, description: "Twice" }));
  const changed = b.recent
    ? await types.upsert(name, { description: "Was paid" })
    : await types.update(name, { description: "Was paid" });
  assert.equal(changed.description, "Was paid");
  const patched = await types.patch(name, { featureFlags: ["beta"] });
  assert.deepEqual([patched.featureFlags, patched.description], [["beta"], "Was paid"]);
  const names = async (options) =>
    (await types.list({ limit: 250, ...options })).data.map((one) => one.name);
  assert.ok((await names()).includes(name));
  await types.delete(name);
  assert.ok((await types.get(name)).archived);
  assert.ok(!(await names()).includes(name));
  assert.ok((await names({ includeArchived: true })).includes(name));
  await types.delete(name, { expunge: true });
  await expect(404, () => types.get(name));
});

test("event type: import", ["POST /event-type/import/openapi"], async (b) => {
  const name = unique("sdk.");
  const requestBody = { content: { "application/json": { schema: { type: "object" } } } };
  const post = { operationId: name, description: "Imported", requestBody };
  const info = { title: "t", version: "1" };
  const spec = { openapi: "3.1.0", info, webhooks: { [name]: { post } } };
  await b.svix.eventType.importOpenapi({ spec });
  assert.equal((await b.svix.eventType.get(name)).description, "Imported");
});

test("message attempt", [], async (b) => {
  const tries = b.svix.messageAttempt;
  const good = await b.endpoint();
  const bad = await b.endpoint({ status: 500 });
  const sent = await b.send();
  await b.arrival(good);
  await b.arrival(bad);
  await waitFor(async () => (await tries.listByMsg(b.app, sent.id)).data.length === 2);
  const failed = (await tries.listByEndpoint(b.app, bad.id)).data[0];
  assert.deepEqual([failed.responseStatusCode, failed.status], [500, 2]);
  assert.equal((await tries.get(b.app, sent.id, failed.id)).url, bad.url);
  for (const [options, found] of [
    [{ status: 0 }, good.id],
    [{ status: 2 }, bad.id],
    [{ statusCodeClass: 500 }, bad.id],
    [{ endpointId: good.id }, good.id],
  ]) {
    const { data } = await tries.listByMsg(b.app, sent.id, options);
    assert.deepEqual(data.map((one) => one.endpointId), [found]);
  }
  const places = (await tries.listAttemptedDestinations(b.app, sent.id)).data;
  const statuses = Object.fromEntries(places.map((one) => [one.id, one.status]));
  assert.deepEqual(statuses, { [good.id]: 0, [bad.id]: 3 });
});

test("message attempt: messages", ["GET /app/{}/endpoint/{}/msg"], async (b) => {
  const ep = await b.endpoint();
  const sent = await b.send();
  await b.arrival(ep);
  const look = async () => {
    const { data } = await b.svix.messageAttempt.listAttemptedMessages(b.app, ep.id);
    return data.length && data;
  };
  const [one] = await waitFor(look);
  assert.deepEqual([one.id, one.status], [sent.id, 0]);
});

test("message attempt: expunge", ["DELETE /app/{}/msg/{}/attempt/{}/content"], async (b) => {
  const tries = b.svix.messageAttempt;
  const ep = await b.endpoint();
  const sent = await b.send();
  await b.arrival(ep);
  const attempt = await waitFor(async () => (await tries.listByMsg(b.app, sent.id)).data[0]);
  await tries.expungeContent(b.app, sent.id, attempt.id);
  assert.equal((await tries.get(b.app, sent.id, attempt.id)).response, "EXPUNGED");
});

test("resend", [], async (b) => {
  const tries = b.svix.messageAttempt;
  const ep = await b.endpoint();
  const sent = await b.send();
  const first = await b.arrival(ep);
  await waitFor(async () => (await tries.listByMsg(b.app, sent.id)).data.length);
  await tries.resend(b.app, sent.id, ep.id);
  const second = await b.arrival(ep);
  assert.equal(second.headers["webhook-id"], first.headers["webhook-id"]);
  const both = await waitFor(async () => {
    const { data } = await tries.listByMsg(b.app, sent.id);
    return data.length === 2 && data;
  });
  assert.deepEqual(both.map((one) => one.triggerType), [1, 0]);
});

test("recover", ["POST /app/{}/endpoint/{}/recover"], async (b) => {
  const since = minuteAgo();
  const ep = await b.endpoint({ status: 500 });
  const sent = await b.send();
  await b.arrival(ep);
  const tries = b.svix.messageAttempt;
  await waitFor(async () => (await tries.listByMsg(b.app, sent.id)).data.length);
  const moved = await b.svix.endpoint.patch(b.app, ep.id, { url: b.place() });
  const task = await b.svix.endpoint.recover(b.app, ep.id, { since });
  assert.ok(task.id.startsWith("qtask_"));
  await b.arrival(moved);
});

test("replay missing", ["POST /app/{}/endpoint/{}/replay-missing"], async (b) => {
  const since = minuteAgo();
  const sent = await b.send();
  const ep = await b.endpoint();
  await b.svix.endpoint.replayMissing(b.app, ep.id, { since });
  const { headers } = await b.arrival(ep);
  assert.equal(headers["webhook-id"], sent.id);
});

test("bulk replay", ["POST /app/{}/endpoint/{}/bulk-replay"], async (b) => {
  const since = minuteAgo();
  const ep = await b.endpoint();
  await b.send();
  await b.arrival(ep);
  const tries = b.svix.messageAttempt;
  await waitFor(async () => (await tries.listByEndpoint(b.app, ep.id)).data.length);
  await b.svix.endpoint.bulkReplay(b.app, ep.id, { since });
  await b.arrival(ep);
});

test(
  "background task",
  ["GET /background-task/{}", "POST /app/{}/endpoint/{}/replay-missing"],
  async (b) => {
    const ep = await b.endpoint();
    const task = await b.svix.endpoint.replayMissing(b.app, ep.id, { since: minuteAgo() });
    const done = await waitFor(async () => {
      const one = await b.svix.backgroundTask.get(task.id);
      return one.status === "finished" && one;
    });
    assert.equal(done.id, task.id);
    assert.ok(ids(await b.svix.backgroundTask.list()).includes(task.id));
  },
);

test("endpoint stats", ["GET /app/{}/endpoint/{}/stats"], async (b) => {
  const ep = await b.endpoint();
  await b.send();
  await b.arrival(ep);
  const counted = await waitFor(async () => {
    const one = await b.svix.endpoint.getStats(b.app, ep.id);
    return one.success === 1 && one;
  });
  assert.equal(counted.fail, 0);
});

test("statistics", ["POST /stats/usage/app", "PUT /stats/usage/event-types"], async (b) => {
  const usage = { since: minuteAgo(), until: new Date() };
  assert.ok((await b.svix.statistics.aggregateAppStats(usage)).id.startsWith("qtask_"));
  assert.ok((await b.svix.statistics.aggregateEventTypes()).id.startsWith("qtask_"));
});

test(
  "send example",
  ["POST /app/{}/endpoint/{}/send-example", "POST /event-type"],
  async (b) => {
    const name = unique("sdk.");
    const schemas = { 1: { type: "object", examples: [{ order: "7" }] } };
    await b.svix.eventType.create({ name, description: "One", schemas });
    const ep = await b.endpoint();
    await b.svix.endpoint.sendExample(b.app, ep.id, { eventType: name });
    const { body } = await b.arrival(ep);
    assert.deepEqual(JSON.parse(body), { order: "7" });
  },
);

test(
  "authentication",
  ["POST /auth/app-portal-access/{}", "POST /auth/logout"],
  async (b) => {
    const access = await b.svix.authentication.appPortalAccess(b.app, {});
    const portal = new Svix(access.token, { serverUrl: url, fetch: noting });
    assert.deepEqual((await portal.endpoint.list(b.app)).data, []);
    await expect(403, () => portal.application.list());
    const other = await b.svix.application.create({ name: "Other" });
    await expect(404, () => portal.endpoint.list(other.id));
    await portal.authentication.logout();
    await expect(401, () => portal.endpoint.list(b.app));
    if (!b.recent) assert.ok((await b.svix.authentication.dashboardAccess(b.app)).url);
  },
);

test("authentication: expire all", ["POST /auth/app/{}/expire-all"], async (b) => {
  const access = await b.svix.authentication.appPortalAccess(b.app, {});
  const portal = new Svix(access.token, { serverUrl: url, fetch: noting });
  await portal.endpoint.list(b.app);
  await b.svix.authentication.expireAll(b.app, {});
  await waitFor(() => portal.endpoint.list(b.app).then(() => false, (error) => error.code === 401));
});

test("authentication: less", ["AppPortalAccessIn.capabilities"], async (b) => {
  const ep = await b.endpoint();
  const visit = async (shape) => {
    const access = await b.svix.authentication.appPortalAccess(b.app, shape);
    return new Svix(access.token, { serverUrl: url });
  };
  const looks = await visit({ readOnly: true });
  assert.deepEqual((await looks.endpoint.list(b.app)).data.map((one) => one.id), [ep.id]);
  await expect(403, () => looks.endpoint.getSecret(b.app, ep.id));
  await expect(403, () => looks.endpoint.delete(b.app, ep.id));
  const sees = await visit({ capabilities: ["ViewBase", "ViewEndpointSecret"] });
  assert.match((await sees.endpoint.getSecret(b.app, ep.id)).key, /^whsec_/);
  await expect(403, () => sees.endpoint.rotateSecret(b.app, ep.id, {}));
});

test("environment", ["POST /environment/export"], async (b) => {
  const name = unique("sdk.");
  await b.svix.eventType.create({ name, description: "One" });
  const exported = await b.svix.environment.export();
  const [one] = exported.eventTypes.filter((found) => found.name === name);
  assert.deepEqual([one.description, exported.connectors], ["One", []]);
  await b.svix.environment.import({ eventTypes: [{ name, description: "Two" }] });
  assert.equal((await b.svix.eventType.get(name)).description, "Two");
  await b.svix.environment.import({ settings: exported.settings });
});

test("integration", ["POST /app/{}/integration"], async (b) => {
  const all = b.svix.integration;
  const made = await all.create(b.app, { name: "Zap", featureFlags: ["beta"] });
  assert.deepEqual([made.name, made.featureFlags], ["Zap", ["beta"]]);
  assert.equal((await all.update(b.app, made.id, { name: "Zip" })).name, "Zip");
  assert.equal((await all.get(b.app, made.id)).name, "Zip");
  assert.deepEqual((await all.list(b.app)).data.map((one) => one.id), [made.id]);
  const { key } = await all.rotateKey(b.app, made.id);
  if (!b.recent) assert.equal((await all.getKey(b.app, made.id)).key, key);
  const other = new Svix(key, { serverUrl: url });
  await other.message.create(b.app, { eventType: "order.paid", payload: {} });
  await expect(403, () => other.endpoint.list(b.app));
  await all.delete(b.app, made.id);
  await expect(404, () => all.get(b.app, made.id));
});

test("message attempt: with it", ["GET /app/{}/attempt/endpoint/{}"], async (b) => {
  const ep = await b.endpoint();
  const sent = await b.send();
  await b.arrival(ep);
  const listed = await waitFor(async () => {
    const { data } = await b.svix.messageAttempt.listByEndpoint(b.app, ep.id, { withMsg: true });
    return data.length === 1 && data;
  });
  assert.equal(listed[0].msg.id, sent.id);
  assert.deepEqual(listed[0].msg.payload, {});
});

async function ingestEndpoint(b, hooks, source) {
  const ep = await hooks.create(source, { url: b.place() });
  assert.deepEqual(ids(await hooks.list(source)), [ep.id]);
  assert.equal((await hooks.get(source, ep.id)).url, ep.url);
  const change = b.recent ? "upsert" : "update";
  const changed = await hooks[change](source, ep.id, { url: ep.url, description: "Changed" });
  assert.deepEqual([changed.id, changed.description], [ep.id, "Changed"]);
  const old = (await hooks.getSecret(source, ep.id)).key;
  await hooks.rotateSecret(source, ep.id, {});
  assert.notEqual((await hooks.getSecret(source, ep.id)).key, old);
  const headers = { "X-Team": "hub" };
  await hooks[b.recent ? "setHeaders" : "updateHeaders"](source, ep.id, { headers });
  assert.deepEqual((await hooks.getHeaders(source, ep.id)).headers, headers);
  await hooks.delete(source, ep.id);
  await expect(404, () => hooks.get(source, ep.id));
}

test("ingest: source", ["POST /ingest/api/v1/source/{}/token/rotate"], async (b) => {
  const sources = b.svix.ingest.source;
  const metadata = { "posthorn.app": b.app };
  const made = await sources.create({
    name: "Hub", type: "github", config: { secret: "s3cret" }, metadata,
  });
  try {
    assert.equal((await sources.get(made.id)).ingestUrl, made.ingestUrl);
    assert.ok((await sources.list()).data.some((one) => one.id === made.id));
    const { ingestUrl } = await sources.rotateToken(made.id);
    assert.notEqual(ingestUrl, made.ingestUrl);
    assert.equal((await sources.get(made.id)).ingestUrl, ingestUrl);
    const change = b.recent ? "upsert" : "update";
    const shape = { name: "Renamed", type: "github", config: { secret: "s3cret" }, metadata };
    assert.equal((await sources[change](made.id, shape)).name, "Renamed");
    await ingestEndpoint(b, b.svix.ingest.endpoint, made.id);
    const ask = { readOnly: true };
    const access = b.recent
      ? await b.svix.ingest.authentication.consumerPortalAccess(made.id, ask)
      : await b.svix.ingest.dashboard(made.id, ask);
    const visitor = new Svix(access.token, { serverUrl: url });
    assert.deepEqual(ids(await visitor.endpoint.list(b.app)), []);
    await expect(403, () => visitor.endpoint.create(b.app, { url: b.place() }));
  } finally {
    await sources.delete(made.id);
  }
  await expect(404, () => sources.get(made.id));
});

test("operational webhook", ["POST /operational-webhook/endpoint"], async (b) => {
  const hooks = b.recent ? b.svix.operationalWebhook.endpoint : b.svix.operationalWebhookEndpoint;
  const hook = await hooks.create({ url: b.place(), [b.types]: ["endpoint.created"] });
  try {
    assert.equal((await hooks.get(hook.id)).url, hook.url);
    const secret = (await hooks.getSecret(hook.id)).key;
    const headers = { "X-Team": "webhooks", Authorization: "Bearer one" };
    const change = b.recent ? "setHeaders" : "updateHeaders";
    await hooks[change](hook.id, { headers });
    const shown = await hooks.getHeaders(hook.id);
    assert.deepEqual(shown.headers, { "X-Team": "webhooks" });
    const ep = await b.endpoint();
    for (;;) {
      const { headers, body } = await b.arrival(hook);
      new Webhook(secret).verify(body, headers);
      const event = JSON.parse(body);
      assert.equal(event.type, "endpoint.created");
      if (event.data.endpointId === ep.id) break;
    }
    assert.ok(ids(await hooks.list()).includes(hook.id));
    const upsert = b.recent ? "upsert" : "update";
    const changed = await hooks[upsert](hook.id, { url: hook.url, description: "Changed" });
    assert.deepEqual([changed.id, changed.description], [hook.id, "Changed"]);
    await hooks.rotateSecret(hook.id, {});
    assert.notEqual((await hooks.getSecret(hook.id)).key, secret);
  } finally {
    await hooks.delete(hook.id);
  }
  await expect(404, () => hooks.get(hook.id));
});

test("errors", [], async (b) => {
  const missing = () => b.svix.application.get("app_000000000000000000000000000");
  assert.equal((await expect(404, missing)).body.code, "not_found");
  const nonsense = new Svix("nonsense", { serverUrl: url });
  await expect(401, () => nonsense.application.list());
  const ftp = { url: "ftp://example.com" };
  const invalid = await expect(422, () => b.svix.endpoint.create(b.app, ftp));
  assert.deepEqual(invalid.body.detail[0].loc, ["body", "url"]);
});

// Every operation that this library has, read from its source.
function known() {
  const dist = path.join(path.resolve(directory), "node_modules", "svix", "dist");
  const written = /SvixRequest\((?:\w+\.HttpMethod\.(\w+)|"(\w+)"), "([^"]+)"\)/g;
  const there = new Set();
  for (const file of readdirSync(dist, { recursive: true })) {
    if (!/\.m?js$/.test(file)) continue;
    for (const [, old, recent, route] of readFileSync(path.join(dist, file), "utf8").matchAll(written))
      there.add(`${old ?? recent} ${plain(route)}`);
  }
  return there;
}

// The last one: each operation of the library was called above, or is known to be elsewhere.
test("every operation", [], async () => {
  const list = new URL("../../../tests/svix-elsewhere.json", import.meta.url);
  const elsewhere = new Set(JSON.parse(readFileSync(list)).flatMap((group) => group.operations));
  const there = await served();
  const all = [...known()];
  assert.ok(all.length > 100, String(all.length));
  const here = all.filter((name) => !elsewhere.has(name));
  const lost = here.filter((name) => !there.has(name.replace(" /api/v1", " ")));
  assert.deepEqual(lost, [], "neither served nor explained");
  // What has names where another has words is not that other one.
  const routes = all.map((name) => name.split("{}"));
  const isOf = (parts, request) =>
    new RegExp(`^${parts.map((it) => it.replace(/[.]/g, "\\.")).join("[^/]+")}$`).test(request);
  const done = new Set();
  for (const request of called) {
    const fits = routes.filter((parts) => isOf(parts, request));
    fits.sort((one, other) => one.length - other.length);
    if (fits.length > 0) done.add(fits[0].join("{}"));
  }
  assert.deepEqual(here.filter((name) => !done.has(name)), [], "served and not called");
});

async function served() {
  const document = await (await fetch(`${url}/api/v1/openapi.json`)).json();
  const there = new Set();
  for (const [route, methods] of Object.entries(document.paths)) {
    const plain = route.replace(/\{[^}]*\}/g, "{}").replace(/^\/api\/v1/, "");
    for (const method of Object.keys(methods)) there.add(`${method.toUpperCase()} ${plain}`);
  }
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    for (const field of Object.keys(schema.properties ?? {})) there.add(`${name}.${field}`);
  }
  return there;
}

const there = await served();
for (const { name, needs, body } of tests) {
  const missing = needs.find((need) => !there.has(need));
  let outcome = "ok";
  let why = "";
  if (missing) {
    [outcome, why] = ["not there", missing];
  } else {
    try {
      await body(await Bench.new());
    } catch (error) {
      [outcome, why] = ["fail", `${error.stack}\n${JSON.stringify(error.body ?? "")}`];
    }
  }
  console.log(JSON.stringify({ test: name, outcome, why }));
}
server.closeAllConnections();
server.close();
