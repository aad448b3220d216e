// Long lists: what is shown of them, what is asked for, and how often.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** A customer with many endpoints, in the portal and in the console. */
export async function large({ api, done, fit, hooks, operator, origin, shoot, until, visitor }, page) {
  const { id } = (await api("POST", "/app", { name: "Large", uid: "large" })).answer;
  for (let n = 0; n < 60; n += 1) {
    assert.equal((await api("POST", `/app/${id}/endpoint`, { url: `${hooks}/${n}`, description: `Branch ${n}`, eventTypes: [n % 2 ? "order.paid" : "order.failed"] })).status, 201);
  }
  const other = await visitor(page);
  const rows = other.locator("tr[data-row]");
  const find = async (label) => {
    await other.getByRole("status").filter({ hasText: "50 of 60" }).waitFor();
    assert.equal(await rows.count(), 50);
    await other.getByLabel(label).fill("hooks/7");
    await until("the first of them are not all", async () => await rows.count() === 1);
    await other.getByLabel(label).fill("hooks/5");
    await until("the last of them are found", async () => await rows.count() === 11);
    await other.getByLabel(label).fill("hooks/99");
    await other.getByText("No endpoint matches.").waitFor();
    await other.getByLabel(label).fill("");
    await other.getByRole("button", { name: "Show more" }).click();
    await until("the others are shown", async () => await rows.count() === 60);
  };
  await other.goto((await api("POST", `/auth/app-portal-access/${id}`, {})).answer.url);
  await other.getByRole("button", { name: "Show more" }).waitFor();
  await fit(other, "many endpoints");
  await shoot(other, "many-endpoints");
  await find("Search");
  await other.keyboard.press("/");
  assert.equal(await other.evaluate(() => document.activeElement?.getAttribute("type")), "search");
  await other.goto(`${origin}/console#key=${operator}&next=/apps/${id}`);
  await other.getByRole("heading", { level: 1, name: "Large" }).waitFor();
  await other.getByRole("button", { name: "Show more" }).waitFor();
  await fit(other, "console: many endpoints");
  await shoot(other, "console-many-endpoints");
  await find("Search endpoints");
  await beyond(other, `${origin}/console#key=${operator}&next=/apps/${id}`, "Search endpoints", until);
  await beyond(other, (await api("POST", `/auth/app-portal-access/${id}`, {})).answer.url, "Search", until);
  await fit(other, "more endpoints than are looked at");
  await shoot(other, "more-endpoints");
  await other.context().close();
  done("of 60 endpoints 50 are shown at first, and a filter finds the others, in the portal and in the console; of more than are looked at all are listed, and it says so");
}

/** More endpoints than are looked at: how the oldest are is not known, and it is said. */
async function beyond(page, link, label, until) {
  const looked = (url) => url.pathname.endsWith("/health");
  await page.route(looked, async (route) => {
    const whole = new URL(route.request().url());
    whole.searchParams.delete("iterator");
    const response = await route.fetch({ url: whole.href });
    const { data } = await response.json();
    await route.fulfill({ response, json: { data: data.filter((one) => one.state === "idle").slice(0, 40), iterator: "ep_more", prevIterator: null, done: false } });
  });
  await page.goto(link);
  await page.reload();
  await page.getByRole("note").filter({ hasText: "shown of the newest 40 of 60 endpoints" }).waitFor();
  await page.getByLabel(label).fill("hooks/0");
  const row = page.locator("tr[data-row]", { hasText: "Branch 0" });
  await until("it is found", async () => await page.locator("tr[data-row]").count() === 1);
  assert.equal(await row.locator(".state").textContent(), "–");
  await page.getByLabel(label).fill("");
  await page.unroute(looked);
}

/** A message of many endpoints is sent again to all that did not take it, however many pages they are. */
export async function many({ api, done, hooks, moody, until, visitor }, page) {
  const { id } = (await api("POST", "/app", { name: "Large, too" })).answer;
  for (let n = 0; n < 3; n += 1) await api("POST", `/app/${id}/endpoint`, { url: `${hooks}/${n}`, retrySchedule: [] });
  moody(500);
  const msg = (await api("POST", `/app/${id}/msg`, { eventType: "order.paid", eventId: "many-1", payload: {} })).answer.id;
  const attempts = async () => (await api("GET", `/app/${id}/attempt/msg/${msg}`)).answer.data.length;
  await until("all three fail", async () => await attempts() === 3);
  const other = await visitor(page);
  const asked = (url) => url.pathname.endsWith(`/msg/${msg}/endpoint`);
  await other.route(asked, (route) => route.continue({ url: route.request().url().replace("limit=250", "limit=1") }));
  await other.goto(`${(await api("POST", `/auth/app-portal-access/${id}`, {})).answer.url}&next=/messages`);
  // That no message has this name is answered after a state was chosen.
  const named = (url) => url.pathname.endsWith("/msg/MANY-");
  let answer = () => {};
  await other.route(named, (route) => { answer = () => route.continue(); });
  await other.getByLabel("Search messages").fill("MANY-");
  const sent = other.waitForRequest((request) => named(new URL(request.url())));
  await other.getByLabel("Search messages").press("Enter");
  await sent;
  await other.getByRole("button", { name: "Failed", exact: true }).click();
  answer();
  await other.getByRole("status").filter({ hasText: /^1 found$/ }).waitFor();
  assert.equal(await other.getByRole("button", { name: "Failed", exact: true }).getAttribute("aria-pressed"), "true");
  const row = other.locator("tr[data-row]");
  await row.getByText("0/3 delivered").waitFor();
  await row.getByText("given up").waitFor();
  await row.getByText("HTTP 500").waitFor();
  await other.getByRole("button", { name: "Delivered", exact: true }).click();
  await other.getByRole("status").filter({ hasText: /^0 found$/ }).waitFor();
  await other.getByRole("button", { name: "Failed", exact: true }).click();
  await other.getByLabel("Select all that are shown").check();
  assert.ok(await row.getByRole("checkbox").isChecked());
  moody(200);
  await other.getByRole("button", { name: "Retry selected (1)" }).click();
  await other.locator("#notice").filter({ hasText: "3 deliveries are sent again" }).waitFor();
  await until("all three are", async () => await attempts() === 6);
  await other.context().close();
  done("a search is not lost to a filter, and says how far each message is; what is chosen there is sent again to every endpoint that did not take it");
}

