// The pictures of the README and its neighbours: a customer of whom some endpoints fail, in the
// portal and in the console. Arguments: the portal's link, an operator's token, the browser's
// program, the directory for the pictures.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [link, operator, program, directory] = process.argv.slice(2);
const { origin } = new URL(link);
const app = JSON.parse(atob(link.split("#key=")[1].split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).sub;
const WAIT_MS = 30_000;

/** What the receivers answer, by their path: the status, the headers, the body. */
let asked = 0;
const ANSWERS = {
  sap: () => [204, {}, ""],
  analytics: () => [200, {}, "ok"],
  marketing: () => [404, { "content-type": "application/json", server: "cloudflare", "cf-ray": "8e1f6a0c3b7d2a91-FRA" }, '{"error":"no such hook"}'],
  warehouse: () => [503, { "content-type": "text/html", "retry-after": "120", server: "nginx" }, "<h1>503 Service Unavailable</h1>"],
  shop: () => [301, { location: "https://shop.example/hooks/orders", server: "nginx", "content-type": "text/html" }, "<h1>301 Moved Permanently</h1>"],
  staging: () => (asked++ % 4 === 0 ? [500, { "content-type": "text/plain" }, "worker is gone"] : [200, {}, ""]),
};
const receiver = createServer((request, response) => {
  request.resume().on("end", () => {
    const [status, headers, body] = ANSWERS[request.url.split("/")[1]]();
    setTimeout(() => response.writeHead(status, headers).end(body), 5 + (asked++ % 40));
  });
});
await new Promise((listening) => receiver.listen(0, "127.0.0.1", listening));
const hooks = `http://127.0.0.1:${receiver.address().port}`;

async function api(method, path, body) {
  const headers = { authorization: `Bearer ${operator}`, "content-type": "application/json" };
  const response = await fetch(`${origin}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
  return text ? JSON.parse(text) : null;
}

async function until(claim, holds) {
  const end = Date.now() + WAIT_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `not within ${WAIT_MS} ms: ${claim}`);
    await new Promise((later) => setTimeout(later, 100));
  }
}

/** A customer with these endpoints: name, path, event types. */
async function customer(id, name, endpoints) {
  await api("PATCH", `/app/${id}`, { name });
  const made = [];
  for (const [description, path, types] of endpoints) {
    made.push((await api("POST", `/app/${id}/endpoint`, { url: `${hooks}/${path}`, description, eventTypes: types ?? null })).id);
  }
  return made;
}

for (const name of ["order.paid", "order.shipped", "invoice.created"]) await api("POST", "/event-type", { name, description: `An ${name.split(".")[0]} was ${name.split(".")[1]}` });
const endpoints = await customer(app, "Acme Trading", [
  ["Orders to SAP", "sap/inbound/orders"], ["Analytics", "analytics/events"], ["Marketing automation", "marketing/hooks/catch/18230", ["order.paid"]],
  ["Warehouse", "warehouse/v2/webhooks", ["order.paid", "order.shipped"]], ["Shop", "shop/hooks/orders", ["order.paid"]], ["Staging", "staging/hooks"], ["Paused while we migrate", "sap/next"],
]);
await api("PATCH", `/app/${app}/endpoint/${endpoints[6]}`, { disabled: true });
const others = [];
for (const [name, description, path] of [["Northwind Payouts", "Ledger", "warehouse/ledger"], ["Blue Ridge Coffee", "Tills", "shop/tills"]]) {
  const { id } = await api("POST", "/app", { name });
  await customer(id, name, [[description, path]]);
  others.push(id);
}
const types = ["order.paid", "order.shipped", "invoice.created", "order.paid"];
for (let n = 0; n < 48; n += 1) {
  const payload = { order: String(1001 + n), total: 1999 + 37 * n, currency: "EUR", items: [{ sku: "mug-blue", quantity: 1 + (n % 3) }] };
  await api("POST", `/app/${app}/msg`, { eventType: types[n % 4], eventId: `order-${1001 + n}`, payload });
  if (n % 6 === 0) for (const id of others) await api("POST", `/app/${id}/msg`, { eventType: "order.paid", payload });
}
const health = async () => (await api("GET", `/app/${app}/health`)).data;
await until("three endpoints fail", async () => (await health()).filter((one) => one.state === "failing").length === 3 && (await health()).every((one) => one.attempts > 10 || one.state !== "healthy"));
await until("the others fail", async () => (await api("GET", "/operator/failing")).data.length >= 5);
const tried = (await api("GET", `/app/${app}/attempt/endpoint/${endpoints[4]}?limit=1`)).data[0];

const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"] });
try {
  const page = await (await browser.newContext({ viewport: { width: 1180, height: 720 }, colorScheme: "light" })).newPage();
  page.setDefaultTimeout(WAIT_MS);
  const shoot = (name) => page.screenshot({ path: `${directory}/${name}.png` });
  await page.goto(link);
  await page.getByText("3 endpoints are failing").waitFor();
  await shoot("endpoints");
  await page.goto(`${origin}/portal?app=${app}#/messages/${tried.msgId}`);
  const place = page.locator(".place", { hasText: "Shop" });
  await place.locator(".timeline summary").first().click();
  await place.getByText("location: https://shop.example").waitFor();
  await place.evaluate((one) => scrollTo(0, one.getBoundingClientRect().top + scrollY - 20));
  await shoot("message");
  await page.goto(`${origin}/console#key=${operator}`);
  await page.getByRole("table", { name: "Failing endpoints" }).getByText("Ledger").waitFor();
  await page.getByRole("img", { name: /until delivered: p50/ }).waitFor();
  await shoot("console");
} finally {
  await browser.close();
  receiver.close();
}
