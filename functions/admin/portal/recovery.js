// @ts-check
// Sending again: each way with its number first, and with the progress of its task after.

import { html, useEffect, useState } from "./vendor/preact.js";
import { call, isPassing, may, own, query, visit } from "./api.js";
import { count } from "./format.js";
import { forgetLists } from "./list.js";
import { Act, ask, say, staying } from "./parts.js";
import { progress } from "./state.js";
import { t } from "./text.js";

const HOUR_MS = 3_600_000;
/** How far back things can be sent again, in hours. */
const SPANS = /** @type {[string, number][]} */ ([["the last hour", 1], ["the last 24 hours", 24], ["the last 7 days", 168], ["the last 14 days", 335]]);
/** What waits has failed at most so long ago, in hours: the schedule is over by then. */
const WAITING_H = 72;
/** How often a task is looked at, in milliseconds. */
const LOOK_MS = 700;
/** And after a look that came to nothing. */
const PAUSE_MS = 2_000;

const since = (hours) => new Date(Date.now() - hours * HOUR_MS).toISOString();

/** Messages that wait for another try: what was not tried yet is sent by itself. */
export const retried = (health) => health.waiting - (health.untried ?? 0);

/** Retries what waits for its next try at these endpoints, of the visitor or of an `app` each, after a yes; the tasks with their endpoints, or nothing. */
export async function retryAll(endpoints) {
  const more = endpoints.every((one) => one.health.complete) ? "" : "+";
  const number = `${count(endpoints.reduce((sum, one) => sum + retried(one.health), 0))}${more}`;
  const says = endpoints.length === 1 ? t("{n} messages wait for their next try. Retry them now?", { n: number })
    : t("{n} messages of {m} endpoints wait for their next try. Retry them now?", { n: number, m: endpoints.length });
  if (!(await ask(html`<p>${says}</p>`, t("Retry now")))) return null;
  forgetLists();
  const begin = (one) => call("POST", `/app/${one.app ?? visit.application}/endpoint/${one.id}/bulk-replay`, { since: since(WAITING_H), status: 1 });
  const begun = await Promise.allSettled(endpoints.map(begin));
  const tasks = begun.flatMap((one, at) => (one.status === "fulfilled" ? [{ ...one.value, endpoint: endpoints[at] }] : []));
  const failed = begun.find((one) => one.status === "rejected");
  // What began is followed, whatever the others say.
  if (failed && tasks.length === 0) throw failed.reason;
  if (failed) say(failed.reason.message, true);
  return tasks;
}

/** Pages that are looked through for what failed for good. */
const PAGES = 5;

/** How many messages failed for good, among the first few pages; whether those are all. */
async function failed(ep, hours) {
  let [n, iterator, done] = [0, undefined, false];
  for (let page = 0; page < PAGES && !done; page += 1) {
    const seen = await own("GET", `/delivery${query({ endpoint_id: ep, state: "failed", after: since(hours), limit: 50, iterator })}`);
    [n, iterator, done] = [n + seen.data.length, seen.iterator, seen.done];
  }
  return { n, done };
}

/** The buttons, and what became of the last one. */
export function Recovery({ ep, health, off, done }) {
  const [hours, set] = useState(24);
  const [task, follow] = useState(null);
  if (!may("CreateAttempts")) return null;
  if (off) return html`<p class="minor">${t("Enable it to send again what it did not get.")}</p>`;
  const begin = async (begun) => {
    if (!begun) return;
    forgetLists();
    follow(begun);
  };
  const recover = async () => {
    const here = staying();
    const lost = await failed(ep, hours);
    if (lost.n === 0 && lost.done) return say(t("Nothing failed for good."));
    const text = html`<p>${lost.n === 0 ? t("None of the latest messages failed for good. Look through the older ones, and try again what did?")
      : t("{n} messages failed for good. Try them once more?", { n: `${count(lost.n)}${lost.done ? "" : "+"}` })}</p>`;
    if (here() && (await ask(text, t("Recover")))) await begin(await own("POST", `/endpoint/${ep}/recover`, { since: since(hours) }));
    return undefined;
  };
  const replay = async () => {
    const here = staying();
    const seen = await own("GET", `/endpoint/${ep}/missing${query({ after: since(hours) })}`);
    if (seen.missing === 0 && seen.complete) return say(t("Nothing is missing."));
    const text = html`<p>${seen.missing === 0 ? t("None of the latest {n} messages is missing. Look through the older ones, and send what is?", { n: count(seen.lookedAt) })
      : t("{n} messages that this endpoint wants were never sent to it. Send them?", { n: `${count(seen.missing)}${seen.complete ? "" : "+"}` })}</p>
      ${seen.missing > 0 && !seen.complete && html`<p class="minor">${t("Counted among the latest {n}; there may be more.", { n: count(seen.lookedAt) })}</p>`}`;
    if (here() && (await ask(text, t("Replay")))) await begin(await own("POST", `/endpoint/${ep}/replay-missing`, { since: since(hours) }));
    return undefined;
  };
  return html`<div class="side recovery">
    ${retried(health) > 0 && html`<${Act} act=${async () => begin((await retryAll([{ id: ep, health }]))?.[0])}>${t("Retry waiting now")} (${count(retried(health))}${health.complete ? "" : "+"})<//>`}
    <select aria-label=${t("Since")} value=${hours} onChange=${(event) => set(Number(event.target.value))}>${SPANS.map(([label, value]) => html`<option value=${value}>${t(label)}</option>`)}</select>
    <${Act} act=${recover}>${t("Recover failed")}<//>
    <${Act} act=${replay}>${t("Replay missing")}<//>
    ${task && html`<${Progress} task=${task} done=${done} />`}</div>`;
}

/** A background task, until it is over. `of`: what it is about; `read`: how it is read, if it is not the application's. */
export function Progress({ task, of, done, read }) {
  const [now, set] = useState(task);
  /** Whether the latest look came to nothing. */
  const [lost, lose] = useState(false);
  useEffect(() => {
    let [timer, isOver] = [0, false];
    const wait = (act, ms) => { if (!isOver) timer = setTimeout(act, ms); };
    const look = async () => {
      try {
        const seen = await (read ? read(task.id) : own("GET", `/background-task/${task.id}`));
        set(seen);
        lose(false);
        wait(seen.status === "running" ? look : () => done?.(), LOOK_MS);
      } catch (error) {
        if (!isPassing(error)) return say(error.message, true);
        lose(true);
        wait(look, PAUSE_MS);
      }
      return undefined;
    };
    look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [task.id]);
  const word = { running: t("running"), finished: t("finished"), failed: t("failed") }[now.status];
  return html`<p class="progress" role="status">${of && `${of}: `}${t("Task")} ${word}${progress(now.data).map((said) => ` · ${said}`)}${lost && ` · ${t("no connection")}`}</p>`;
}
