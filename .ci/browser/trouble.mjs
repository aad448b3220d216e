// What the portal does while the server is busy, slow or gone, and with what strangers made.

import assert from "node:assert/strict";
import { BUSY, called, dots, formed, late, tried } from "./late.mjs";

/** All of it. */
export async function troubles(kit, page) {
  const { api, hooks, moody, visitor } = kit;
  moody(200);
  const { id } = (await api("POST", "/app", { name: "Troubled" })).answer;
  const endpoint = (await api("POST", `/app/${id}/endpoint`, { url: hooks, description: "Troubled", retrySchedule: [3_600] })).answer.id;
  const other = await visitor(page);
  const open = async (path, more = {}) => other.goto(`${(await api("POST", `/auth/app-portal-access/${id}`, more)).answer.url}&next=${encodeURIComponent(path)}`);
  const own = { ...kit, customer: id, endpoint, open };
  await drawn(own, other);
  await kept(own, other);
  await anew(own, other);
  await reread(own, other);
  await followed(own, other);
  await partly(own, other);
  await chosen(own, other);
  await formed(own, other);
  await late(own, other);
  await tried(own, other);
  await called(own, other);
  await dots(own, other);
  await begun(own, other);
  await ended(own, other);
  await other.context().close();
}

/** Where something cannot be drawn, that is said there; the rest goes on, and so does the next page. */
async function drawn({ customer, done, endpoint, fit, hooks, open, origin, shoot }, page) {
  for (const path of ["/messages?since=abc", "/endpoints?sort=__proto__", "/endpoints?sort=toString"]) {
    await open(path);
    await page.getByText(path.startsWith("/messages") ? "No matches." : hooks).first().waitFor();
  }

  const seen = (url) => url.pathname.endsWith("/overview");
  await page.route(seen, async (route) => {
    const response = await route.fetch();
    const { health, ...rest } = await response.json();
    await route.fulfill({ response, json: { ...rest, health: { ...health, lastSuccess: "never" } } });
  });
  await page.goto(`${origin}/portal?app=${customer}#/endpoints/${endpoint}`);
  await page.getByRole("heading", { level: 1, name: "This page cannot be shown" }).waitFor();
  await fit(page, "a page that cannot be drawn");
  await shoot(page, "undrawn");
  await page.getByRole("link", { name: "Event types" }).click();
  await page.getByRole("heading", { level: 1, name: "Event types" }).waitFor();
  await page.goBack();
  await page.getByRole("heading", { level: 1, name: "This page cannot be shown" }).waitFor();
  await page.unroute(seen);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { level: 1, name: "Troubled" }).waitFor();
  done("a page that cannot be drawn says so, is tried again, and the others go on");
}

/** What is shown stays where what comes after it, or in its place, does not come. */
async function kept({ api, customer, done, fit, hooks, open, shoot, until }, page) {
  const many = Array.from({ length: 70 }, (_, n) => ({ eventType: "order.paid", eventId: `kept-${n}`, payload: {} }));
  assert.equal((await api("POST", `/app/${customer}/msg/batch`, { messages: many })).status, 202);
  const last = async () => (await api("GET", `/app/${customer}/delivery?limit=100`)).answer.data;
  await until("all are delivered", async () => (await last()).every((one) => one.state === "delivered"));
  await open("/messages");
  const rows = page.locator("tr[data-row]");
  const more = page.getByRole("button", { name: "Show more" });
  await more.click();
  await until("two pages are shown", async () => await rows.count() === 60);
  const lists = (url) => url.pathname.endsWith("/delivery");
  await page.route(lists, (route) => route.fulfill(BUSY));
  await more.click();
  await page.getByRole("alert").filter({ hasText: /^Ask again in a moment/ }).waitFor();
  assert.equal(await rows.count(), 60);
  await page.unroute(lists);
  await page.getByRole("button", { name: "Try again" }).click();
  await until("it goes on where it was", async () => await rows.count() === 70);

  await page.locator("tr[data-row] .name a").first().click();
  const tries = page.locator(".timeline > li");
  await tries.first().waitFor();
  const attempts = (url) => url.pathname.includes("/attempt/msg/");
  await page.route(attempts, (route) => route.fulfill(BUSY));
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.getByRole("alert").filter({ hasText: "What is shown may be old. Ask again in a moment." }).waitFor();
  assert.equal(await tries.count(), 1, "the timeline stays");
  await fit(page, "a message that may be old");
  await shoot(page, "old-list");
  await page.unroute(attempts);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("alert").waitFor({ state: "detached" });
  assert.equal(await tries.count(), 1);
  done("a list keeps what it shows when more of it, or a newer one, does not come");
}

