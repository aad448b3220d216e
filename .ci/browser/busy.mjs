// A customer as they come: endpoints that fail, hang, move, are gone and recover, 3,000 messages,
// 200 event types, names that are long or no Latin letters; and one who has nothing but a keyboard.

import assert from "node:assert/strict";
import { createServer } from "node:http";

const MESSAGES = 3_000;
const TYPES = 200;
const BATCH = 100;
const FEW = 3;
const NAME = `Öko-Großhandel 🦀 شركة 東京 ${"and sons ".repeat(12)}`.trim();
/** Most presses of Tab on the way to something. */
const FAR = 80;

/** What each endpoint answers by its path; `back` comes back when it is told to. */
function receiver() {
  let isBack = false;
  const answers = {
    "/fine": [200], "/fails": [500], "/moved": [301, { location: "https://example.com/new" }], "/gone": [410],
  };
  const server = createServer((request, response) => {
    request.resume();
    if (request.url === "/hangs") return;
    const [status, headers] = request.url === "/back" ? [isBack ? 200 : 503] : answers[request.url];
    request.on("end", () => response.writeHead(status, headers ?? {}).end());
  });
  return { server, back: () => { isBack = true; } };
}

/** The whole of it. */
export async function busy({ api, done, fit, origin, shoot, until, visitor }, page) {
  const { server, back } = receiver();
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    const hooks = `http://127.0.0.1:${server.address().port}`;
    const { id, made } = await furnish(api, hooks);
    await publish(api, id, until, made);
    const other = await visitor(page);
    const link = (next) => api("POST", `/auth/app-portal-access/${id}`, {}).then(({ answer }) => `${answer.url}&next=${encodeURIComponent(next)}`);
    const look = async (name) => {
      await fit(other, name);
      await shoot(other, name);
    };
    await states(other, await link("/endpoints"), look);
    done("endpoints that fail, hang, moved, are gone, are down and are fine say so, whatever they are called");
    await reasons(other, origin, id, made, look);
    await recovers(other, origin, id, made, { api, back, until });
    done("each failure says what to do about it; an endpoint that is back takes what waits, and is not called failing any more");
    await thousands(other, origin, id, until, look);
    done(`of ${MESSAGES} messages the latest are shown, then more, and a filter by one of ${TYPES} types finds its own`);
    await typed(other, origin, id, look);
    await publicKey(other, origin, id, hooks, { api, look });
    await other.context().close();
    done(`among ${TYPES} event types a few are chosen by group and search; code for a public key is shown where one signs`);
    await keyboard(await visitor(page), await link("/endpoints"), `${hooks}/fine`);
    done("with the keyboard alone an endpoint is added, tried, and its delivery is opened and sent again");
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** The application, its endpoints by name, and the event types. */
async function furnish(api, hooks) {
  const { id } = (await api("POST", "/app", { name: NAME })).answer;
  const types = Array.from({ length: TYPES }, (_, n) => `area${n % 20}.thing_${n}.changed`);
  for (const name of types) assert.equal((await api("POST", "/event-type", { name, description: `What happens to ${name} 🧾`, schemas: { 1: { type: "object", examples: [{ thing: name }] } } })).status, 201);
  const made = {};
  for (const [name, eventTypes, more] of [
    ["fine", null, {}], ["fails", [types[1]], { retrySchedule: [3600] }], ["hangs", [types[2]], { timeoutSeconds: 1, retrySchedule: [3600] }],
    ["moved", [types[3]], { retrySchedule: [3600] }], ["gone", [types[4]], {}], ["back", [types[5]], { retrySchedule: [3600] }],
  ]) {
    const description = name === "fine" ? `${NAME}: ${"x".repeat(200)}` : `Our ${name} one 🦀`;
    const { status, answer } = await api("POST", `/app/${id}/endpoint`, { url: `${hooks}/${name}`, description, eventTypes, ...more });
    assert.equal(status, 201, JSON.stringify(answer));
    made[name] = answer.id;
  }
  return { id, made };
}

/** Publishes them all, and waits until each is where it belongs. */
async function publish(api, id, until, made) {
  const event = (n) => {
    // The first few types are those of the endpoints that do not take them.
    const type = n < 5 * FEW ? 1 + (n % 5) : 6 + (n % (TYPES - 6));
    return { eventType: `area${type % 20}.thing_${type}.changed`, eventId: `busy-${n}`, payload: { n, note: "Straße 🦀" } };
  };
  for (let n = 0; n < MESSAGES; n += BATCH) {
    const { status } = await api("POST", `/app/${id}/msg/batch`, { messages: Array.from({ length: BATCH }, (_, k) => event(n + k)) });
    assert.ok(status < 300, `a batch was answered with ${status}`);
  }
  const health = async () => new Map((await api("GET", `/app/${id}/health`)).answer.data.map((one) => [one.endpointId, one]));
  await until("each endpoint is known for what it is", async () => {
    const found = await health();
    return found.get(made.gone).state === "disabled" && ["fails", "hangs", "moved", "back"].every((name) => found.get(made[name]).state === "failing");
  });
}

async function states(page, link, look) {
  await page.goto(link);
  const row = (name) => page.locator("tr[data-row]", { hasText: `Our ${name} one 🦀` });
  for (const name of ["fails", "hangs", "moved", "back"]) await row(name).getByText("failing", { exact: true }).waitFor();
  await row("gone").getByText("disabled", { exact: true }).waitFor();
  await row("gone").getByText("410 Gone").waitFor();
  await page.locator("tr[data-row]", { hasText: "Großhandel" }).getByText("healthy", { exact: true }).waitFor();
  const tall = await page.locator("tr[data-row] .name a").evaluateAll((all) => Math.max(...all.map((one) => one.getBoundingClientRect().height)));
  assert.ok(tall < 90, `a long name takes ${tall} px`);
  await look("busy-endpoints");
}

/** What the customer is told at the endpoint, by the way in which it fails. */
async function reasons(page, origin, id, made, look) {
  for (const [name, says] of [
    ["fails", "The receiver failed while it worked on the event."], ["hangs", "The endpoint did not answer within 1 s."],
    ["moved", "The endpoint redirects."], ["back", "The receiver behind the endpoint's proxy is down or too slow."],
  ]) {
    await page.goto(`${origin}/portal?app=${id}#/endpoints/${made[name]}`);
    await page.locator(".banner.bad").getByText(says).waitFor();
  }
  await look("busy-failing");
  await page.goto(`${origin}/portal?app=${id}#/endpoints/${made.gone}`);
  await page.getByText("It answered 410 Gone, and was disabled for it.").waitFor();
  await look("busy-gone");
}

async function recovers(page, origin, id, made, { api, back, until }) {
  await page.goto(`${origin}/portal?app=${id}#/endpoints/${made.back}`);
  await page.getByRole("button", { name: /Retry waiting now/ }).waitFor();
  back();
  await page.getByRole("button", { name: /Retry waiting now/ }).click();
  await page.getByRole("dialog").getByText(`${FEW} messages wait`).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Retry now" }).click();
  await page.getByText("Task finished").waitFor();
  await until("what waited arrives", async () =>
    (await api("GET", `/app/${id}/attempt/endpoint/${made.back}?status=0`)).answer.data.length === FEW);
  await page.reload();
  await page.locator("tr[data-row]").first().getByText("delivered", { exact: true }).waitFor();
  assert.equal(await page.locator(".banner.bad").count(), 0);
}

async function thousands(page, origin, id, until, look) {
  await page.goto(`${origin}/portal?app=${id}#/messages`);
  const rows = page.locator("tr[data-row]");
  await until("a page of them", async () => await rows.count() === 30);
  await page.getByRole("button", { name: "Show more" }).click();
  await until("another one", async () => await rows.count() === 60);
  await look("busy-deliveries");
  await page.getByLabel("Event type").focus();
  await page.getByLabel("Event type").selectOption("area7.thing_7.changed");
  await until("its own", async () => {
    const shown = await rows.locator("td.name").allTextContents();
    return shown.length > 0 && shown.every((one) => one.includes("area7.thing_7.changed"));
  });
  // Things are listed as people count: 2 before 10.
  const options = await page.getByLabel("Event type").locator("option").allTextContents();
  assert.equal(options.filter((one) => one.startsWith("area")).length, TYPES);
  assert.ok(options.indexOf("area2.thing_2.changed") < options.indexOf("area10.thing_10.changed"), options.slice(0, 8).join());
}

async function typed(page, origin, id, look) {
  await page.goto(`${origin}/portal?app=${id}#/endpoints/new`);
  await page.getByLabel("All events").uncheck();
  await page.getByLabel("Search event types").fill("area7.");
  const group = page.locator("fieldset.types", { hasText: "area7" });
  await group.locator("legend input").check();
  await page.getByRole("status").filter({ hasText: "10 chosen" }).waitFor();
  await page.getByLabel("Search event types").fill("");
  await look("busy-form");
  await page.goto(`${origin}/portal?app=${id}#/events`);
  await page.getByText("area0.thing_0.changed").first().waitFor();
  await look("busy-events");
}

/** An endpoint that is signed with ed25519 shows code that verifies it. */
async function publicKey(page, origin, id, hooks, { api, look }) {
  const made = (await api("POST", `/app/${id}/endpoint`, { url: `${hooks}/fine`, description: "By key", signatureScheme: "v1a", eventTypes: ["area6.thing_6.changed"] })).answer;
  await page.goto(`${origin}/portal?app=${id}#/endpoints/${made.id}/settings`);
  await page.getByText("Its signatures are ed25519 (v1a)").waitFor();
  await page.getByRole("button", { name: "JavaScript", exact: true }).click();
  await page.getByRole("button", { name: "Fill in the secret" }).click();
  const { key } = (await api("GET", `/app/${id}/endpoint/${made.id}/secret`)).answer;
  await page.locator(".code pre", { hasText: key }).waitFor();
  assert.match(key, /^whpk_/);
  await look("busy-public-key");
}

/** Presses Tab until what has this name is reached. */
async function reach(page, name) {
  for (let presses = 0; presses < FAR; presses += 1) {
    await page.keyboard.press("Tab");
    const found = await page.evaluate(() => {
      const one = document.activeElement;
      const labels = one && "labels" in one ? [...(one.labels ?? [])].map((label) => label.textContent).join(" ") : "";
      return `${one?.getAttribute("aria-label") ?? ""} ${labels} ${one?.tagName === "A" || one?.tagName === "BUTTON" || one?.tagName === "SUMMARY" ? one.textContent : ""}`.trim();
    });
    if (found.includes(name)) {
      const ring = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement ?? document.body);
        return style.outlineStyle !== "none" || style.boxShadow !== "none";
      });
      assert.ok(ring, `it can be seen that ${name} has the focus`);
      return;
    }
  }
  assert.fail(`${name} is not reached with ${FAR} presses of Tab`);
}

