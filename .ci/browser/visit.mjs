// A customer's visit to the portal, from the link to logging out. Arguments: the link, an
// operator's token, the browser's program and, if they are wanted, a directory for pictures.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { busy } from "./busy.mjs";
import { shared } from "./console.mjs";
import { english, mark } from "./german.mjs";
import { large, looks as seldom, many, narrow, opened, renewed } from "./lists.mjs";
import { changes } from "./operator.mjs";
import { troubles } from "./trouble.mjs";

const [link, operator, program, pictures] = process.argv.slice(2);
const origin = new URL(link).origin;
const app = JSON.parse(atob(link.split("#key=")[1].split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).sub;
const WAIT_MS = 15_000;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** What a hostile endpoint would like to see run. */
const HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";

/** The customer's server: what it was sent, and what it answers. */
const received = [];
let mood = 200;
/** A page of the customer's that shows the portal in a frame, and what it was told. */
let framed = "";
const server = createServer((request, response) => {
  if (request.url === "/frame") {
    const script = "<script>addEventListener('message', (event) => { (window.told ??= []).push(event.data); });</script>";
    response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html>${script}<iframe src="${framed}" style="width:700px;height:500px"></iframe>`);
    return;
  }
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    received.push({ path: request.url, headers: request.headers, body });
    response.writeHead(mood, { "content-type": "text/html", "x-why": HOSTILE, "set-cookie": "sid=s3cret" }).end(HOSTILE);
  });
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const hooks = `http://127.0.0.1:${server.address().port}/hooks`;

async function api(method, path, body, token = operator) {
  const response = await fetch(`${origin}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, answer: text ? JSON.parse(text) : null };
}

async function until(claim, holds) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const found = await holds();
    if (found) return found;
    assert.ok(Date.now() < end, `not within ${WAIT_MS} ms: ${claim}`);
    await new Promise((later) => setTimeout(later, 50));
  }
}

/** Requests of a page that are on their way, and when the last one came or went. */
const asking = new Map();

let chapters = 0;
function done(claim) {
  chapters += 1;
  console.log(`${String(chapters).padStart(2)}. ${claim}`);
}

const schema = { type: "object", examples: [{ order: "1001", note: HOSTILE }] };
for (const [name, schemas] of [["order.paid", { 1: schema }], ["order.failed", undefined]]) {
  const made = await api("POST", "/event-type", { name, description: `About ${name}`, schemas });
  assert.equal(made.status, 201, JSON.stringify(made.answer));
}
const other = (await api("POST", "/app", { name: "Somebody else" })).answer.id;
await api("POST", `/app/${other}/endpoint`, { url: "https://somebody.example.com/else" });
await api("PATCH", `/app/${app}`, { name: `Shop ${HOSTILE}` });

const browser = await chromium.launch({
  executablePath: program,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
});
try {
  const context = await browser.newContext({ viewport: { width: 1000, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  watch(page);
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
  // What the API refuses on purpose is an error in the browser's log, too.
  page.on("console", (line) => line.type() === "error" && !/status of (4\d\d|503)|net::ERR_FAILED/.test(line.text()) && wrong.push(line.text()));
  const refused = [];
  page.on("response", async (response) => response.status() >= 400 && refused.push(`${response.status()} ${response.url()} ${response.request().postData() ?? ""} ${(await response.text().catch(() => "")).slice(0, 200)}`));
  page.on("request", (request) => new URL(request.url()).origin === origin || wrong.push(`asked ${request.url()}`));
  await visit(page).then(() => systems(page)).then(() => operate(page)).catch(async (error) => {
    console.log(`on ${page.url().split("key=")[0]}: ${wrong.join("; ") || "no errors"}`);
    console.log(`refused: ${refused.slice(-3).join("; ")}`);
    console.log(await page.locator("body").innerText());
    throw error;
  });
  assert.deepEqual(wrong, [], "nothing went wrong in the browser");
  assert.notEqual(await page.title(), "taken");
  done("no script failed or was blocked, and no other host was asked");
} finally {
  await browser.close();
  server.close();
}
assert.ok(chapters >= 40, `only ${chapters} chapters`);

async function visit(page) {
  const heading = (name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
  const press = (name, place = page) => place.getByRole("button", { name, exact: true }).click();
  const picture = async (name) => {
    await fit(page, name);
    await shoot(page, name);
  };
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");

  await page.goto(link);
  await heading("Endpoints");
  assert.ok(!page.url().includes("key="), page.url());
  await page.getByText("There is no endpoint yet").waitFor();
  assert.equal(await page.locator("#application").textContent(), `Shop ${HOSTILE}`);
  await page.getByRole("button", { name: "Python", exact: true }).waitFor();
  await picture("first-visit");
  done("the link opens the portal, its token is out of the address, and three steps lead on");

  const scripts = (url) => url.pathname.startsWith("/portal/");
  await page.route(scripts, (route) => route.abort());
  await page.getByRole("link", { name: "Add endpoint" }).first().click();
  await page.getByRole("alert").filter({ hasText: "This part of the page did not arrive." }).waitFor();
  await page.unroute(scripts);
  await press("Try again");
  await heading("Add endpoint");
  done("a part of the page that does not arrive says so, and is asked for again");
  await press("Add endpoint");
  await page.getByRole("alert").filter({ hasText: "Enter a URL" }).waitFor();
  await page.getByLabel("URL").fill("nonsense");
  await press("Add endpoint");
  await page.locator(".field", { hasText: "URL" }).getByRole("alert").filter({ hasText: "not a valid URL" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "url");
  done("what is wrong with a field is said beside it, and the field has the focus");

  await page.getByLabel("URL").fill(hooks);
  await page.getByLabel("Name", { exact: false }).first().fill("Our <b>orders</b>");
  await page.getByLabel("All events").uncheck();
  await press("Add endpoint");
  await page.getByText("Choose an event type").waitFor();
  const group = page.locator("fieldset.types", { hasText: "order" });
  await group.locator("legend input").check();
  assert.equal(await page.getByText("Choose an event type").count(), 0, "what is mended is not said any more");
  assert.ok(await page.getByRole("checkbox", { name: "order.failed" }).isChecked(), "a group is chosen as a whole");
  await page.getByRole("checkbox", { name: "order.failed" }).uncheck();
  assert.ok(await group.locator("legend input").evaluate((box) => box.indeterminate), "and in part");
  await page.getByLabel("Search event types").fill("paid");
  assert.equal(await page.getByRole("checkbox", { name: "order.failed" }).count(), 0);
  await page.getByLabel("Schema of order.paid").click();
  await page.locator(".beside").getByText("1001").first().waitFor();
  await picture("new-endpoint");
  await page.locator("summary", { hasText: "Advanced" }).click();
  await page.getByLabel("Headers").fill("nonsense");
  await press("Add endpoint");
  await page.locator(".field", { hasText: "Headers" }).getByRole("alert").filter({ hasText: "one a line" }).waitFor();
  await page.getByLabel("Headers").fill("content-type: text/plain\nx-team: payments: all");
  await press("Add endpoint");
  await page.locator(".field", { hasText: "Headers" }).getByRole("alert").filter({ hasText: "content-type is set by" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "headers");
  await picture("new-endpoint-advanced");
  await page.getByLabel("Headers").fill("x-team: payments: all");
  const slowly = await hold(page, "POST", "/endpoint");
  await page.getByRole("button", { name: "Add endpoint", exact: true }).dblclick({ force: true });
  await page.getByLabel("URL").press("Enter");
  await page.locator("form[aria-busy] button[aria-disabled]").waitFor();
  slowly.release();
  await heading("Our <b>orders</b>");
  assert.equal(slowly.asked, 1, "a form that was sent three times asks once");
  const made = (await api("GET", `/app/${app}/endpoint`)).answer.data;
  assert.deepEqual(made.map((one) => [one.url, one.eventTypes, one.description]), [[hooks, ["order.paid"], "Our <b>orders</b>"]]);
  const path = `/app/${app}/endpoint/${made[0].id}`;
  assert.deepEqual((await api("GET", `${path}/headers`)).answer, { headers: { "x-team": "payments: all" }, sensitive: [] });
  done("an endpoint is added with a header, for the event types that were chosen by group and search");

  await page.getByLabel("Payload").fill("no json");
  await press("Send example");
  await page.locator("#notice").filter({ hasText: "no JSON" }).waitFor();
  await page.getByLabel("Payload").fill('{"order":"changed"}');
  await press("Send example");
  const sent = await until("the example arrives", () => received[0]);
  assert.deepEqual(JSON.parse(sent.body), { order: "changed" });
  assert.match(sent.headers["svix-signature"] ?? sent.headers["webhook-signature"], /v1,/);
  await page.locator(".result").getByText("delivered").waitFor();
  done("an example is sent with a payload of one's own, and its delivery shows up by itself");
  await press("Check the receiver");
  await page.locator("tr", { hasText: "wrong signature" }).getByText("not good").waitFor();
  await page.locator("tr", { hasText: "A well-made event" }).getByText("good", { exact: true }).waitFor();
  done("a check tells that this endpoint does not look at signatures");
  await picture("test");

  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await press("Show");
  const key = async () => (await api("GET", `${path}/secret`)).answer.key;
  assert.equal(await page.locator("output.secret").filter({ hasText: "whsec_" }).textContent(), await key());
  assert.equal(await page.locator("pre", { hasText: await key() }).count(), 0);
  await press("Fill in the secret");
  await page.locator("pre", { hasText: await key() }).first().waitFor();
  await press("C#");
  await page.locator("pre", { hasText: "HMACSHA256" }).waitFor();
  const old = await key();
  await press("Rotate");
  assert.equal(await focused(), "Cancel", "what destroys never has the focus first");
  await press("Cancel", page.getByRole("dialog"));
  assert.equal(await focused(), "Rotate", "the focus is back where it was");
  assert.equal(await key(), old);
  await press("Rotate");
  await press("Rotate", page.getByRole("dialog"));
  await until("there is a new secret", async () => (await key()) !== old);
  await page.locator("output").filter({ hasText: await key() }).waitFor();
  done("the secret is shown and stands in the code of each language; it is rotated after a yes");

  await page.getByLabel("Header name").fill("x-shop");
  await page.getByLabel("Header value").fill("<i>7</i>");
  await press("Set header");
  await page.locator("li", { hasText: "x-shop" }).getByText("<i>7</i>").waitFor();
  await picture("settings");
  for (const name of ["x-shop", "x-team"]) {
    await press("Remove", page.locator("li", { hasText: name }));
    await page.getByRole("dialog").getByText(`Remove ${name}?`).waitFor();
    await press("Remove", page.getByRole("dialog"));
    await page.locator("li", { hasText: name }).waitFor({ state: "detached" });
  }
  await page.getByText("No headers of your own").waitFor();
  done("headers are set, and removed after a yes");

  await page.goto(`${origin}/portal?app=${app}#/endpoints/${made[0].id}/edit`);
  await heading("Edit endpoint");
  const name = (await api("GET", path)).answer.description;
  await api("PATCH", path, { description: `${name}, renamed elsewhere` });
  await page.locator("summary", { hasText: "Advanced" }).click();
  await page.getByLabel("Rate limit").fill("1.5");
  await press("Save");
  await page.getByText("Enter a whole number, at least 1").waitFor();
  await page.getByLabel("Rate limit").fill("500");
  await press("Save");
  await page.getByText("500 a second").waitFor();
  assert.equal((await api("GET", path)).answer.description, `${name}, renamed elsewhere`);
  await api("PATCH", path, { description: name, throttleRate: null });
  await page.goto(`${origin}/portal?app=${app}#/endpoints`);
  await heading("Endpoints");
  // Slower than the search begins, faster than it is drawn.
  await page.getByRole("searchbox").pressSequentially("our orders", { delay: 205 });
  assert.equal(await page.getByRole("searchbox").inputValue(), "our orders");
  await page.getByRole("searchbox").fill("");
  done("what another tab changed stays, and no letter of a search is lost");
  received.length = 1;

  mood = 500;
  const event = { eventType: "order.paid", payload: { order: "1002", note: HOSTILE } };
  const published = (await api("POST", `/app/${app}/msg`, { ...event, tags: ["eu"] })).answer.id;
  await until("the message is tried", () => received.length > 1);
  await until("the failure is on record", async () => (await api("GET", `/app/${app}/attempt/msg/${published}`)).answer.data.length > 0);
  await page.getByRole("link", { name: "Endpoints", exact: true }).click();
  await heading("Endpoints");
  await page.getByRole("link", { name: "Our <b>orders</b>" }).first().waitFor();
  await page.locator("tr", { hasText: "Our <b>orders</b>" }).waitFor();
  await page.getByRole("link", { name: "Deliveries" }).click();
  await heading("Deliveries");
  await press("Failing");
  assert.match(page.url(), /state=failing/);
  const row = page.locator("tr", { hasText: "order.paid" });
  await row.getByText("1 of 8").waitFor();
  await row.getByText("HTTP 500").waitFor();
  await page.getByLabel("Event type").focus();
  await page.getByLabel("Event type").selectOption("order.failed");
  await page.getByText("No matches.").waitFor();
  await page.getByLabel("Event type").selectOption("order.paid");
  await row.waitFor();
  assert.match(page.url(), /type=order.paid/);
  await picture("deliveries");
  done("deliveries have a state, and filters that stand in the address");

  // In a field the keys are letters.
  await page.locator("h1").click();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await heading("order.paid");
  await page.goBack();
  await row.waitFor();
  assert.match(page.url(), /state=failing/);
  assert.equal(await page.getByLabel("Event type").inputValue(), "order.paid");
  await page.keyboard.press("/");
  await page.keyboard.type(published);
  await page.keyboard.press("Enter");
  await heading("order.paid");
  done("keys lead from row to row and to the search, and Back leads to the list as it was");

  await page.getByText("failing, will retry").waitFor();
  await page.getByText("The receiver failed while it worked on the event.").first().waitFor();
  await page.locator("summary", { hasText: "Why" }).click();
  await page.getByText("The endpoint takes the event type order.paid.").waitFor();
  await page.locator(".timeline summary", { hasText: "HTTP 500" }).click();
  await page.locator(".timeline pre").filter({ hasText: HOSTILE }).first().waitFor();
  const kept = await page.locator(".timeline pre").filter({ hasText: "content-type: text/html" }).textContent();
  assert.ok(kept.includes(`x-why: ${HOSTILE}`) && !kept.includes("s3cret"), kept);
  await page.locator(".timeline pre").filter({ hasText: `webhook-id: ${published}` }).waitFor();
  const payload = page.locator("section", { hasText: "Payload" }).locator("pre").last();
  assert.deepEqual(JSON.parse(await payload.textContent()), event.payload);
  done("a message says why it went there, with its request and answer as text, whatever they say");
  await picture("message");

  mood = 204;
  await press("Send again");
  await page.locator(".timeline summary", { hasText: "HTTP 204" }).waitFor();
  assert.ok(await page.locator(".timeline details", { hasText: "HTTP 500" }).first().evaluate((one) => one.open), "what was opened stays open");
  await page.locator(".place .bar").getByText("delivered").waitFor();
  done("a message is sent again by hand, its success shows up by itself, and nothing closes");

  mood = 500;
  const missed = (await api("POST", `/app/${app}/msg`, { ...event, eventId: "order-1003" })).answer.id;
  await until("that fails", async () =>
    (await api("GET", `/app/${app}/attempt/msg/${missed}`)).answer.data.some((one) => one.status === 2));
  mood = 200;
  await page.goto(`${origin}/portal?app=${app}#/endpoints/${made[0].id}`);
  await heading("Our <b>orders</b>");
  await page.getByRole("button", { name: /Retry waiting now/ }).click();
  await page.getByRole("dialog").getByText(/1 message waits/).waitFor();
  await press("Retry now", page.getByRole("dialog"));
  await page.getByText("Task finished").waitFor();
  await until("that arrives", async () =>
    (await api("GET", `/app/${app}/attempt/msg/${missed}`)).answer.data.some((one) => one.status === 0));
  done("what waits is retried at once, with its number first and its task after");
  await press("Replay missing");
  await page.locator("#notice").filter({ hasText: "Nothing is missing." }).waitFor();
  await press("Recover failed");
  await page.locator("#notice").filter({ hasText: "Nothing failed for good." }).waitFor();
  await page.evaluate(() => { location.hash = "#/endpoints"; });
  // By itself it would go after five seconds.
  await page.waitForFunction(() => document.getElementById("notice")?.textContent === "", undefined, { timeout: 2_500 });
  await page.goBack();
  await heading("Our <b>orders</b>");
  // What is published here is too young to be missing, so the answer is made up.
  const counted = (url) => url.pathname.endsWith("/missing");
  await page.route(counted, (route) => route.fulfill({ json: { missing: 12, lookedAt: 500, complete: false, since: new Date().toISOString() } }));
  await press("Replay missing");
  await page.getByRole("dialog").getByText("12+ messages that this endpoint wants were never sent to it.").waitFor();
  await page.getByRole("dialog").getByText("Counted among the latest 500").waitFor();
  await shoot(page, "dialog");
  await press("Cancel", page.getByRole("dialog"));
  await page.unroute(counted);
  done("what is missing is counted before it is sent");
  await picture("endpoint");

  const [tab] = await Promise.all([
    page.context().waitForEvent("page"),
    page.getByRole("link", { name: "Event types" }).click({ modifiers: ["Control"] }),
  ]);
  await tab.getByRole("heading", { level: 1, name: "Event types" }).waitFor();
  await tab.close();
  done("a link opens in another tab");

  await press("Disable");
  await page.getByText("Its owner disabled it.").waitFor();
  assert.equal(await focused(), "Enable", "the button keeps the focus");
  assert.equal((await api("GET", path)).answer.disabled, true);
  await page.getByText("Enable it to send again what it did not get.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Recover failed" }).count(), 0, "it would be refused");
  await press("Enable");
  await page.getByRole("button", { name: "Disable", exact: true }).waitFor();
  assert.equal((await api("GET", path)).answer.disabled, false);
  done("an endpoint is disabled and enabled, and says by whom");

  await page.getByRole("link", { name: "Edit" }).click();
  await heading("Edit endpoint");
  assert.ok(await page.getByRole("checkbox", { name: "order.paid" }).isChecked());
  await page.getByLabel("All events").check();
  await page.locator("summary", { hasText: "Advanced" }).click();
  await page.getByLabel("Rate limit").fill("50");
  await page.getByLabel("Retry schedule").fill("5s, 1m, 2h");
  await press("Save");
  await page.getByText("5s, 1m, 2h").waitFor();
  const saved = (await api("GET", path)).answer;
  assert.deepEqual([saved.eventTypes, saved.throttleRate, saved.retrySchedule], [null, 50, [5, 60, 7200]]);
  done("an endpoint is changed: all events, a rate and a retry schedule");
  await search(page, picture);

  await page.getByRole("link", { name: "Event types" }).click();
  await heading("Event types");
  await page.locator("summary", { hasText: "order.paid" }).click();
  await page.locator("details[open] pre").first().filter({ hasText: "1001" }).waitFor();
  done("event types are shown with their examples and schemas");
  await picture("events");

  await page.reload();
  await heading("Event types");
  await looks(page);
  await page.goto(`${origin}/portal?app=${app}#/endpoints/${made[0].id}/settings`);
  await press("Delete endpoint");
  await press("Delete", page.getByRole("dialog"));
  await page.getByText("There is no endpoint yet").waitFor();
  assert.ok(!(await page.content()).includes("somebody.example.com"));
  assert.equal((await api("GET", path)).status, 404);
  done("an endpoint is deleted after a yes; nothing of another customer's is seen");

  const token = await page.evaluate((name) => JSON.parse(localStorage.getItem(name)).token, `posthorn:${app}`);
  await press("Log out");
  await heading("You are logged out");
  await picture("logged-out");
  assert.equal((await api("GET", `/app/${app}`, undefined, token)).status, 401);
  await page.goto(link);
  await page.reload();
  await heading("Link expired");
  await picture("expired");
  assert.equal(await page.getByRole("navigation").count(), 0);
  done("after logging out the link and its token open nothing");

  await page.goto(`${origin}/portal`);
  await heading("This page opens with a link");
  await picture("unlinked");
  await page.goto(`${origin}/console`);
  await heading("This page opens with a link");
  assert.equal(await page.getByRole("navigation").count(), 0);
  done("whoever never had a link is told what the page is, and where its link is");
}

/** A customer finds messages by what is in them. */
async function search(page, picture) {
  const none = { eventType: "order.failed", payload: {} };
  const many = Array.from({ length: 35 }, (_, n) => ({ ...none, eventId: `many-${n}` }));
  assert.equal((await api("POST", `/app/${app}/msg/batch`, { messages: many })).status, 202);
  await page.getByRole("link", { name: "Deliveries" }).first().click();
  await page.locator("tr[data-row]").first().waitFor();
  const type = async (text) => {
    await page.keyboard.press("/");
    await page.getByLabel("Search messages").press("Control+a");
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  };
  await type("ORDER-10");
  await page.getByRole("status").filter({ hasText: /^1 found$/ }).waitFor();
  assert.match(page.url(), /q=ORDER-10/);
  await picture("search");
  await page.getByLabel("Search messages").press("Tab");
  await page.locator("h1").click();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.locator("dd code", { hasText: "order-1003" }).waitFor();
  await page.goBack();
  await page.getByRole("status").filter({ hasText: /^1 found$/ }).waitFor();
  assert.equal(await page.getByLabel("Search messages").inputValue(), "ORDER-10");

  await type("many-");
  await page.getByRole("status").filter({ hasText: /^30\+ found$/ }).waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByRole("status").filter({ hasText: /^35 found$/ }).waitFor();
  await type('"1002"');
  await page.getByText('No message has "1002" in its event id, event type, tags or channels.').waitFor();
  await picture("search-none");
  await page.getByLabel("Search payloads too").check();
  await page.getByRole("status").filter({ hasText: /^2 found$/ }).waitFor();

  const asked = (url) => url.pathname.endsWith("/delivery") && url.searchParams.has("q");
  await page.route(asked, (route) => route.fulfill({ status: 503, json: { code: "unavailable", detail: "Ask again in a moment." } }));
  await type("MANY-3");
  await page.getByRole("alert").filter({ hasText: "Ask again in a moment." }).waitFor();
  await picture("search-error");
  await page.unroute(asked);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("status").filter({ hasText: /^6 found$/ }).waitFor();
  await page.keyboard.press("/");
  await page.getByLabel("Search messages").fill("");
  await page.getByRole("button", { name: "Failing" }).waitFor();
  assert.ok(!page.url().includes("q="), page.url());
  done("messages are found by their names and payloads, page by page; none and an error are told, and an empty field ends it");
}

/** Visitors with fewer rights, another language, the operator's look, a frame. */
async function looks(page) {
  const access = async (body) => (await api("POST", `/auth/app-portal-access/${app}`, body)).answer.url;
  const fresh = async (url) => {
    const context = await page.context().browser().newContext({ viewport: { width: 1000, height: 900 }, colorScheme: "dark" });
    const other = await context.newPage();
    other.setDefaultTimeout(WAIT_MS);
    await other.goto(url);
    return other;
  };
  const readOnly = await fresh(await access({ readOnly: true }));
  await readOnly.getByRole("heading", { level: 1, name: "Endpoints" }).waitFor();
  await readOnly.locator(".name a").first().click();
  await readOnly.getByRole("link", { name: "Settings", exact: true }).click();
  await readOnly.getByText("This link does not show it.").waitFor();
  for (const name of ["Edit", "Disable", "Rotate", "Delete endpoint", "Set header", "Add endpoint"]) {
    assert.equal(await readOnly.getByText(name, { exact: true }).count(), 0, name);
  }
  await readOnly.context().close();
  done("a visitor who may only look is offered nothing else");

  const put = await api("PUT", "/operator/portal", { accent: "#7a1f5c", theme: "light", frameAncestors: [hooks.slice(0, hooks.lastIndexOf("/")).replace("127.0.0.1", "localhost")] });
  assert.equal(put.status, 200, JSON.stringify(put.answer));
  const german = await fresh(`${await access({})}&lang=de&theme=dark&next=/messages`);
  await german.getByRole("heading", { level: 1, name: "Zustellungen" }).waitFor();
  assert.equal(await german.locator("html").getAttribute("lang"), "de");
  assert.equal(await german.locator("html").getAttribute("data-theme"), "dark");
  assert.equal(await german.evaluate(() => document.documentElement.style.getPropertyValue("--fill")), "#7a1f5c");
  await german.context().close();
  done("a link may name a page, a language and a theme; the operator's accent holds");

  framed = `${await access({})}&chrome=none`;
  const around = await fresh(hooks.replace("127.0.0.1", "localhost").replace("/hooks", "/frame"));
  const frame = around.frameLocator("iframe");
  await frame.getByRole("heading", { level: 1, name: "Endpoints" }).waitFor();
  assert.equal(await frame.locator("html").getAttribute("data-theme"), "light", "the operator's theme, not the system's");
  assert.equal(await frame.getByText("Log out").count(), 0);
  await frame.locator(".name a").first().click();
  await frame.getByRole("link", { name: "Settings", exact: true }).click();
  await frame.getByRole("button", { name: "Copy", exact: true }).first().click();
  await frame.locator("#notice").filter({ hasText: "Copied" }).waitFor();
  await until("the page around hears how high it is", () => around.evaluate(() => window.told?.some((one) => one.height > 100)));
  await around.context().close();
  done("a frame of a page that the operator named shows the portal, copies, and tells its height");
}

/** The operator in the console: what fails, whose it is, and what is set up there. */
async function operate(page) {
  const heading = (name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
  const press = (name, place = page) => place.getByRole("button", { name, exact: true }).click();
  const go = async (to, name) => {
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: to, exact: true }).click();
    await heading(name ?? to);
    await settled(page);
    await fit(page, `console ${to}`);
    await shoot(page, `console-${to.toLowerCase().replace(" ", "-")}`);
  };

  const { id } = (await api("POST", "/app", { name: `Failing ${HOSTILE}`, uid: "failing" })).answer;
  const made = (await api("POST", `/app/${id}/endpoint`, { url: hooks, description: "Down", retrySchedule: [1, 3_600] })).answer;
  mood = 503;
  const lost = (await api("POST", `/app/${id}/msg`, { eventType: "order.paid", payload: {} })).answer.id;
  await until("it fails twice", async () => (await api("GET", `/app/${id}/attempt/msg/${lost}`)).answer.data.length > 1);
  await until("it is known to fail", async () => (await api("GET", "/operator/failing")).answer.data.length > 0);
  await page.goto(`${origin}/console#key=${operator}`);
  await heading("Today");
  assert.ok(!page.url().includes("key="), page.url());
  const row = page.locator("tr", { hasText: "Down" });
  await row.getByText("HTTP 503").waitFor();
  await row.getByText("The receiver behind the endpoint's proxy is down or too slow.").waitFor();
  await settled(page);
  await fit(page, "console today");
  await shoot(page, "console-today");
  await page.getByRole("img", { name: /[1-9]\d* delivered, [1-9]\d* failed/ }).first().waitFor();
  await page.getByRole("img", { name: /until delivered: p50 [\d.,]+ m?s, p99/ }).waitFor();
  done("the console shows what fails, and whose it is, and the last hour minute by minute");
  // A deployed stack answers so to what only a platform on one machine has.
  const nowhere = await fetch(`${origin}/elsewhere/status`);
  await page.route((url) => url.pathname === "/local/status", async (route) => route.fulfill({ status: nowhere.status, body: "{}" }));
  await press("Refresh");
  await page.getByText("A deployed stack counts in CloudWatch").waitFor();
  await page.locator("pre", { hasText: "--namespace Posthorn --metric-name Delivered" }).waitFor();
  await fit(page, "console today, deployed");
  await shoot(page, "console-today-deployed");
  await page.unrouteAll();
  await press("Refresh");
  await page.getByRole("img", { name: /until delivered/ }).waitFor();
  done("where the last hour is not known, the console says how to ask for it");

  const [tab] = await Promise.all([page.context().waitForEvent("page"), press("Open as customer", row)]);
  await tab.getByText("Every attempt has failed since").waitFor();
  assert.equal(await tab.getByRole("button", { name: "Disable" }).count(), 0, "only to look");
  await tab.close();
  await page.keyboard.press("/");
  await page.keyboard.type("failing");
  await page.keyboard.press("Enter");
  await heading(`Failing ${HOSTILE}`);
  await page.getByText("Down").waitFor();
  const [found] = await Promise.all([
    page.context().waitForEvent("page"),
    page.getByLabel("Message id, customer's id or name").fill(lost).then(() => page.keyboard.press("Enter")),
  ]);
  await found.getByRole("heading", { level: 1, name: "order.paid" }).waitFor();
  await found.close();
  done("a customer's portal opens read only, and a search finds customers and messages");

  // A search goes on behind what is shown at first.
  const later = [];
  for (let number = 0; number < 120; number += 1) later.push((await api("POST", "/app", { name: `Later ${number}` })).answer.id);
  await page.goto(`${origin}/console#/apps?q=${encodeURIComponent("Failing")}`);
  await page.getByRole("link", { name: `Failing ${HOSTILE}` }).waitFor();
  for (const one of later) await api("DELETE", `/app/${one}`);
  done("a search of applications finds what is not shown yet");

  await page.goto(`${origin}/console#/kinds?do=import`);
  const only = { openapi: "3.1.0", webhooks: { "order.paid": { post: { description: "Paid" } } } };
  await page.getByLabel("Description, as YAML or JSON").fill(JSON.stringify(only));
  await page.getByLabel("Archive every event type that it does not have").check();
  await press("Preview");
  const gone = page.locator("section", { hasText: "What would be archived" });
  await gone.getByText("order.failed").waitFor();
  await press("Import");
  await page.getByRole("dialog").getByText(/Archive \d+ event types\?/).waitFor();
  await press("Cancel", page.getByRole("dialog"));
  assert.equal((await api("GET", "/event-type/order.failed")).answer.archived, false);
  done("an import names what it would archive, and asks");

  const kit = { api, app: id, done, fit, hooks, moody: (next) => { mood = next; }, operator, origin, settled, shoot, until, visitor };
  await opened(kit, page, id, made.id);
  await large(kit, page);
  await many(kit, page);
  await renewed(kit, page);
  await narrow(kit, page);
  await seldom(kit, page, made.id);
  await go("Applications");
  await page.locator("tr", { hasText: "Failing" }).getByRole("link").first().click();
  await page.getByRole("table", { name: "Deliveries" }).getByText("order.paid").waitFor();
  await fit(page, "console application");
  await shoot(page, "console-application");
  await page.getByLabel("Search messages").fill("paid");
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: /^1 found$/ }).waitFor();
  await page.getByLabel("Search messages").fill("nothing");
  await page.keyboard.press("Enter");
  await page.getByText("No message has nothing in its event id").waitFor();
  await page.getByLabel("Search payloads too").check();
  await page.getByText("No message has nothing in its payload").waitFor();
  await page.getByLabel("Search messages").fill("");
  await page.getByRole("table", { name: "Deliveries" }).getByText("order.paid").waitFor();
  done("the operator searches a customer's messages");
  await go("Event types");
  await page.getByRole("link", { name: "Import OpenAPI" }).click();
  await page.getByLabel("Description, as YAML or JSON").fill("openapi: 3.1.0\nwebhooks:\n  cart.left:\n    post:\n      description: Somebody left\n");
  await press("Preview");
  await page.getByText("Somebody left").waitFor();
  assert.equal((await api("GET", "/event-type/cart.left")).status, 404, "a preview changes nothing");
  await press("Import");
  await page.getByRole("link", { name: "cart.left" }).click();
  await page.getByLabel("Schema").fill("{");
  await page.getByText("The schema is not valid JSON").waitFor();
  await page.getByLabel("Schema").fill('{"type":"object","properties":{"cart":{"type":"string"}},"examples":[{"cart":"c1"}]}');
  await page.getByText("As customers see it").waitFor();
  await press("Save");
  await heading("Event types");
  assert.deepEqual(Object.keys((await api("GET", "/event-type/cart.left")).answer.schemas ?? {}), ["1"]);
  done("event types are imported after a preview, and edited with a check");

  const source = await fetch(`${origin}/ingest/api/v1/source`, {
    method: "POST",
    headers: { authorization: `Bearer ${operator}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "Hub", type: "github", app: "failing", config: { secret: "s" } }),
  }).then((response) => response.json());
  await go("Sources");
  const hub = page.locator("tr", { hasText: "Hub" });
  await hub.getByText("waiting for the first").waitFor();
  const unproved = { "x-hub-signature-256": `sha256=${"0".repeat(64)}`, "x-github-event": "push" };
  assert.equal((await fetch(`${origin}/in/${source.id}`, { method: "POST", headers: unproved, body: "{}" })).status, 401);
  await press("Refresh");
  await hub.getByText(/^at least 1 refused, last one/).waitFor();
  await hub.getByText("The proof does not fit. Compare the secret on both sides.").waitFor();
  await fit(page, "console Sources");
  await shoot(page, "console-sources");
  const body = JSON.stringify({ action: "opened" });
  const proved = { "x-hub-signature-256": `sha256=${createHmac("sha256", "s").update(body).digest("hex")}`, "x-github-event": "issues", "x-github-delivery": "delivery-1" };
  assert.equal((await fetch(`${origin}/in/${source.id}`, { method: "POST", headers: proved, body })).status, 202);
  await press("Refresh");
  await hub.getByText("verified", { exact: true }).waitFor();
  await hub.getByText(/^at least 1 refused, last one .*The proof does not fit/).waitFor();
  await fit(page, "console Sources, verified");
  done("the list of sources says of each whether it waits, what it took last, and what it refused and why");
  await hub.getByRole("link", { name: "Hub" }).click();
  await heading("Hub");
  const log = page.getByRole("table", { name: "What came in" });
  await log.locator("tr", { hasText: "refused" }).getByText("The proof does not fit.").waitFor();
  await log.locator("tr", { hasText: "taken" }).getByText("delivery-1").waitFor();
  await fit(page, "console source");
  await shoot(page, "console-source");
  const [message] = await Promise.all([page.context().waitForEvent("page"), press("Open as customer", log)]);
  await message.locator("dd code", { hasText: "delivery-1" }).waitFor();
  await message.close();
  done("a source's log has what became a message, and what was refused, with the reason");
  await go("Parked", "Parked records");
  await go("Tasks");
  await go("Settings");
  await page.getByLabel("Accent").fill("#ffff00");
  await press("Save");
  await page.getByRole("alert").filter({ hasText: "readable" }).waitFor();
  await page.getByLabel("Accent").fill("#2450c0");
  await press("Save");
  await page.locator("#notice").filter({ hasText: "Saved" }).waitFor();
  for (const name of ["API tokens", "Keys", "Operational webhooks", "Profiles", "Broadcast"]) {
    await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name }).click();
    await settled(page);
    await fit(page, `console ${name}`);
    await shoot(page, `console-settings-${name.toLowerCase().replace(" ", "-")}`);
  }
  await page.getByLabel("Event type").fill("order.paid");
  await page.getByLabel("Payload").fill('{"to":"all"}');
  await press("Broadcast …");
  await page.getByRole("dialog").getByText(/order.paid to \d+ applications/).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Cancel");
  await press("Broadcast", page.getByRole("dialog"));
  await page.getByText("Task finished").waitFor();
  done("the portal's look is checked, and a broadcast says its number first and its progress after");
  await changes({ ...kit, endpoint: made.id }, page);
  await shared(kit, page);
  await german(page, id, made.id, lost, source.id);
  await troubles(kit, page);
  await busy(kit, page);
}

/** Every page of both, in German: the customer `id` has an endpoint that fails, of which `lost` is a message. */
async function german(page, id, endpoint, lost, source) {
  const context = await page.context().browser().newContext({ viewport: { width: 1440, height: 900 } });
  const asked = await mark(context);
  const other = await context.newPage();
  other.setDefaultTimeout(WAIT_MS);
  watch(other);
  const known = ["endpoint.failing", "Branch ", "Large, too", "Large, soon well", "Large", "large", "issues", HOSTILE, "Failing ", "Down", "About ", "Somebody left", "Somebody else", "order.paid", "order.failed", "cart.left", "order", "cart", "Hub", "moneyhub", "dashx", "dotpe", "old", "Shop ", "shop", "failing", new URL(hooks).host, id];
  const found = [];
  const walk = async (place, at, paths) => {
    for (const path of paths) {
      await other.goto(`${origin}/${at}#${path}`);
      await settled(other);
      found.push(...await english(other, `${place} ${path}`, known, settled));
      await shoot(other, `german-${place}${path.replace(/_\w{20,}/g, "").replace(/\W+/g, "-")}`);
      await fits(other, `German ${place} ${path}`);
    }
  };
  const one = `/endpoints/${endpoint}`;
  // By night they are dark again.
  assert.equal((await api("PUT", "/operator/portal", { accent: "#2450c0" })).status, 200);
  await other.goto(`${(await api("POST", `/auth/app-portal-access/${id}`, {})).answer.url}&lang=de`);
  await walk("portal", `portal?app=${id}`, ["/endpoints", "/endpoints/new", one, `${one}/test`, `${one}/settings`, `${one}/edit`, "/messages", "/messages?state=delivered", "/messages?q=order", "/messages?q=zzz", "/messages?q=zzz&payload=true", `/messages/${lost}`, "/events"]);
  asked();
  const empty = (await api("POST", "/app", { name: "Down" })).answer.id;
  await other.goto(`${(await api("POST", `/auth/app-portal-access/${empty}`, {})).answer.url}&lang=de`);
  await walk("first", `portal?app=${empty}`, ["/endpoints", "/messages"]);
  await other.goto(`${origin}/console#key=${operator}&lang=de`);
  await walk("console", "console", ["/today", "/apps", `/apps/${id}`, `/apps/${id}?q=zzz`, "/kinds", "/kinds?do=new", "/kinds?do=import", "/kinds?name=order.paid", "/sources", `/sources/${source}`, "/parked", "/tasks",
    ...["portal", "tokens", "keys", "operational", "profiles", "broadcast"].map((tab) => `/settings/${tab}`)]);
  await context.close();
  assert.deepEqual(found, [], "English in the German pages");
  done("a German visitor sees no English on any page, and nothing sticks out of any");
}

/** Pictures of the page as it is: on a phone, a tablet and a screen, by day and by night. */
async function shoot(page, name) {
  if (!pictures) return;
  const size = page.viewportSize();
  for (const colorScheme of /** @type {("light" | "dark")[]} */ (["light", "dark"])) {
    await page.emulateMedia({ colorScheme });
    for (const width of [390, 768, 1440]) {
      await page.setViewportSize({ width, height: size.height });
      await page.screenshot({ path: `${pictures}/${name}-${width}-${colorScheme}.png`, fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(size);
}

/** Holds requests of this kind back until they are released, as a slow network does, and counts them. */
async function hold(page, method, end) {
  let go = () => {};
  const released = new Promise((resolve) => { go = resolve; });
  const held = { asked: 0, release: go };
  const matches = (url) => url.pathname.endsWith(end);
  const answer = async (route) => {
    if (route.request().method() === method) {
      held.asked += 1;
      await released;
    }
    await route.continue();
  };
  await page.route(matches, answer);
  return held;
}

/** A page of another visitor's, with a memory of its own. */
async function visitor(page, size = { width: 1000, height: 900 }) {
  const other = await (await page.context().browser().newContext({ viewport: size })).newPage();
  other.setDefaultTimeout(WAIT_MS);
  watch(other);
  return other;
}

function watch(page) {
  const seen = { now: 0, at: Date.now() };
  asking.set(page, seen);
  const count = (more) => () => {
    seen.now += more;
    seen.at = Date.now();
  };
  page.on("request", count(1)).on("requestfinished", count(-1)).on("requestfailed", count(-1));
}

/** Waits until nothing is on its way any more, and has not been for a moment. */
async function settled(page) {
  const seen = asking.get(page);
  const began = Date.now();
  const isQuiet = () => seen.now <= 0 && Date.now() - Math.max(seen.at, began) > 150;
  await until("nothing is loading", async () => isQuiet() && (await page.locator(".skeleton").count()) === 0);
}

/** Nothing sticks out sideways, on a screen or on a phone, and axe has nothing to say by day and by night. */
async function fit(page, name) {
  await fits(page, name);
  // As an argument of the browser's own, since the policy lets no script in.
  await page.evaluate(axe);
  for (const colorScheme of /** @type {("dark" | null)[]} */ (["dark", null])) {
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    const said = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" ; ")}`);
    assert.deepEqual(said, [], `axe on ${name}, ${colorScheme ?? "light"}`);
  }
}

/** Nothing sticks out sideways, on a screen or on a phone. */
async function fits(page, name) {
  const size = page.viewportSize();
  for (const width of [size.width, 1440, 1180, 1024, 961, 900, 768, 705, 390, 320]) {
    await page.setViewportSize({ width, height: size.height });
    // A table may be wider than the page without moving it: within the margin.
    const over = await page.evaluate(() => {
      const view = document.getElementById("view");
      const tables = [...document.querySelectorAll("main table")].filter((one) => !one.closest(".wide"));
      const beyond = tables.map((table) => Math.floor(table.getBoundingClientRect().right - view.getBoundingClientRect().right));
      return Math.max(document.documentElement.scrollWidth - document.documentElement.clientWidth, ...beyond);
    });
    assert.ok(over <= 0, `${name} is ${over} px too wide at ${width}`);
  }
  await page.setViewportSize(size);
}

/** Applications that are like other systems, each with rules and events of its own. */
async function systems(page) {
  const made = async (profile) => {
    const { id } = (await api("POST", "/app", { name: profile, profile })).answer;
    await page.goto((await api("POST", `/auth/app-portal-access/${id}`, {})).answer.url);
    await page.getByText(profile, { exact: true }).waitFor();
    await page.goto(`${origin}/portal?app=${id}#/endpoints/new`);
    await page.getByLabel("URL").fill(hooks);
    return id;
  };
  const add = () => page.getByRole("button", { name: "Add endpoint" }).click();

  await made("dotpe");
  await page.getByLabel("URL").fill("http://example.com/hooks");
  await add();
  await page.getByRole("alert").filter({ hasText: "must be https://" }).waitFor();
  await page.getByLabel("URL").fill(hooks);
  await page.getByLabel("All events").uncheck();
  await page.locator("label", { hasText: "balance.threshold" }).getByText("on request", { exact: true }).waitFor();
  await page.getByRole("checkbox", { name: "payin.failed" }).check();
  await add();
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await page.getByText("not verified").waitFor();
  await page.getByRole("link", { name: "Test", exact: true }).click();
  received.length = 0;
  await page.getByLabel("Event type").selectOption("payin.failed");
  await page.getByRole("button", { name: "Send example" }).click();
  await until("the example arrives", () => received[0]);
  await page.locator(".result").getByText("delivered").waitFor();
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await page.getByText("It has taken an example").waitFor();
  done("dotpe: https only, events on request, verified by the first example that is taken");

  const limited = await made("dashx");
  await add();
  const shown = await page.getByRole("dialog").locator("code").textContent();
  assert.match(shown, /^whsec_/);
  await page.getByRole("button", { name: "Close" }).click();
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await page.getByRole("button", { name: "Rotate" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Rotate", exact: true }).click();
  await page.locator("output").filter({ hasText: "whsec_" }).waitFor();
  assert.notEqual(await page.locator("output").textContent(), shown);
  for (let more = 0; more < 4; more += 1) {
    await api("POST", `/app/${limited}/endpoint`, { url: hooks });
  }
  await page.goto(`${origin}/portal?app=${limited}#/endpoints/new`);
  await page.getByLabel("URL").fill(hooks);
  await add();
  await page.locator("#notice").filter({ hasText: "5" }).waitFor();
  done("dashx: the secret is shown once, and the sixth endpoint is refused");

  const switched = await made("moneyhub");
  await page.getByLabel("Sent as").selectOption("jwt");
  await add();
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await page.getByText("Events are sent as signed tokens").waitFor();
  const keys = await page.getByRole("link", { name: "jwks.json" }).getAttribute("href");
  assert.ok(Array.isArray((await (await fetch(origin + keys)).json()).keys), keys);
  received.length = 0;
  await page.getByRole("link", { name: "Test", exact: true }).click();
  await page.getByLabel("Event type").selectOption("deletedAccount");
  await page.getByRole("button", { name: "Send example" }).click();
  const token = await until("a token arrives", () => received[0]);
  assert.equal(token.headers["content-type"], "application/jwt");
  assert.equal(token.body.split(".").length, 3);
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByLabel("Sent as").selectOption("json");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Rotate" }).waitFor();
  assert.equal((await api("GET", `/app/${switched}/endpoint`)).answer.data[0].format, "json");
  done("moneyhub: tokens or signed JSON, as the customer likes");

  const toml = 'name = "old"\ntitle = "Old"\ninferred = []\n[deprecated]\nnotice = "Use the new one."\nends = "2027-01-31"\n';
  assert.equal((await api("PUT", "/profile/old", { toml })).status, 200);
  await made("old");
  await page.getByText("Use the new one. It ends on 2027-01-31.").waitFor();
  done("a form that is on its way out is told of on every page");
}
