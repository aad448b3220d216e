// What an operator's console does while others change the same, and while answers are late.

import assert from "node:assert/strict";

/** All of it. */
export async function shared(kit, page) {
  await edited(kit, page);
  await dressed(kit, page);
}

/** Saving an event type says what was changed there and nothing else. */
export async function edited({ api, done, origin }, page) {
  const name = "kept.type";
  const [first, second] = [1, 2].map((n) => ({ type: "object", properties: { [`v${n}`]: {} } }));
  assert.equal((await api("POST", "/event-type", { name, description: "Hidden", featureFlags: ["beta", "new"], schemas: { 1: first } })).status, 201);
  const now = async () => (await api("GET", `/event-type/${name}`)).answer;
  const open = async () => {
    await page.goto(`${origin}/console#/kinds?do=${name}`);
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