/** No pointer is used in here. */
async function keyboard(page, link, url) {
  const { keyboard } = page;
  const heading = (name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
  await page.goto(link);
  await heading("Endpoints");
  await page.locator("tr[data-row]").first().waitFor();
  await reach(page, "Add endpoint");
  await keyboard.press("Enter");
  await heading("Add endpoint");
  await reach(page, "URL");
  await keyboard.type(url);
  await reach(page, "Name");
  await keyboard.type("By keyboard");
  await reach(page, "All events");
  await keyboard.press("Space");
  await reach(page, "Search event types");
  await keyboard.type("thing_7.");
  await reach(page, "area7.thing_7.changed");
  await keyboard.press("Space");
  await reach(page, "Add endpoint");
  await keyboard.press("Enter");
  await heading("By keyboard");
  await reach(page, "Send example");
  await keyboard.press("Enter");
  await page.locator(".result").getByText("delivered").waitFor();
  await reach(page, "Deliveries");
  await reach(page, "Deliveries");
  await keyboard.press("Enter");
  await page.locator("tr[data-row]").first().waitFor();
  await keyboard.press("j");
  await keyboard.press("Enter");
  await heading("area7.thing_7.changed");
  await reach(page, "Send again");
  await keyboard.press("Enter");
  await page.locator(".timeline summary").nth(1).waitFor();
  await page.context().close();
}
