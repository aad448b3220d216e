// What the portal does with answers that come late, and with names and values that are strange.

import assert from "node:assert/strict";

/** An answer of a server that has too much to do. */
export const BUSY = { status: 503, json: { code: "unavailable", detail: "Ask again in a moment." } };

/** The form says a single attempt and takes it back, and asks before credentials are lost with the URL. */
export async function formed({ api, customer, done, fit, hooks, open, shoot, until }, page) {
  const once = { url: hooks.replace("http://", "http://user:password@"), description: "Once", retrySchedule: [] };
  const path = `/app/${customer}/endpoint`;
  const { id } = (await api("POST", path, once)).answer;
  const now = async () => (await api("GET", `${path}/${id}`)).answer;
  const press = (name, place = page) => place.getByRole("button", { name, exact: true }).click();
  const box = page.getByLabel("A single attempt");
  const edit = async () => {
    await open(`/endpoints/${id}/edit`);
    await page.getByLabel("URL").waitFor();
  };
  await edit();
  assert.ok(await box.isChecked());
  assert.equal(await page.getByLabel("Retry schedule").count(), 0);
  await fit(page, "a single attempt");
  await shoot(page, "single-attempt");
  await box.uncheck();
  await press("Save");
  await until("it is as usual", async () => !(await now()).retrySchedule);
  await edit();
  await page.locator("summary", { hasText: "Advanced" }).click();
  await box.check();
  await press("Save");
  await until("it is a single one", async () => (await now()).retrySchedule?.length === 0);
  done("a single attempt is chosen in the form, and taken back");

  const keeps = async () => (await api("GET", `${path}/${id}/headers`)).answer.sensitive.length === 1;
  assert.ok(await keeps());
  await edit();
  await page.getByLabel("URL").fill(`${hooks}/elsewhere`);
  await press("Save");
  await page.getByRole("dialog").getByText("This endpoint is sent an Authorization header.").waitFor();
  await shoot(page, "credentials");
  await press("Cancel", page.getByRole("dialog"));
  assert.ok(await keeps());
  await page.getByLabel("URL").fill(`${once.url}/elsewhere`);
  await press("Save");
  await until("it moves", async () => (await now()).url === `${hooks}/elsewhere`);
  assert.ok(await keeps());
  await edit();
  await page.getByLabel("URL").fill(hooks);
  await press("Save");
  await press("Save", page.getByRole("dialog"));
  await until("it moves back", async () => (await now()).url === hooks);
  assert.ok(!await keeps());
  await api("DELETE", `${path}/${id}`);
  done("before credentials are lost with the URL that they came with, that is said");
}

/** What comes after somebody left takes nobody away, asks nothing, and writes nothing into the next page. */
export async function late({ api, customer, done, endpoint, hooks, open }, page) {
  const press = (name) => page.getByRole("button", { name, exact: true }).click();
  /** Begins something, leaves while its answer is away, and tells where one is once it has come. */
  const leave = async (asked, method, begin) => {
    let answer = () => {};
    const matches = (url) => asked.test(url.pathname);
    await page.route(matches, (route) => {
      if (route.request().method() !== method) return route.fallback();
      answer = () => route.fallback();
      return undefined;
    });
    const isIt = (request) => request.method() === method && matches(new URL(request.url()));
    const request = page.waitForRequest(isIt);
    await begin();
    await request;
    await page.getByRole("link", { name: "Event types" }).click();
    await page.getByRole("heading", { level: 1, name: "Event types" }).waitFor();
    const response = page.waitForResponse((one) => isIt(one.request()));
    answer();
    await (await response).finished();
    await page.unroute(matches);
    // What follows an answer follows it at once.
    await page.evaluate(() => new Promise((next) => { setTimeout(next, 100); }));
    assert.equal(new URL(page.url()).hash, "#/events", String(asked));
    assert.equal(await page.getByRole("dialog").count(), 0, String(asked));
  };
  await open("/endpoints/new");
  await page.getByLabel("URL").fill(`${hooks}/late`);
  await leave(/\/endpoint$/, "POST", () => press("Add endpoint"));
  const made = (await api("GET", `/app/${customer}/endpoint`)).answer.data.find((one) => one.url.endsWith("/late"));
  await open(`/endpoints/${made.id}/settings`);
  await press("Delete endpoint");
  await leave(/\/endpoint\/\w+$/, "DELETE", () => page.getByRole("dialog").getByRole("button", { name: "Delete" }).click());
  for (const name of ["nothing", "kept-1"]) {
    await open("/messages");
    await page.getByLabel("Search messages").fill(name);
    await leave(/\/msg\/[\w-]+$/, "GET", () => page.keyboard.press("Enter"));
  }
  await open(`/endpoints/${endpoint}`);
  await page.route((url) => url.pathname.endsWith("/missing"), (route) => route.fulfill({ json: { missing: 1, lookedAt: 1, complete: true, since: new Date().toISOString() } }));
  await leave(/\/missing$/, "GET", () => press("Replay missing"));
  await page.unrouteAll();

  // Whoever only chooses a filter has not left.
  await open(`/endpoints/${endpoint}`);
  let answer = () => {};
  const missing = (url) => url.pathname.endsWith("/missing");
  await page.route(missing, (route) => {
    answer = () => route.fulfill({ json: { missing: 1, lookedAt: 1, complete: true, since: new Date().toISOString() } });
  });
  const counted = page.waitForRequest((request) => missing(new URL(request.url())));
  await press("Replay missing");
  await counted;
  await press("Failed");
  answer();
  await page.getByRole("dialog").getByText("1 message that this endpoint wants").waitFor();
  await press("Cancel");
  await page.unroute(missing);

  await open("/endpoints");
  await page.getByRole("searchbox").pressSequentially("troubled");
  await page.getByRole("link", { name: "Deliveries" }).click();
  await page.evaluate(() => new Promise((next) => { setTimeout(next, 300); }));
  assert.equal(new URL(page.url()).hash, "#/messages");
  await page.goBack();
  await page.locator("tr[data-row] .name a").first().click();
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await press("Delete endpoint");
  await page.getByRole("dialog").waitFor();
  await page.goBack();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  done("an answer that comes after somebody left leaves them where they are, and no question stays open");
}