/** On a phone bars are longer than the page is wide: where one is stands within it. */
export async function narrow({ done, operator, origin, until, visitor }, page) {
  const other = await visitor(page, { width: 390, height: 800 });
  for (const place of ["/parked", "/settings/broadcast", "/today"]) {
    await other.goto(`${origin}/console#key=${operator}&next=${place}`);
    await other.getByRole("heading", { level: 1 }).waitFor();
    const beyond = () => other.locator("nav [aria-current]").evaluateAll((all) => all.filter((one) => {
      const { left, right } = one.getBoundingClientRect();
      return left < 0 || right > innerWidth;
    }).length);
    await until(`where one is can be seen on ${place}`, async () => await beyond() === 0);
  }
  await other.context().close();
  done("on a phone the bar shows where one is");
}

/** A list where nothing goes on looks ever more seldom; what comes is told, and brings it back. */
export async function looks({ api, app, done, until, visitor }, page, endpoint) {
  const other = await visitor(page);
  await other.clock.install();
  let asked = [];
  other.on("request", (request) => /\/attempt\/endpoint\/.*limit=1\b/.test(request.url()) && asked.push(0));
  await other.goto(`${(await api("POST", `/auth/app-portal-access/${app}`, {})).answer.url}&next=/endpoints/${endpoint}`);
  await other.locator("tr[data-row]").first().waitFor();
  // By then what was tried last is long ago.
  await other.clock.fastForward(5 * 60_000);
  const pass = async (seconds) => {
    for (let past = 0; past < seconds; past += 5) {
      const answered = other.waitForResponse(/\/attempt\/endpoint\//, { timeout: 300 }).catch(() => null);
      const before = asked.length;
      await other.clock.runFor(5_000);
      if (asked.length > before) await answered;
      await other.evaluate(() => new Promise((next) => { queueMicrotask(() => next(null)); }));
    }
    const made = asked.length;
    asked = [];
    return made;
  };
  await pass(30);
  const made = await pass(300);
  assert.ok(made >= 8 && made <= 11, `${made} looks in five minutes of nothing`);
  await api("POST", `/app/${app}/msg`, { eventType: "order.failed", payload: {} });
  await until("it is told", async () => { await pass(30); return other.getByRole("button", { name: "1 new" }).isVisible(); });
  await other.context().close();
  done("a list where nothing goes on looks twice a minute, and still tells what is new");
}

/** A line whose next try was due is brought up to date where it stands, and so is what stands above the list. */
export async function renewed({ api, done, hooks, moody, until, visitor }, page) {
  const { id } = (await api("POST", "/app", { name: "Large, soon well" })).answer;
  const endpoint = (await api("POST", `/app/${id}/endpoint`, { url: hooks, retrySchedule: [4] })).answer.id;
  moody(500);
  await api("POST", `/app/${id}/msg`, { eventType: "order.failed", payload: {} });
  const last = async () => (await api("GET", `/app/${id}/attempt/endpoint/${endpoint}`)).answer.data[0];
  await until("it fails", last);
  const other = await visitor(page);
  await other.goto(`${(await api("POST", `/auth/app-portal-access/${id}`, {})).answer.url}&next=/endpoints/${endpoint}`);
  const row = other.locator("tr[data-row]");
  await row.getByText("failing", { exact: true }).waitFor();
  await other.getByText("Every attempt has failed since").waitFor();
  moody(200);
  await row.getByText("delivered", { exact: true }).waitFor();
  await other.locator(".banner.bad").waitFor({ state: "detached" });
  await other.context().close();
  done("a delivery that succeeds at its next try says so in the list that is looked at, and its endpoint fails no more");
}

/** Opening a page asks for what a test has counted the price of (tests/health.rs), and for no more. */
export async function opened({ api, done, origin, settled, visitor }, page, id, endpoint) {
  const other = await visitor(page);
  const names = { ep: endpoint };
  for (const [path, requests] of Object.entries(JSON.parse(readFileSync(new URL("opened.json", import.meta.url), "utf8")))) {
    const made = [];
    const note = (request) => request.url().startsWith(`${origin}/api/`) && made.push(`${request.method()} ${request.url().slice(`${origin}/api/v1`.length).replace(id, "{app}").replace(endpoint, "{ep}")}`);
    other.on("request", note);
    const next = encodeURIComponent(path.replace(/\{(\w+)\}/g, (_, name) => names[name]));
    await other.goto(`${(await api("POST", `/auth/app-portal-access/${id}`, {})).answer.url}&next=${next}`);
    await other.locator("tr[data-row]").first().waitFor();
    await settled(other);
    other.off("request", note);
    assert.deepEqual(made, requests, `what ${path} asks for`);
  }
  await other.getByLabel("Event type").focus();
  await other.getByRole("option", { name: "order.failed" }).waitFor({ state: "attached" });
  await other.context().close();
  done("a failing endpoint opens with the requests whose price is counted; choices are asked for when somebody is about to choose");
}
