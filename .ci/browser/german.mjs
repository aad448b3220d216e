// Every text of every page, in a German whose texts are marked: what is on a page without a mark
// is English that nobody translated, whether it stands in a page's script or comes of the server.

import assert from "node:assert/strict";

/** Words that are the same in both languages, names, and examples of addresses. */
const SAME = /#2450c0|Inter, system-ui|https:\/\/\S+|x-team|endpoint\.\w+|HTTP|Posthorn|\bms?\b|\bs\b|\bId\b|\bUid\b|URL|p\d\d|JSON|JWT|TOML|v1a?|HMAC|ed25519|\bh\b|\bmin\b|\bd\b|KB/gu;

/** Marks the texts of the German script on its way to the browser. */
export async function mark(context) {
  let marked = 0;
  await context.route("**/portal/*.js", async (route) => {
    const response = await route.fetch();
    const script = await response.text();
    const made = script.replace("return{DE,SERVER};", () => {
      marked += 1;
      return 'const m=(all)=>Object.fromEntries(Object.entries(all).map(([k,v])=>[k,"‹"+v+"›"]));return{DE:m(DE),SERVER:m(SERVER)};';
    });
    await route.fulfill({ response, body: made });
  });
  return () => assert.equal(marked, 1, "the German script was found and marked");
}

/** What the page shows without a mark. `known`: names that are data; `settled`: waits for what is loading. */
export async function english(page, place, known, settled) {
  await page.evaluate(() => document.querySelectorAll("main details").forEach((one) => { one.open = true; }));
  await settled(page);
  const found = await page.evaluate(() => {
    const texts = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      if (!walk.currentNode.parentElement.closest("code, pre, time, textarea, noscript, [translate=no]")) texts.push(walk.currentNode.data);
    }
    for (const one of document.querySelectorAll("[aria-label], [title]:not(time, code), [placeholder]")) {
      for (const name of ["aria-label", "title", "placeholder"]) texts.push(one.getAttribute(name) ?? "");
    }
    return texts;
  });
  assert.ok(found.length > 5, `${place} shows nothing`);
  const unmarked = found.filter((text) => {
    let rest = text;
    for (const name of known) rest = rest.replaceAll(name, "");
    for (let before = ""; before !== rest;) [before, rest] = [rest, rest.replace(/‹[^‹›]*›/g, "")];
    return /\p{L}/u.test(rest.replace(SAME, ""));
  });
  return [...new Set(unmarked)].map((text) => `${place}: ${text}`);
}
