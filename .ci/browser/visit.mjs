// A customer's visit to the portal, from the link to logging out. Arguments: the link, an
// operator's token, the browser's program and, if they are wanted, a directory for pictures.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [link, operator, program, pictures] = process.argv.slice(2);
const origin = new URL(link).origin;
const app = JSON.parse(atob(link.split("#key=")[1].split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).sub;
const WAIT_MS = 15_000;
/** What a hostile endpoint would like to see run. */
const HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";

/** The customer's server: what it was sent, and what it answers. */
const received = [];
let mood = 200;
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    received.push({ path: request.url, headers: request.headers, body });
    response.writeHead(mood).end(HOSTILE);
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
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
  // What the API refuses on purpose is an error in the browser's log, too.
  page.on("console", (line) => line.type() === "error" && !/status of 4\d\d/.test(line.text()) && wrong.push(line.text()));
  page.on("request", (request) => new URL(request.url()).origin === origin || wrong.push(`asked ${request.url()}`));
  await visit(page).then(() => systems(page)).catch(async (error) => {
    console.log(`on ${page.url().split("key=")[0]}: ${wrong.join("; ") || "no errors"}`);
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
assert.ok(chapters >= 17, `only ${chapters} chapters`);

async function visit(page) {
  const heading = (name) => page.getByRole("heading", { level: 1, name }).waitFor();
  const press = (name, place = page) => place.getByRole("button", { name, exact: true }).click();
  const picture = async (name) => {
    if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
  };

  await page.goto(link);
  await heading("Endpoints");
  assert.ok(!page.url().includes("key="), page.url());
  await page.getByText("There is no endpoint yet").waitFor();
  assert.equal(await page.locator("#application").textContent(), `Shop ${HOSTILE}`);
  done("the link opens the portal, and its token is out of the address");

  await page.getByRole("link", { name: "Add endpoint" }).click();
  await heading("Add endpoint");
  await page.getByLabel("URL").fill("nonsense");
  await press("Add endpoint");
  await page.locator(".field", { hasText: "URL" }).getByRole("alert").filter({ hasText: "not a valid URL" }).waitFor();
  done("what is wrong with a field is said beside it");

  await page.getByLabel("URL").fill(hooks);
  await page.getByLabel("Description").fill("Our <b>orders</b>");
  await page.getByLabel("All events").uncheck();
  await press("Add endpoint");
  await page.getByText("Choose an event type").waitFor();
  await page.getByLabel("order.paid").check();
  await picture("new-endpoint");
  await press("Add endpoint");
  await heading(hooks);
  const made = (await api("GET", `/app/${app}/endpoint`)).answer.data;
  assert.deepEqual(made.map((one) => [one.url, one.eventTypes, one.description]), [[hooks, ["order.paid"], "Our <b>orders</b>"]]);
  const path = `/app/${app}/endpoint/${made[0].id}`;
  done("an endpoint is added, for the event types that were chosen");

  await press("Show");
  const key = async () => (await api("GET", `${path}/secret`)).answer.key;
  assert.equal(await page.locator("output").filter({ hasText: "whsec_" }).textContent(), await key());
  const old = await key();
  await press("Rotate");
  await press("Cancel", page.getByRole("dialog"));
  assert.equal(await key(), old);
  await press("Rotate");
  await press("Rotate", page.getByRole("dialog"));
  await until("there is a new secret", async () => (await key()) !== old);
  await page.locator("output").filter({ hasText: await key() }).waitFor();
  done("the secret is shown when it is asked for, and rotated after a yes");

  await press("Send example");
  const sent = await until("the example arrives", () => received[0]);
  assert.deepEqual(JSON.parse(sent.body), schema.examples[0]);
  assert.match(sent.headers["svix-signature"] ?? sent.headers["webhook-signature"], /v1,/);
  await page.locator("tr", { hasText: "order.paid" }).getByText("success").waitFor();
  await page.locator("dl.counts div", { hasText: "delivered" }).getByText("1").waitFor();
  await page.locator("section", { hasText: "Events" }).locator("code").getByText("order.paid").waitFor();
  done("an example is sent to the endpoint, and its delivery shows up by itself");
  await picture("endpoint");

  await page.getByLabel("Header name").fill("x-shop");
  await page.getByLabel("Header value").fill("<i>7</i>");
  await press("Set header");
  await page.locator("tr", { hasText: "x-shop" }).getByText("<i>7</i>").waitFor();
  await press("Check the receiver");
  await page.locator("tr", { hasText: "wrong signature" }).getByText("not good").waitFor();
  await page.locator("tr", { hasText: "A well-made event" }).getByText("good", { exact: true }).waitFor();
  assert.equal(received.at(-1).headers["x-shop"], "<i>7</i>");
  done("a check tells that this endpoint does not look at signatures, and a header goes along");
  await picture("check");
  await press("Remove", page.locator("tr", { hasText: "x-shop" }));
  await page.getByText("No headers of your own").waitFor();
  received.length = 1;

  mood = 500;
  const event = { eventType: "order.paid", payload: { order: "1002", note: HOSTILE } };
  const published = (await api("POST", `/app/${app}/msg`, event)).answer.id;
  await until("the message is tried", () => received.length > 1);
  await page.getByRole("link", { name: "Messages" }).click();
  await heading("Messages");
  await page.getByLabel("Event type").selectOption("order.failed");
  await page.getByText("Nothing was published yet.").waitFor();
  await page.getByLabel("Event type").selectOption("order.paid");
  await picture("messages");
  await page.locator("tr", { hasText: published }).getByRole("link", { name: "order.paid" }).click();
  await heading("order.paid");
  await page.getByText("HTTP 500").first().waitFor();
  done("a message is found by its event type");

  await page.locator("details", { hasText: "HTTP 500" }).first().locator("summary").click();
  await page.locator("details pre").filter({ hasText: HOSTILE }).first().waitFor();
  const payload = page.locator("section", { hasText: "Payload" }).locator("pre").last();
  assert.deepEqual(JSON.parse(await payload.textContent()), event.payload);
  done("attempts, answers and payload are shown as text, whatever they say");
  await picture("message");

  mood = 204;
  await press("Send again");
  await page.getByText("HTTP 204").first().waitFor();
  await page.locator("tr", { hasText: hooks }).getByText("success").waitFor();
  done("a message is sent again by hand, and its success shows up by itself");

  mood = 500;
  const missed = (await api("POST", `/app/${app}/msg`, { ...event, eventId: "order-1003" })).answer.id;
  await until("that fails", async () =>
    (await api("GET", `/app/${app}/attempt/msg/${missed}`)).answer.data.some((one) => one.status === 2));
  mood = 200;
  await page.getByRole("link", { name: "Endpoints" }).click();
  await page.getByRole("link", { name: hooks }).click();
  await heading(hooks);
  await press("Recover failed");
  await until("that arrives", async () =>
    (await api("GET", `/app/${app}/attempt/msg/${missed}`)).answer.data.some((one) => one.status === 0));
  done("what failed is sent again at once");

  await press("Disable");
  await page.getByText("disabled", { exact: true }).waitFor();
  assert.equal((await api("GET", path)).answer.disabled, true);
  await press("Enable");
  await page.getByText("active", { exact: true }).waitFor();
  assert.equal((await api("GET", path)).answer.disabled, false);
  done("an endpoint is disabled and enabled");

  await page.getByRole("link", { name: "Edit" }).click();
  await heading("Edit endpoint");
  assert.ok(await page.getByLabel("order.paid").isChecked());
  await page.getByLabel("All events").check();
  await press("Save");
  await heading(hooks);
  await page.getByText("All events").waitFor();
  assert.equal((await api("GET", path)).answer.eventTypes, null);
  done("an endpoint is changed to all events");

  await page.getByRole("link", { name: "Event types" }).click();
  await heading("Event types");
  await page.locator("summary", { hasText: "order.paid" }).click();
  await page.locator("details[open] pre").first().filter({ hasText: "1001" }).waitFor();
  done("event types are shown with their examples and schemas");
  await picture("events");

  await page.reload();
  await heading("Event types");
  await page.goto(`${origin}/portal#/endpoints`);
  await page.getByRole("link", { name: hooks }).click();
  await press("Delete");
  await press("Delete", page.getByRole("dialog"));
  await page.getByText("There is no endpoint yet").waitFor();
  assert.ok(!(await page.content()).includes("somebody.example.com"));
  assert.equal((await api("GET", path)).status, 404);
  done("an endpoint is deleted after a yes; nothing of another customer's is seen");

  const token = await page.evaluate(() => sessionStorage.getItem("posthorn-token"));
  await press("Log out");
  await heading("Link expired");
  assert.equal((await api("GET", `/app/${app}`, undefined, token)).status, 401);
  await page.goto(link);
  await page.reload();
  await heading("Link expired");
  assert.ok(await page.getByRole("navigation", { includeHidden: true }).isHidden());
  done("after logging out the link and its token open nothing");
}

/** Applications that are like other systems, each with rules and events of its own. */
async function systems(page) {
  const made = async (profile) => {
    const { id } = (await api("POST", "/app", { name: profile, profile })).answer;
    await page.goto((await api("POST", `/auth/app-portal-access/${id}`, {})).answer.url);
    await page.getByText(profile, { exact: true }).waitFor();
    await page.goto(`${origin}/portal#/endpoints/new`);
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
  await page.getByLabel("payin.failed").check();
  await add();
  await page.getByText("not verified").waitFor();
  received.length = 0;
  await page.getByLabel("Event type").selectOption("payin.failed");
  await page.getByRole("button", { name: "Send example" }).click();
  await until("the example arrives", () => received[0]);
  await page.locator("tr", { hasText: "payin.failed" }).getByText("success").waitFor();
  await page.reload();
  await page.getByText("It has taken an example").waitFor();
  done("dotpe: https only, events on request, verified by the first example that is taken");

  const limited = await made("dashx");
  await add();
  const shown = await page.getByRole("dialog").locator("code").textContent();
  assert.match(shown, /^whsec_/);
  await page.getByRole("button", { name: "Close" }).click();
  await page.getByRole("heading", { level: 1, name: hooks }).waitFor();
  await page.getByRole("button", { name: "Rotate" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
  await page.locator("output").filter({ hasText: "whsec_" }).waitFor();
  assert.notEqual(await page.locator("output").textContent(), shown);
  for (let more = 0; more < 4; more += 1) {
    await api("POST", `/app/${limited}/endpoint`, { url: hooks });
  }
  await page.goto(`${origin}/portal#/endpoints/new`);
  await page.getByLabel("URL").fill(hooks);
  await add();
  await page.getByRole("status").filter({ hasText: "5" }).waitFor();
  done("dashx: the secret is shown once, and the sixth endpoint is refused");

  const switched = await made("moneyhub");
  await page.getByLabel("Sent as").selectOption("jwt");
  await add();
  await page.getByText("Events are sent as signed tokens").waitFor();
  const keys = await page.getByRole("link", { name: "jwks.json" }).getAttribute("href");
  assert.ok(Array.isArray((await (await fetch(origin + keys)).json()).keys), keys);
  received.length = 0;
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
