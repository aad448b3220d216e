// What an operator's console does while others change the same, and while answers are late.

import assert from "node:assert/strict";

/** All of it. */
export async function shared(kit, page) {
  await edited(kit, page);
  await dressed(kit, page);
  await imported(kit, page);
  await verbs(kit, page);
  await customers(kit, page);
  await failing(kit, page);
}

/** Saving an event type says what was changed there and nothing else. */
export async function edited({ api, done, origin }, page) {
  const name = "kept.type";
  const [first, second] = [1, 2].map((n) => ({ type: "object", properties: { [`v${n}`]: {} } }));
  assert.equal((await api("POST", "/event-type", { name, description: "Hidden", featureFlags: ["beta", "new"], schemas: { 1: first } })).status, 201);
  const now = async () => (await api("GET", `/event-type/${name}`)).answer;
  const open = async () => {
    await page.goto(`${origin}/console#/kinds?name=${name}`);
    await page.reload();
    await page.getByLabel("Description").waitFor();
  };
  const save = async () => {
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { level: 1, name: "Event types" }).waitFor();
  };
  await open();
  await api("PATCH", `/event-type/${name}`, { groupName: "Elsewhere", schemas: { 1: first, 2: second } });
  await page.getByLabel("Description").fill("Hidden, in better words");
  await save();
  const saved = await now();
  assert.deepEqual([saved.description, saved.groupName, saved.featureFlags], ["Hidden, in better words", "Elsewhere", ["beta", "new"]]);
  assert.deepEqual(saved.schemas, { 1: first, 2: second });

  await open();
  // What is typed is no schema on the way there.
  await page.getByLabel("Schema").fill('{"type": "object", "required": true, "properties": {"v4": {"type": "string"}}}');
  await page.locator("td code", { hasText: "v4" }).waitFor();
  await api("PATCH", `/event-type/${name}`, { archived: true, schemas: { 1: first, 2: second, 3: first } });
  await page.getByLabel("Schema").fill('{"type": "object", "properties": {"v4": {"const": 1.50}}}');
  await save();
  const { archived, schemas } = await now();
  assert.deepEqual([archived, Object.keys(schemas)], [true, ["1", "2", "3", "4"]], "a new schema comes after those of others");
  await api("DELETE", `/event-type/${name}?expunge=true`);
  done("saving an event type keeps its feature flags, and what was changed elsewhere meanwhile");
}

/** So does saving how the portal looks. */
export async function dressed({ api, done, origin }, page) {
  const now = async () => (await api("GET", "/operator/portal")).answer;
  const before = await now();
  await page.goto(`${origin}/console#/settings/portal`);
  await page.reload();
  await page.getByLabel("Font").waitFor();
  await api("PUT", "/operator/portal", { ...before, supportUrl: "https://help.example.com" });
  const save = async (font) => {
    await page.getByLabel("Font").fill(font);
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator("#notice").filter({ hasText: "Saved" }).waitFor();
  };
  await save("Georgia");
  assert.deepEqual(await now(), { ...before, font: "Georgia", supportUrl: "https://help.example.com" });
  await save(before.font ?? "");
  assert.equal((await now()).font, before.font, "what was saved can be taken back");
  await api("PUT", "/operator/portal", before);
  done("saving the portal's look keeps what was changed elsewhere meanwhile");
}

/** What an import would do is shown of what stands there now, and of nothing else. */
export async function imported({ api, done, origin }, page) {
  const asked = (url) => url.pathname.endsWith("/event-type/import/openapi");
  const spec = (name) => JSON.stringify({ openapi: "3.1.0", webhooks: { [name]: { post: { description: `About ${name}` } } } });
  const text = page.getByLabel("Description, as YAML or JSON");
  const box = page.getByLabel("Archive every event type that it does not have");
  const press = (name) => page.getByRole("button", { name, exact: true }).click();
  /** Asks for a preview, does something before it comes, and waits until it has come. */
  const late = async (act) => {
    let answer = () => {};
    await page.route(asked, (route) => { answer = () => route.continue(); });
    const request = page.waitForRequest((one) => asked(new URL(one.url())));
    await press("Preview");
    await request;
    await act();
    const response = page.waitForResponse((one) => asked(new URL(one.url())));
    answer();
    await response;
    await page.locator("button:not([aria-disabled])", { hasText: "Preview" }).waitFor();
    await page.unroute(asked);
  };
  await page.goto(`${origin}/console#/kinds?do=import`);
  await text.fill(spec("late.one"));
  await late(() => box.check());
  assert.equal(await page.getByText("What would change").count(), 0, "it would archive what it does not show");
  assert.equal(await page.getByRole("button", { name: "Import", exact: true }).count(), 0);
  await box.uncheck();
  await page.getByText("About late.one").waitFor();
  await late(() => text.fill(spec("late.two")));
  assert.equal(await page.getByText("What would change").count(), 0, "it is of another text");
  await press("Preview");
  await page.getByText("About late.two").waitFor();
  await press("Import");
  await page.getByRole("heading", { level: 1, name: "Event types" }).waitFor();
  assert.deepEqual(await Promise.all(["late.one", "late.two"].map(async (name) => (await api("GET", `/event-type/${name}`)).status)), [404, 200]);
  await api("DELETE", "/event-type/late.two?expunge=true");
  done("a preview of an import that comes late is shown for what it is of, and only that is imported");
}

