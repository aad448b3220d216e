// @ts-check
// Lists that grow by a page at a time.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { Act, Failed, Loaded } from "./parts.js";
import { t } from "./text.js";

/** Most pages that a list asks for by itself. */
const PAGES = 25;

/** A list that was left, by its address: for whoever comes back. */
const left = new Map();
/** Whether this page is one that was left, and that one came back to. */
let isBack = false;

/** Whether this page was left, and somebody came back to it. */
export const cameBack = () => isBack;

/** Notes how one came to this page: back to what was left, or anew, by a link. */
export function arrive() {
  isBack = Boolean(history.state?.seen);
  history.replaceState({ seen: true }, "");
}

/**
 * A list that grows by a page at a time. Whoever comes back finds it as it was left, and whoever
 * follows a link finds it new. A page without anything new is not the end of a list: it asks on,
 * so many times. What is shown stays until there is something else to show.
 * @template {{id: string}} R @param {string} name
 * @param {(iterator: string | null) => Promise<import("./api.js").Page<R>> | import("./api.js").Page<R>} page
 * @returns {{rows: R[], iterator?: string | null, done: boolean, fresh?: boolean, error?: any, isOld?: boolean, more: () => Promise<void>, again: () => Promise<void>, retry: () => Promise<void>, renew: () => Promise<boolean>}}
 */
export function useList(name, page) {
  const empty = { rows: [], iterator: null, done: false };
  const kept = () => (isBack && left.get(name)) || { ...empty, fresh: true };
  const [list, set] = useState(/** @returns {any} */ kept);
  const turn = useRef(0);
  const shown = useRef("");
  /** Asks on from there until there are so many rows. */
  const read = async ({ rows, iterator }, least) => {
    // Whoever asks late may mean a list that is not there any more.
    if (shown.current !== name) return undefined;
    const mine = ++turn.current;
    try {
      for (let pages = 1; ; pages += 1) {
        const answer = await page(iterator);
        if (mine !== turn.current) return undefined;
        const known = new Set(rows.map((row) => row.id));
        rows = [...rows, ...answer.data.filter((row) => !known.has(row.id))];
        iterator = answer.iterator;
        if (rows.length >= least || answer.done || pages > PAGES) {
          const next = { rows, iterator, done: answer.done };
          left.set(name, next);
          return set(next);
        }
      }
    } catch (error) {
      if (mine === turn.current) set((old) => ({ ...old, error, fresh: false, isOld: least <= old.rows.length, retry: () => read({ rows, iterator }, least) }));
      return undefined;
    }
  };
  const more = () => read(list, list.rows.length + 1);
  const again = () => read(empty, Math.max(1, list.rows.length));
  // Rows stay where they are, and what is new does not push them down under the pointer.
  const renew = async () => {
    const mine = turn.current;
    const rows = (await page(null)).data;
    const now = new Map(rows.map((row) => [row.id, row]));
    if (mine !== turn.current) return false;
    const changed = list.rows.some((row) => now.has(row.id) && JSON.stringify(now.get(row.id)) !== JSON.stringify(row));
    if (changed) {
      const next = { ...list, rows: list.rows.map((row) => now.get(row.id) ?? row) };
      left.set(name, next);
      set(next);
    }
    return changed;
  };
  useEffect(() => {
    // Another one on the same page is asked for: as it is now.
    const next = shown.current ? { ...empty, fresh: true } : kept();
    shown.current = name;
    set(next);
    if (next.fresh) read(empty, 1);
    return () => { turn.current += 1; };
  }, [name]);
  return { ...list, more, again, renew };
}

/** Forgets lists that were left: something was changed. */
export function forgetLists() {
  left.clear();
}

/** What stands under a list: more of it, or that there is nothing. */
export function More({ list, empty }) {
  if (list.error) return html`<${Failed} error=${list.error} again=${list.retry} old=${list.isOld} />`;
  if (list.fresh) return html`<${Loaded} of=${{}} />`;
  return html`${list.rows.length === 0 && html`<p class="empty">${list.done ? empty : t("Nothing among the latest.")}</p>`}
    ${!list.done && html`<p><${Act} act=${list.more}>${t("Show more")}<//></p>`}`;
}

/** A button that asks for a list anew: as much of it as is shown. */
export function Refresh({ list }) {
  return html`<${Act} act=${() => {
    forgetLists();
    return list.again();
  }}>${t("Refresh")}<//>`;
}

/** Which rows of a list are chosen, of those that are shown. Of another list, none is at first. */
export function useChosen(name, rows) {
  const [ids, choose] = useState(new Set());
  useEffect(() => choose(new Set()), [name]);
  const pick = (id, on) => choose((old) => new Set(on ? [...old, id] : [...old].filter((one) => one !== id)));
  return { chosen: new Set(rows.map((row) => row.id).filter((id) => ids.has(id))), choose, pick };
}

/** A box in the head of a table: all that is shown, or none; in between while some of it is chosen. */
export function PickAll({ rows, chosen, choose }) {
  const some = rows.filter((row) => chosen.has(row.id)).length;
  const whole = some > 0 && some === rows.length;
  return html`<label class="all"><input type="checkbox" checked=${whole} ref=${(box) => { if (box) box.indeterminate = some > 0 && !whole; }}
    onChange=${() => choose(new Set(whole ? [] : rows.map((row) => row.id)))} /> <span>${t("Select all that are shown")}</span></label>`;
}
