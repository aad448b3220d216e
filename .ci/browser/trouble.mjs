// What the portal does while the server is busy, slow or gone, and with what strangers made.

import assert from "node:assert/strict";

/** An answer of a server that has too much to do. */
const BUSY = { status: 503, json: { code: "unavailable", detail: "Ask again in a moment." } };

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
