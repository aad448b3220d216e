// What an operator changes in the console: profiles, event types, parked records, tasks.

import assert from "node:assert/strict";
import { toml } from "./toml.js";

/** All of it. */
export async function changes(kit, page) {
  await retried(kit, page);
  await profiles(kit, page);
  await tasks(kit, page);
  await restored(kit, page);
  await parked(kit, page);
}

/** What was archived is taken back, from the list and where it is edited. */
async function restored({ api, done, fit, origin, shoot, until }, page) {
  const state = async (name) => (await api("GET", `/event-type/${name}`)).answer.archived;
  const names = ["old.list", "old.edit"];
  for (const name of names) {
    assert.equal((await api("POST", "/event-type", { name, description: "Archived once" })).status, 201);
    assert.equal((await api("DELETE", `/event-type/${name}`)).status, 204);
  }
  await page.goto(`${origin}/console#/kinds?q=old.`);
  await page.getByRole("table", { name: "Event types" }).getByText("archived", { exact: true }).first().waitFor();
  await fit(page, "console: archived event types");
  await shoot(page, "console-event-types-archived");
  const row = (name) => page.getByRole("table", { name: "Event types" }).locator("tr", { hasText: name });
  await row("old.list").getByRole("button", { name: "Restore" }).click();
  await row("old.list").getByText("active", { exact: true }).waitFor();
  assert.deepEqual(await Promise.all(names.map(state)), [false, true]);
  assert.equal(await row("old.list").getByRole("button").count(), 0);

  await row("old.edit").getByRole("link").click();
  await page.getByRole("note").filter({ hasText: "It is archived" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Archive", exact: true }).count(), 0);
  await fit(page, "console: an archived event type");
  await page.getByLabel("Description").fill("Changed while archived");
  await page.getByRole("button", { name: "Save" }).click();
  await row("old.edit").getByText("Changed while archived").waitFor();
  assert.equal(await state("old.edit"), true, "saving does not take it back");
  await row("old.edit").getByRole("link").click();
  await page.getByRole("note").getByRole("button", { name: "Restore" }).click();
  await row("old.edit").getByText("active", { exact: true }).waitFor();
  await until("it can be chosen", async () => await state("old.edit") === false);
  for (const name of names) await api("DELETE", `/event-type/${name}?expunge=true`);
  done("an archived event type is taken back in the list and where it is edited; saving leaves it archived");
}

/** A box in the head of a list chooses all that is shown, on a phone as well. */
export async function parked({ done, fit, origin, shoot, until }, page) {
  const all = Array.from({ length: 3 }, (_, n) => ({ id: `par_${n}`, queue: "delivery", reason: "no such application", timestamp: new Date().toISOString() }));
  const redriven = [];
  let isBusy = false;
  const asked = (url) => url.pathname.startsWith("/api/v1/operator/parked");
  await page.route(asked, async (route) => {
    const request = route.request();
    if (request.method() === "POST") {
      if (isBusy && redriven.length === 1) return route.fulfill({ status: 503, json: { detail: "Ask again in a moment." } });
      redriven.push(new URL(request.url()).pathname.split("/").at(-2));
      return route.fulfill({ status: 202, json: {} });
    }
    const left = all.filter((one) => !redriven.includes(one.id));
    return route.fulfill({ json: { data: left, iterator: null, prevIterator: null, done: true } });
  });
  await page.goto(`${origin}/console#/parked`);
  const box = page.getByLabel("Select all that are shown");
  const one = (n) => page.getByLabel(`Select par_${n}`);
  await one(1).check();
  assert.ok(await box.evaluate((input) => input.indeterminate && !input.checked), "some are chosen");
  await box.click();
  await page.getByRole("button", { name: "Redrive selected (3)" }).waitFor();
  assert.ok(await box.evaluate((input) => input.checked && !input.indeterminate), "all are");
  await box.click();
  assert.equal(await page.getByRole("button", { name: /Redrive selected/ }).count(), 0, "none are");
  await fit(page, "console: parked records");
  const size = page.viewportSize();
  await page.setViewportSize({ width: 390, height: 800 });
  await page.getByText("Select all that are shown").click();
  await page.getByRole("button", { name: "Redrive selected (3)" }).waitFor();
  await shoot(page, "console-parked-chosen");
  await page.setViewportSize(size);
  await one(0).uncheck();
  assert.ok(await box.evaluate((input) => input.indeterminate));
  isBusy = true;
  await page.getByRole("button", { name: "Redrive selected (2)" }).click();
  await page.locator("#notice").filter({ hasText: "1 record is in its queue again. Ask again in a moment." }).waitFor();
  isBusy = false;
  await page.getByRole("button", { name: "Redrive selected (1)" }).click();
  await until("both are sent back", () => redriven.length === 2);
  assert.deepEqual(redriven.sort(), ["par_1", "par_2"]);
  await until("the other stays", async () => await page.getByRole("checkbox", { name: /^Select par/ }).count() === 1);
  await page.unroute(asked);
  done("a box chooses all that is shown, or none, and stands between while some are chosen; on a phone as well; what breaks off goes on with the rest");
}

/** What waits at the endpoints that fail is retried at once, whosever they are. */
async function retried({ api, done, hooks, moody, origin, until }, page) {
  moody(503);
  const attempts = async ([app, , msg]) => (await api("GET", `/app/${app}/attempt/msg/${msg}`)).answer.data.length;
  const made = [];
  for (const name of ["Down", "Large"]) {
    const { id } = (await api("POST", "/app", { name })).answer;
    const endpoint = (await api("POST", `/app/${id}/endpoint`, { url: hooks, description: `${name}, too`, retrySchedule: [1, 3_600] })).answer.id;
    made.push([id, endpoint, (await api("POST", `/app/${id}/msg`, { eventType: "order.paid", payload: {} })).answer.id]);
  }
  for (const one of made) await until("it fails twice", async () => await attempts(one) === 2);
  await page.goto(`${origin}/console#/today`);
  await page.reload();
  for (const name of ["Down, too", "Large, too"]) await page.locator("tr", { hasText: name }).waitFor();
  await page.getByRole("button", { name: "Retry waiting now" }).click();
  await page.getByRole("dialog").getByText(/^\d+ messages of \d+ endpoints wait/).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Retry now" }).click();
  const row = page.getByRole("table", { name: "Tasks" }).locator("tr", { hasText: "endpoint.bulk-replay" });
  for (const name of ["Down, too", "Large, too"]) await row.filter({ hasText: name }).waitFor();
  for (const one of made) await until("it is tried once more", async () => await attempts(one) === 3);
  for (const [app, endpoint] of made) await api("DELETE", `/app/${app}/endpoint/${endpoint}`);
  done("what waits at failing endpoints of several customers is retried at once, and the tasks say whose they are");
}

/** Tasks say whose they are, and lead there. */
async function tasks({ api, app, done, endpoint, fit, origin, shoot, until }, page) {
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const started = async (path, body) => {
    const { status, answer } = await api("POST", path, body);
    assert.equal(status, 202, JSON.stringify(answer));
    return answer.id;
  };
  const own = await started(`/app/${app}/endpoint/${endpoint}/replay-missing`, { since });
  const { id: other } = (await api("POST", "/app", { name: "Gone" })).answer;
  const gone = await started(`/app/${other}/msg/expunge-all-contents`);
  assert.equal((await api("DELETE", `/app/${other}`)).status, 204);
  await page.goto(`${origin}/console#/tasks`);
  const row = (id) => page.getByRole("table", { name: "Tasks" }).locator("tr", { hasText: id });
  await row(own).getByText("Down", { exact: true }).waitFor();
  await row(gone).getByText("deleted", { exact: true }).waitFor();
  await page.getByRole("table", { name: "Tasks" }).locator("tr", { hasText: "message.broadcast" }).getByText("all applications").first().waitFor();
  await fit(page, "console: whose tasks are");
  await shoot(page, "console-tasks-whose");
  await row(own).getByRole("link").click();
  await until("it leads to the application", () => page.url().endsWith(`#/apps/${app}`));
  done("a task says of which application it is, and of which endpoint, and leads there");
}

/** Profiles are compared key by key, and one's own is opened, changed and stored. */
async function profiles({ api, done, fit, operator, origin, settled, shoot, until }, page) {
  // What is written of a profile says what it says: read again it is the same.
  const listed = (await api("GET", "/profile")).answer.data;
  for (const { name } of listed.filter((one) => !one.own)) {
    const { answer } = await api("GET", `/profile/${name}`);
    const again = await api("PUT", "/profile/again", { toml: toml(answer, "again") });
    assert.equal(again.status, 200, `${name}: ${JSON.stringify(again.answer)}`);
    assert.deepEqual({ ...again.answer, name }, answer);
  }
  await page.goto(`${origin}/console#/settings/profiles`);
  const row = (name) => page.getByRole("table", { name: "Profiles" }).locator("tr", { has: page.getByText(name, { exact: true }) });
  await row("moneyhub").getByRole("button", { name: "Edit a copy" }).click();
  const field = page.getByRole("textbox", { name: "TOML" });
  await until("it is in the editor", async () => (await field.inputValue()).startsWith('name = "moneyhub-own"\n'));
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), "TEXTAREA");
  const save = () => page.locator("form").getByRole("button", { name: "Save" }).click();
  const text = (await field.inputValue()).replace("timeout_ms = 5000", "timeout_ms = 7000");
  await field.fill(text.replace("https_only = true", "https_only = true\nno_such = 1"));
  await save();
  await page.locator(".field", { hasText: "TOML" }).getByRole("alert").filter({ hasText: /^Line \d+: unknown field `no_such`/ }).waitFor();
  const chosen = await field.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
  assert.equal(chosen, "no_such = 1", "the line that is wrong is chosen");
  await fit(page, "console: a profile that is wrong");
  await shoot(page, "console-profile-wrong");
  await field.fill(text);
  await save();
  await row("moneyhub-own").waitFor();
  assert.equal(await page.locator(".field").getByRole("alert").count(), 0);
  done("a profile is edited as a copy, an error names its line at the field, and it is stored");

  await page.getByLabel("Compare", { exact: true }).selectOption("moneyhub");
  await page.getByLabel("Compare with").selectOption("moneyhub-own");
  await page.getByRole("status").filter({ hasText: /^1 difference$/ }).waitFor();
  const line = page.getByRole("table", { name: "Differences" }).locator("tbody tr");
  assert.deepEqual(await line.locator("td").allInnerTexts(), ["delivery.timeout_ms", "changed", "5000", "7000"]);
  await page.getByLabel("Compare with").selectOption("dots");
  await page.getByRole("status").filter({ hasText: /^\d\d+ differences$/ }).waitFor();
  await page.getByText("removed", { exact: true }).first().waitFor();
  await page.getByText("added", { exact: true }).first().waitFor();
  await fit(page, "console: profiles compared");
  await shoot(page, "console-profiles-compared");
  await page.getByLabel("Compare with").selectOption("moneyhub");
  await page.getByText("They are the same.").waitFor();

  // It is opened again as it is stored.
  await page.reload();
  await row("moneyhub-own").getByRole("button", { name: "Edit", exact: true }).click();
  await until("it is in the editor", async () => (await field.inputValue()).includes("timeout_ms = 7000"));
  await field.fill((await field.inputValue()).replace("timeout_ms = 7000", "timeout_ms = 8000"));
  await save();
  await until("it is changed", async () => (await api("GET", "/profile/moneyhub-own")).answer.delivery.timeoutMs === 8_000);
  await settled(page);
  assert.equal((await api("GET", "/profile/moneyhub-own")).answer.events.length, (await api("GET", "/profile/moneyhub")).answer.events.length);
  done("two profiles are compared key by key, and one's own is opened, changed and stored");
}
