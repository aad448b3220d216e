// @ts-check
// How things are said: times, numbers, states. Nothing here touches a page.

import { spoken, t } from "./text.js";

const UNITS = /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([
  ["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1_000],
]);

/** "22 min ago", "in 7 min". @param {string | null | undefined} text @param {number} now */
export function ago(text, now) {
  if (!text) return "–";
  const apart = Date.parse(text) - now;
  // What would be said as 60 minutes is an hour.
  const [unit, size] = UNITS.find(([, size], at) => Math.abs(apart) >= size - (UNITS[at + 1]?.[1] ?? 0) / 2) ?? UNITS[3];
  const format = new Intl.RelativeTimeFormat(spoken(), { style: "short", numeric: "auto" });
  // A point after a short word would stand before that of a sentence.
  return format.format(Math.round(apart / size), unit).replace(/(\p{L})\./gu, "$1");
}

/** The exact time. @param {string} text */
export function exact(text) {
  return new Date(text).toLocaleString(spoken(), { dateStyle: "medium", timeStyle: "long" });
}

/** A time of day, with the date if it is not today. @param {string} text @param {number} now */
export function clock(text, now) {
  const at = new Date(text);
  const today = at.toDateString() === new Date(now).toDateString();
  return at.toLocaleString(spoken(), today ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "short" });
}

/** A number. @param {number} value */
export function count(value) {
  return new Intl.NumberFormat(spoken()).format(value);
}

/** Milliseconds. @param {number | null | undefined} ms */
export function took(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 10_000 ? `${count(ms)} ms` : `${count(Math.round(ms / 100) / 10)} s`;
}

/** A part of a whole. @param {number} part @param {number} whole */
export function percent(part, whole) {
  if (!whole) return "–";
  const digits = part === 0 || part === whole || part * 10 > whole ? 0 : 1;
  return `${new Intl.NumberFormat(spoken(), { maximumFractionDigits: digits }).format((100 * part) / whole)} %`;
}

/** An answer. @param {number | null | undefined} status */
export function answered(status) {
  if (status === null || status === undefined) return "–";
  return status > 0 ? `HTTP ${status}` : t("no answer");
}

/** Names as people sort them: 2 before 10. @param {string} one @param {string} other */
export function byName(one, other) {
  return one.localeCompare(other, undefined, { numeric: true });
}

/**
 * Event types by group: the one that they name, or what is before the first dot.
 * @template {{name: string, group?: string}} E
 * @param {E[]} events @returns {[string, E[]][]}
 */
export function grouped(events) {
  /** @type {Map<string, E[]>} */
  const groups = new Map();
  for (const event of events) {
    const name = event.group || (event.name.includes(".") ? event.name.split(".")[0] : "");
    groups.set(name, [...(groups.get(name) ?? []), event]);
  }
  return [...groups].sort(([one], [other]) => byName(one, other));
}

/** What a search keeps. @param {string} wanted @param {...(string | null | undefined)} texts */
export function fits(wanted, ...texts) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const all = texts.join(" ").toLowerCase();
  return words.every((word) => all.includes(word));
}

/** What a search looks at of an id: all of it where an id is written, and otherwise nothing, since its letters mean nothing. @param {string} wanted @param {string} id */
export function idFor(wanted, id) {
  return /(^|\s)(app|ep|msg)_/i.test(wanted) ? id : "";
}

/**
 * Delays as people write them: `5s, 5m, 2h`, or nothing. Throws a sentence.
 * @param {string} text @returns {number[] | null}
 */
export function delays(text) {
  const parts = text.split(/[\s,]+/).filter(Boolean);
  return parts.length === 0 ? null : parts.map((part) => {
    const found = /^(\d+)([smhd]?)$/.exec(part);
    if (!found) throw Object.assign(new Error(t("Write delays like 5s, 5m, 2h")), { field: "retrySchedule" });
    const seconds = Number(found[1]) * { s: 1, m: 60, h: 3_600, d: 86_400, "": 1 }[found[2]];
    if (seconds > 604_800) throw Object.assign(new Error(t("A delay is at most 7d")), { field: "retrySchedule" });
    return seconds;
  });
}

/** The same the other way round. @param {number[] | null | undefined} seconds */
export function schedule(seconds) {
  return (seconds ?? []).map((delay) => {
    for (const [unit, size] of /** @type {[string, number][]} */ ([["d", 86_400], ["h", 3_600], ["m", 60]])) {
      if (delay % size === 0) return `${delay / size}${unit}`;
    }
    return `${delay}s`;
  }).join(", ");
}

/**
 * What is said now and was not before: the rest may have been changed elsewhere meanwhile.
 * @param {Record<string, any>} now @param {Record<string, any>} before
 */
export function changes(now, before) {
  return Object.fromEntries(Object.entries(now).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(before[key])));
}

/** Headers as one writes them, one a line. @param {string} text @returns {Record<string, string>} */
export function headers(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(lines.map((line) => {
    const [, name, value] = /^([^\s:]+)\s*:\s*(.*)$/.exec(line) ?? [];
    if (!name) throw Object.assign(new Error(t("Write headers like x-team: payments, one a line")), { field: "headers" });
    return [name, value];
  }));
}

/**
 * A request as a shell command.
 * @param {{method: string, url: string, headers: {name: string, value: string}[], body: string | null}} request
 */
export function curl({ method, url, headers, body }) {
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [`curl -X ${method} ${quoted(url)}`];
  for (const { name, value } of headers) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== null) parts.push(`--data-raw ${quoted(body)}`);
  return parts.join(" \\\n  ");
}

/**
 * The fields that a schema describes, with those of what is within.
 * @param {any} schema @param {string} [before] @returns {{name: string, type: string, says: string, always: boolean}[]}
 */
export function fields(schema, before = "") {
  if (typeof schema !== "object" || !schema?.properties || before.split(".").length > 6) return [];
  const always = new Set(Array.isArray(schema.required) ? schema.required : []);
  return Object.entries(schema.properties).flatMap(([name, part]) => {
    const own = typeof part === "object" && part ? /** @type {any} */ (part) : {};
    const type = [own.type ?? (own.enum ? "enum" : "any")].flat().join(" | ") + (own.format ? ` (${own.format})` : "");
    const values = Array.isArray(own.enum) ? own.enum.slice(0, 8).join(", ") : "";
    const inner = own.items?.properties ? fields(own.items, `${before}${name}[].`) : fields(own, `${before}${name}.`);
    const says = [own.title ?? "", own.description ?? "", values].filter(Boolean).join(" · ");
    return [{ name: before + name, type, says, always: always.has(name) }, ...inner];
  });
}