/** The payload of a test is the one of its event type, or what was typed; code has the secret of now. */
export async function tried({ api, done, endpoint, fit, open, shoot, until }, page) {
  assert.equal((await api("POST", "/event-type", { name: "bare.type", description: "Without an example" })).status, 201);
  const text = page.getByLabel("Payload");
  const type = page.getByRole("combobox", { name: "Event type" });
  const test = `/endpoints/${endpoint}/test`;
  const contents = (name) => (url) => url.pathname.endsWith(`/event-type/${name}`);
  let answer = () => {};
  await page.route(contents("order.paid"), (route) => { answer = () => route.fallback(); });
  await page.route(contents("order.failed"), (route) => route.fulfill(BUSY));
  await open(test);
  await type.selectOption("order.paid");
  await text.fill('{"typed": 1}');
  const arrived = page.waitForResponse((one) => contents("order.paid")(new URL(one.url())));
  answer();
  await (await arrived).finished();
  await page.evaluate(() => new Promise((next) => { setTimeout(next, 100); }));
  assert.equal(await text.inputValue(), '{"typed": 1}');
  await type.selectOption("order.failed");
  await page.locator("#notice").filter({ hasText: "Ask again in a moment." }).waitFor();
  assert.equal(await text.inputValue(), "", "what is of another type goes");
  await page.unrouteAll();
  await open(test, { capabilities: ["ViewBase", "CreateAttempts"] });
  await type.selectOption("bare.type");
  await page.locator("small", { hasText: "this link may send nothing else" }).waitFor();
  await fit(page, "a test that cannot be sent");
  await shoot(page, "no-example");
  await api("DELETE", "/event-type/bare.type?expunge=true");

  await open(`/endpoints/${endpoint}/settings`);
  await page.getByRole("button", { name: "Fill in the secret" }).click();
  const code = page.locator(".code pre").last();
  const { key } = (await api("GET", `/app/${new URL(page.url()).searchParams.get("app")}/endpoint/${endpoint}/secret`)).answer;
  await code.filter({ hasText: key }).waitFor();
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Rotate", exact: true }).click();
  await until("the old one is not offered any more", async () => !(await code.textContent()).includes(key));
  done("a test keeps what was typed, shows no other type's payload, and says where it cannot be sent; code forgets a rotated secret");
}

/** Endpoints whose names cannot be seen, or turn what is around them, can be found and opened. */
export async function called({ api, customer, done, fit, hooks, open, shoot }, page) {
  const path = `/app/${customer}/endpoint`;
  const plain = hooks.replace("http://", "");
  for (const [description, shown] of [["   ", `${plain}/called`], ["\u200b", `${plain}/called`], ["\u202eturned", "\\u202eturned"]]) {
    const { id } = (await api("POST", path, { url: `${hooks}/called`, description })).answer;
    await open("/endpoints");
    const link = page.locator(`tr a[href="#/endpoints/${id}"]`);
    assert.equal(await link.textContent(), shown);
    await fit(page, "a strange name");
    await shoot(page, "strange-name");
    await link.click();
    await page.getByRole("heading", { level: 1, name: shown, exact: true }).waitFor();
    await api("DELETE", `${path}/${id}`);
  }
  done("a name that nobody would see gives way to the URL, and one that turns its line is spelled out");
}

/** A search for dots is one for text: a browser would ask for what is above. */
export async function dots({ done, open }, page) {
  for (const wanted of ["..", "."]) {
    await open("/messages");
    await page.getByLabel("Search messages").fill(wanted);
    await page.keyboard.press("Enter");
    await page.getByLabel("Search payloads too").waitFor();
    assert.equal(new URL(page.url()).hash, `#/messages?q=${wanted}`);
  }
  done("a search for dots stays a search");
}
