// Stores many messages, then times each view. Arguments: the portal's link, an operator's token,
// the browser's program, how many messages.
//
// A view's time is from the change of the address until nothing is on its way any more and the
// page was drawn; of each view the median of nine, each with an empty memory of lists.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [link, operator, program, wanted] = process.argv.slice(2);
const MESSAGES = Number(wanted);
const { origin } = new URL(link);
const app = JSON.parse(atob(link.split("#key=")[1].split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).sub;
/** Messages of one call, and calls at the same time. */
const BATCH = 100;
const AT_ONCE = 8;
/** Endpoints of the customer, other customers, event types, sources. */
const [ENDPOINTS, CUSTOMERS, TYPES, SOURCES] = [40, 300, 200, 20];
const RUNS = 9;
const AIM_MS = 200;

/** Takes everything, but for what is on its third path. */
const receiver = createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(request.url === "/2" ? 500 : 204).end());
});
await new Promise((listening) => receiver.listen(0, "127.0.0.1", listening));
const hooks = `http://127.0.0.1:${receiver.address().port}`;

async function api(method, path, body) {
  const headers = { authorization: `Bearer ${operator}`, "content-type": "application/json" };
  const response = await fetch(`${origin}${path.startsWith("/ingest") || path.startsWith("/local") ? "" : "/api/v1"}${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
  return text ? JSON.parse(text) : null;
}

/** Does something for each number up to this, some at the same time. */
async function each(many, run) {
  let next = 0;
  const worker = async () => {
    while (next < many) await run(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

const typeOf = (n) => `group_${n % 12}.event_${n}`;

async function store() {
  const began = Date.now();
  await each(TYPES, (n) => api("POST", "/event-type", { name: typeOf(n), description: `What happened, number ${n}`, schemas: { 1: { type: "object", examples: [{ n }] } } }));
  await each(CUSTOMERS, (n) => api("POST", "/app", { name: `Customer ${n}`, uid: `customer-${n}` }));
  await each(SOURCES, (n) => api("POST", "/ingest/api/v1/source", { name: `Source ${n}`, type: "github", app: "shop", config: { secret: "s" } }));
  // Each takes a type; the first takes a fifth of all, the third answers 500.
  await each(ENDPOINTS, (n) => api("POST", `/app/${app}/endpoint`, { url: `${hooks}/${n}`, description: `Endpoint ${n}`, eventTypes: n > 0 ? [typeOf(n)] : Array.from({ length: ENDPOINTS }, (_, at) => typeOf(at)) }));
  const payload = { order: "1001", total: 1999, lines: Array.from({ length: 8 }, (_, n) => ({ sku: `sku-${n}`, quantity: n })) };
  await each(Math.ceil(MESSAGES / BATCH), (call) => api("POST", `/app/${app}/msg/batch`, {
    messages: Array.from({ length: BATCH }, (_, n) => ({ eventType: typeOf((call * BATCH + n) % TYPES), payload })),
  }));
  console.log(`stored ${MESSAGES} messages in ${((Date.now() - began) / 1_000).toFixed(1)} s`);
  // Of each type that the first endpoint takes one delivery more, but of the first.
  const deliveries = Math.floor((MESSAGES / TYPES) * (2 * ENDPOINTS - 1));
  let metrics;
  do {
    await new Promise((later) => setTimeout(later, 500));
    ({ metrics } = await api("GET", "/local/status"));
  } while ((metrics.Delivered?.sum ?? 0) + (metrics.Failed?.sum ?? 0) < deliveries);
  console.log(`delivered ${metrics.Delivered?.sum}, failed ${metrics.Failed?.sum}, first attempts over after ${((Date.now() - began) / 1_000).toFixed(1)} s`);
}

if ((await api("GET", "/event-type?limit=1&with_content=false")).data.length === 0) await store();
const endpoints = (await api("GET", `/app/${app}/endpoint?limit=250`)).data;
const at = (name) => endpoints.find((one) => one.description === name).id;
const [good, failing, busy] = [at("Endpoint 1"), at("Endpoint 2"), at("Endpoint 0")];
const message = (await api("GET", `/app/${app}/msg?limit=1&with_content=false`)).data[0];

const VIEWS = [
  ["portal", ["/endpoints", "/endpoints/new", `/endpoints/${good}`, `/endpoints/${busy}`, `/endpoints/${failing}`, `/endpoints/${good}/test`, `/endpoints/${good}/settings`, `/endpoints/${good}/edit`,
    "/messages", "/messages?state=failing", "/messages?state=failed", "/messages?state=waiting", "/messages?type=group_0.event_0", `/messages?endpoint=${failing}`, "/messages?tag=none", "/messages?q=event_1", "/messages?since=1",
    `/messages/${message.id}`, "/events"]],
  ["console", ["/today", "/apps", "/apps?q=299", `/apps/${app}`, "/kinds", "/kinds?name=group_0.event_0", "/sources", "/parked", "/tasks", "/settings/portal", "/settings/tokens", "/settings/keys", "/settings/operational", "/settings/profiles", "/settings/broadcast"]],
];

const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"] });
const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
// Counts what is on its way, and tells when there is nothing and the page was drawn.
await page.addInitScript(() => {
  const seen = { now: 0, all: [] };
  const real = window.fetch;
  window.fetch = async (...asked) => {
    seen.now += 1;
    seen.all.push(String(asked[0]));
    try {
      const response = await real(...asked);
      const text = response.text.bind(response);
      // The body belongs to the answer.
      response.text = () => text().finally(() => { seen.now -= 1; });
      return response;
    } catch (error) {
      seen.now -= 1;
      throw error;
    }
  };
  const drawn = () => new Promise((next) => { requestAnimationFrame(() => setTimeout(next)); });
  const quiet = async () => {
    let end = 0;
    for (let looks = 0; looks < 3;) {
      await drawn();
      if (seen.now > 0) looks = 0;
      else if (looks++ === 0) end = performance.now();
    }
    return end;
  };
  window.view = async (path) => {
    await quiet();
    const began = performance.now();
    seen.all = [];
    location.hash = path;
    const end = await quiet();
    return { ms: end - began, asked: seen.all.map((url) => url.replace("/api/v1", "")) };
  };
});

const slow = [];
try {
  for (const [place, paths] of VIEWS) {
    const first = place === "portal" ? link : `${origin}/console#key=${operator}`;
    await page.goto(first);
    await page.locator("h1").waitFor();
    for (const path of paths) {
      const runs = [];
      let units = 0;
      for (let run = 0; run < RUNS; run += 1) {
        // A new page has no lists that were left, and what is not there costs next to nothing.
        await page.evaluate((to) => { location.hash = to; }, place === "portal" ? "#/messages/msg_0" : "#/apps/app_0");
        await page.reload();
        await page.getByRole("alert").waitFor();
        const before = (await api("GET", "/local/status")).usage.readUnits;
        runs.push(await page.evaluate((to) => window.view(to), `#${path}`));
        units = (await api("GET", "/local/status")).usage.readUnits - before;
      }
      runs.sort((one, other) => one.ms - other.ms);
      const median = runs[RUNS >> 1];
      if (median.ms >= AIM_MS) slow.push(`${place} ${path}`);
      console.log(`${median.ms.toFixed(0).padStart(5)} ms (${runs[0].ms.toFixed(0)} to ${runs.at(-1).ms.toFixed(0)})  ${String(median.asked.length).padStart(2)} requests  ${units.toFixed(0).padStart(4)} read units  ${place} ${path.replace(/_(\w{4})\w+/g, "_$1…")}`);
    }
  }
} finally {
  await browser.close();
  receiver.close();
}
console.log(slow.length ? `${AIM_MS} ms or more: ${slow.join(", ")}` : `each view in less than ${AIM_MS} ms`);