/** Lists are as they are now: by a button, by another filter, and for whoever follows a link. */
async function anew({ api, customer, done, endpoint, fit, hooks, moody, open, origin, shoot, until }, page) {
  const path = `/app/${customer}`;
  const press = (name) => page.getByRole("button", { name, exact: true }).click();
  const state = page.locator("tr[data-row]").first().locator(".state");
  /** A message that failed, and how it is delivered after all. */
  const failing = async () => {
    moody(500);
    const msg = (await api("POST", `${path}/msg`, { eventType: "order.failed", payload: {} })).answer.id;
    const is = async (wanted) => (await api("GET", `${path}/delivery?limit=1`)).answer.data[0]?.state === wanted;
    await until("it fails", () => is("failing"));
    return async () => {
      moody(200);
      await api("POST", `${path}/msg/${msg}/endpoint/${endpoint}/resend`, {});
      await until("it is delivered", () => is("delivered"));
    };
  };
  let deliver = await failing();
  await open("/messages?state=failing");
  await state.getByText("failing").waitFor();
  await fit(page, "a filtered list");
  await shoot(page, "filtered");
  await deliver();
  await press("Refresh");
  await page.getByText("No matches.").waitFor();
  deliver = await failing();
  await press("Refresh");
  await state.getByText("failing").waitFor();
  await press("All");
  await state.getByText("failing").waitFor();
  await deliver();
  await press("Failing");
  await page.getByText("No matches.").waitFor();

  deliver = await failing();
  await page.goto(`${origin}/portal?app=${customer}#/messages`);
  await state.getByText("failing").waitFor();
  await page.getByRole("link", { name: "Endpoints", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Endpoints" }).waitFor();
  await deliver();
  await page.getByRole("link", { name: "Deliveries" }).click();
  await state.getByText("delivered").waitFor();

  const down = (await api("POST", `${path}/endpoint`, { url: hooks, description: "Down", eventTypes: ["order.paid"], retrySchedule: [3_600] })).answer.id;
  const publish = () => api("POST", `${path}/msg`, { eventType: "order.paid", payload: {} });
  moody(500);
  await publish();
  await until("it is known to fail", async () => (await api("GET", `${path}/health`)).answer.data.some((one) => one.endpointId === down && one.state === "failing"));
  await page.goto(`${origin}/portal?app=${customer}#/endpoints/${down}`);
  await page.locator(".banner.bad").waitFor();
  moody(200);
  await publish();
  await page.getByRole("button", { name: /new$/ }).click();
  await state.getByText("delivered").waitFor();
  await page.locator(".banner.bad").waitFor({ state: "detached" });
  await api("DELETE", `${path}/endpoint/${down}`);
  done("a filtered list is asked for again by a button, one that a link leads to is new, and what stands above one changes with it");
}

/** An action that is done, of which the page cannot be read again; and one at what is there no more. */
async function reread({ api, customer, done, endpoint, fit, hooks, open, origin, shoot, until }, page) {
  const path = `/app/${customer}/endpoint`;
  const press = (name, place = page) => place.getByRole("button", { name, exact: true }).click();
  const old = page.getByRole("alert").filter({ hasText: "What is shown may be old. Ask again in a moment." });
  await open(`/endpoints/${endpoint}`);
  await page.getByRole("button", { name: "Disable", exact: true }).waitFor();
  const overview = (url) => url.pathname.endsWith("/overview");
  await page.route(overview, (route) => route.fulfill(BUSY));
  await press("Disable");
  await old.waitFor();
  assert.equal((await api("GET", `${path}/${endpoint}`)).answer.disabled, true);
  await fit(page, "an endpoint that may be old");
  await shoot(page, "old");
  await page.unroute(overview);
  await press("Try again");
  await press("Enable");
  await page.getByRole("button", { name: "Disable", exact: true }).waitFor();
  assert.equal(await old.count(), 0);

  await page.getByRole("link", { name: "Settings", exact: true }).click();
  const headers = (url) => url.pathname.endsWith("/headers");
  await page.getByText("No headers of your own").waitFor();
  await page.route(headers, (route) => (route.request().method() === "GET" ? route.fulfill(BUSY) : route.continue()));
  await page.getByLabel("Header name").fill("x-shop");
  await press("Set header");
  await old.waitFor();
  await page.unroute(headers);
  await press("Try again");
  await page.locator("li", { hasText: "x-shop" }).waitFor();
  done("where a page cannot be read again after an action, it says that it may be old");

  const made = async (description) => (await api("POST", path, { url: hooks, description })).answer.id;
  const remove = (id) => api("DELETE", `${path}/${id}`);
  const [first, second] = [await made("First"), await made("Second")];
  await page.goto(`${origin}/portal?app=${customer}#/endpoints/${first}`);
  await page.getByRole("button", { name: "Disable", exact: true }).waitFor();
  await remove(first);
  await press("Disable");
  await page.getByRole("alert").filter({ hasText: "There is nothing here, or no longer." }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Disable", exact: true }).count(), 0);
  await page.getByRole("link", { name: "Deliveries" }).click();
  const choice = page.getByLabel("Endpoint", { exact: true });
  await choice.focus();
  await choice.locator("option", { hasText: "Second" }).waitFor({ state: "attached" });
  await page.goto(`${origin}/portal?app=${customer}#/endpoints/${second}/settings`);
  await page.getByRole("button", { name: "Delete endpoint" }).waitFor();
  await remove(second);
  await press("Delete endpoint");
  await press("Delete", page.getByRole("dialog"));
  await page.getByRole("heading", { level: 1, name: "Endpoints" }).waitFor();
  await page.getByRole("link", { name: "Deliveries" }).click();
  await choice.focus();
  await until("the filter is read again", async () => await choice.locator("option").count() === 2);
  done("an endpoint that somebody else deleted is gone for whoever looks at it, and from the filter");
}

/** What goes on in the background is asked for until it is known. */
async function followed({ api, customer, done, endpoint, hooks, moody, open, origin, until }, page) {
  /** The first answers to this are those of a busy server. */
  const busy = async (part, times) => {
    let asked = 0;
    await page.route((url) => url.pathname.includes(part), (route) => {
      asked += 1;
      return asked <= times ? route.fulfill(BUSY) : route.continue();
    });
    return () => asked > times;
  };
  moody(500);
  const down = (await api("POST", `/app/${customer}/endpoint`, { url: hooks, description: "Down", eventTypes: ["order.paid"], retrySchedule: [3_600] })).answer.id;
  await api("POST", `/app/${customer}/msg`, { eventType: "order.paid", payload: {} });
  await until("it waits", async () => (await api("GET", `/app/${customer}/health`)).answer.data.some((one) => one.endpointId === down && one.waiting === 1));
  await open(`/endpoints/${down}`);
  await page.getByRole("button", { name: /Retry waiting now/ }).click();
  moody(200);
  const known = await busy("/background-task/", 1);
  await page.getByRole("dialog").getByRole("button", { name: "Retry now" }).click();
  await page.locator(".progress").filter({ hasText: "no connection" }).waitFor();
  await page.getByText("Task finished").waitFor();
  await page.locator(".banner.bad").waitFor({ state: "detached" });
  assert.ok(known());
  await api("DELETE", `/app/${customer}/endpoint/${down}`);

  await page.goto(`${origin}/portal?app=${customer}#/endpoints/${endpoint}/test`);
  await busy("/attempt/msg/", 1);
  await page.getByRole("button", { name: "Send example" }).click();
  await page.locator(".result").getByText("delivered").waitFor();
  await page.unrouteAll();
  done("a task is followed, and an example's delivery waited for, although a look at it fails");
}

/** Of several endpoints those are followed whose retry began, and what the others say is told. */
async function partly({ api, customer, done, hooks, moody, open, until }, page) {
  moody(500);
  const made = [];
  for (const description of ["Fails first", "Fails second"]) made.push((await api("POST", `/app/${customer}/endpoint`, { url: hooks, description, eventTypes: ["order.paid"], retrySchedule: [3_600] })).answer.id);
  await api("POST", `/app/${customer}/msg`, { eventType: "order.paid", payload: {} });
  await until("both wait", async () => (await api("GET", `/app/${customer}/health`)).answer.data.filter((one) => made.includes(one.endpointId) && one.waiting === 1).length === 2);
  await open("/endpoints");
  const replays = (url) => url.pathname.endsWith(`${made[0]}/bulk-replay`);
  await page.route(replays, (route) => route.fulfill(BUSY));
  await page.getByRole("button", { name: "Retry waiting now" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Retry now" }).click();
  await page.locator(".progress").filter({ hasText: "Fails second: Task finished" }).waitFor();
  await page.locator("#notice").filter({ hasText: "Ask again in a moment." }).waitFor();
  await page.unroute(replays);
  for (const id of made) await api("DELETE", `/app/${customer}/endpoint/${id}`);
  done("of several retries those that began are followed, and what the others say is told");
}

/** What is chosen and breaks off goes on with the rest; what is not shown any more is not sent. */
async function chosen({ api, customer, done, endpoint, moody, open, until }, page) {
  moody(200);
  for (let n = 0; n < 4; n += 1) await api("POST", `/app/${customer}/msg`, { eventType: "order.paid", payload: {} });
  await until("all are delivered", async () => (await api("GET", `/app/${customer}/delivery?limit=4`)).answer.data.every((one) => one.state === "delivered"));
  await open(`/endpoints/${endpoint}`);
  const boxes = page.locator("td.pick input");
  for (let n = 0; n < 4; n += 1) await boxes.nth(n).check();
  const sent = [];
  let asked = 0;
  const resends = (url) => url.pathname.endsWith("/resend");
  await page.route(resends, (route) => {
    asked += 1;
    if (asked === 3) return route.fulfill({ ...BUSY, status: 429 });
    sent.push(new URL(route.request().url()).pathname.split("/").at(-4));
    return route.continue();
  });
  const press = (n) => page.getByRole("button", { name: `Retry selected (${n})` }).click();
  await press(4);
  await page.locator("#notice").filter({ hasText: "2 deliveries are sent again. Ask again in a moment." }).waitFor();
  await press(2);
  await page.locator("#notice").filter({ hasText: /^2 deliveries are sent again$/ }).waitFor();
  assert.deepEqual([sent.length, new Set(sent).size], [4, 4], "each is sent again once");
  await page.unroute(resends);
  await boxes.first().check();
  await page.getByRole("button", { name: "Waiting", exact: true }).click();
  await page.getByText("No matches.").waitFor();
  assert.equal(await page.getByRole("button", { name: /Retry selected/ }).count(), 0);
  done("what is sent again and breaks off goes on where it was, and only with what is shown");
}

/** A visit begins as soon as it can, and says why not until then. */
async function begun({ api, customer, done, fit, operator, origin, shoot, visitor }, page) {
  const heading = (name) => other.getByRole("heading", { level: 1, name, exact: true }).waitFor();
  const again = () => other.getByRole("button", { name: "Try again" }).click();
  const link = async (more) => (await api("POST", `/auth/app-portal-access/${customer}`, more)).answer.url;
  let other = await visitor(page);
  const redeems = (url) => url.pathname.endsWith("/auth/one-time-token");
  await other.route(redeems, (route) => route.fulfill(BUSY));
  await other.goto(await link({ oneTime: true }));
  await heading("This page could not be opened");
  await other.getByText("Ask again in a moment.").waitFor();
  await fit(other, "a link that does not open yet");
  await shoot(other, "unopened");
  await other.unroute(redeems);
  await other.route(redeems, (route) => route.abort());
  await again();
  await other.getByText("The server cannot be reached.").waitFor();
  await other.unroute(redeems);
  await again();
  await heading("Endpoints");
  assert.ok(!other.url().includes("code="), other.url());
  await other.context().close();
  done("a link that opens once opens as soon as the server takes it");

  other = await visitor(page);
  const portal = (url) => url.pathname.endsWith("/portal") && url.pathname.startsWith("/api/");
  await other.route(portal, (route) => route.fulfill(BUSY));
  await other.goto(await link({}));
  await heading("Endpoints");
  assert.equal(await other.locator("#application").textContent(), "");
  await other.unroute(portal);
  await other.locator("#application").filter({ hasText: "Troubled" }).waitFor();
  assert.equal(await other.title(), "Endpoints · Troubled: webhooks");
  await other.context().close();

  other = await visitor(page);
  const scripts = (url) => /^\/portal\/\w+\.js$/.test(url.pathname);
  let asked = 0;
  await other.route(scripts, (route) => {
    asked += 1;
    return asked === 1 ? route.fallback() : route.abort();
  });
  await other.goto(`${await link({})}&lang=de`);
  await heading("Endpoints");
  asked = 0;
  await other.goto(`${origin}/console#key=${operator}`);
  await heading("This page could not be opened");
  await other.unroute(scripts);
  await again();
  await heading("Today");
  await other.context().close();
  done("without its German the portal is English, without its name it goes on and asks for it, and the console opens when its script comes");
}

/** Whoever logs out is told whether it is so. */
async function ended({ api, customer, done, open, shoot }, page) {
  await open("/endpoints");
  const token = await page.evaluate((name) => JSON.parse(sessionStorage.getItem(name)).token, `posthorn:${customer}`);
  const works = async () => (await api("GET", `/app/${customer}`, undefined, token)).status === 200;
  const press = () => page.getByRole("button", { name: "Log out" }).click();
  const logout = (url) => url.pathname.endsWith("/auth/logout");
  await page.route(logout, (route) => route.fulfill(BUSY));
  await press();
  await page.locator("#notice").filter({ hasText: "You are still logged in. Ask again in a moment." }).waitFor();
  assert.ok(await works());
  await page.unroute(logout);
  await press();
  await page.getByRole("heading", { level: 1, name: "You are logged out" }).waitFor();
  await shoot(page, "logged-out");
  assert.ok(!await works());
  done("who logs out is told that it is so, and that it is not while the server is busy");
}