/** An event type may be called like what can be done with event types. */
export async function verbs({ api, done, origin }, page) {
  for (const name of ["new", "import"]) {
    assert.equal((await api("POST", "/event-type", { name, description: `Called ${name}` })).status, 201);
    await page.goto(`${origin}/console#/kinds`);
    await page.reload();
    await page.getByRole("link", { name, exact: true }).click();
    await page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
    await page.getByLabel("Description").fill("Edited");
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator("tr", { hasText: "Edited" }).waitFor();
    await api("DELETE", `/event-type/${name}?expunge=true`);
  }
  done("event types called new and import are edited like others");
}

/** A search tells a part from the whole, and a customer's portal opens although its link is late. */
export async function customers({ api, done, fit, origin, shoot, until }, page) {
  const made = [];
  for (const name of ["Zeta one", "Zeta two"]) made.push((await api("POST", "/app", { name })).answer.id);
  const lists = (url) => url.pathname === "/api/v1/app";
  await page.route(lists, (route) => route.fallback({ url: route.request().url().replace("limit=250", "limit=1") }));
  await page.goto(`${origin}/console#/apps?q=zeta`);
  await page.getByRole("status").filter({ hasText: "1 found among the 1 that are loaded." }).waitFor();
  await fit(page, "console: a part of a search");
  await shoot(page, "console-part-of-search");
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByRole("status").filter({ hasText: "2 found among the 2 that are loaded." }).waitFor();
  await page.unroute(lists);

  let answer = () => {};
  const links = (url) => url.pathname.includes("/app-portal-access/");
  await page.route(links, (route) => { answer = () => route.fallback(); });
  const row = page.locator("tr[data-row]", { hasText: "Zeta one" });
  const [tab] = await Promise.all([page.context().waitForEvent("page"), row.getByRole("button", { name: "Open as customer" }).click()]);
  answer();
  await tab.getByRole("heading", { level: 1, name: "Endpoints" }).waitFor();
  assert.equal(await tab.evaluate(() => window.opener), null);
  await tab.close();
  await page.unroute(links);
  await page.route(links, (route) => route.fulfill({ status: 503, json: { code: "unavailable", detail: "Ask again in a moment." } }));
  const tabs = page.context().pages().length;
  await row.getByRole("button", { name: "Open as customer" }).click();
  await page.locator("#notice").filter({ hasText: "Ask again in a moment." }).waitFor();
  await until("its tab is closed", () => page.context().pages().length === tabs);
  await page.unroute(links);
  await page.evaluate(() => { window.open = () => null; });
  await row.getByRole("button", { name: "Open as customer" }).click();
  const link = page.getByRole("dialog").getByRole("link", { name: "Open as customer" });
  assert.match(String(await link.getAttribute("href")), /#key=.*&next=%2Fendpoints$/);
  await page.getByRole("button", { name: "Close" }).click();
  await page.reload();
  for (const id of made) await api("DELETE", `/app/${id}`);
  done("a search of applications says among how many it found some; a customer's portal opens at once, or with a link");
}

/** What fails stays on the page of today where it cannot be read again. */
export async function failing({ done, origin }, page) {
  const one = {
    endpointId: "ep_one", appId: "app_one", application: "Invented Ltd", description: "Fails", url: "https://example.com/", state: "failing", failingSince: new Date().toISOString(),
    lastError: null, attempts: 1, failed: 1, waiting: 0, untried: 0, complete: true, picture: { stepMs: 60_000, success: [0], fail: [1] },
  };
  const asked = (url) => url.pathname === "/api/v1/operator/failing";
  await page.route(asked, (route) => route.fulfill({ json: { data: [one], iterator: null, prevIterator: null, done: true } }));
  await page.goto(`${origin}/console#/today`);
  await page.reload();
  const row = page.getByRole("table", { name: "Failing endpoints" }).locator("tr", { hasText: "Invented Ltd" });
  await row.waitFor();
  await page.unroute(asked);
  await page.route(asked, (route) => route.fulfill({ status: 503, json: { code: "unavailable", detail: "Ask again in a moment." } }));
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.getByRole("alert").filter({ hasText: "What is shown may be old. Ask again in a moment." }).waitFor();
  assert.equal(await row.count(), 1);
  await page.unroute(asked);
  await page.getByRole("button", { name: "Try again" }).click();
  await row.waitFor({ state: "detached" });
  done("what fails stays on the page where it cannot be read again");
}
