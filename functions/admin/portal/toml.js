// @ts-check
// Profiles as text, as somebody edits them, and what one has that another has not.

import { byName } from "./format.js";

/** What a field of the API is called in a file. @param {string} field */
const inFile = (field) => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** A string, as it is easiest to read. @param {string} value */
function quoted(value) {
  const raw = !/[^\t\n\x20-\x7e\u00a0-\uffff]|'''|'$/.test(value);
  if (raw && value.includes("\n")) return `'''\n${value}'''`;
  if (raw && /["\\]/.test(value) && !value.includes("'")) return `'${value}'`;
  return JSON.stringify(value).replaceAll("\x7f", "\\u007f");
}

/** @param {any} value @returns {string} */
function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  return typeof value === "string" ? quoted(value) : String(value);
}

/**
 * A table's lines: what it says itself, then the tables in it. What is not so anyway is left out.
 * @param {string} path @param {Record<string, any>} fields @param {(name: string) => string} called @returns {string[]}
 */
function table(path, fields, called) {
  const said = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== false);
  const isTable = ([, value]) => typeof value === "object" && !Array.isArray(value);
  const bare = (name) => (/^[\w-]+$/.test(name) ? name : JSON.stringify(name));
  const own = said.filter((one) => !isTable(one)).map(([name, value]) => `${bare(called(name))} = ${written(value)}`);
  const inner = said.filter(isTable).flatMap(([name, value]) => {
    const place = path ? `${path}.${bare(called(name))}` : bare(called(name));
    // What stands below `urns` are names of event types, which stay as they are.
    const lines = table(place, value, path === "jwt" ? (key) => key : called);
    return lines.length ? ["", `[${place}]`, ...lines] : [];
  });
  return [...own, ...inner];
}

/** A profile as a file. @param {any} profile as the API answers it @param {string} [name] another one for it */
export function toml({ events, ...rules }, name = rules.name) {
  const lines = table("", { ...rules, name }, inFile);
  const made = events.flatMap((event) => ["", "[[event]]", ...table("", event, inFile)]);
  return `${[...lines, ...made].join("\n")}\n`;
}

/** JSON that is in a text. @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Every value of this one by its key. @param {string} key @param {any} value @param {Map<string, string>} into */
function spread(key, value, into) {
  const below = value && typeof value === "object" && (!Array.isArray(value) || value.some((one) => one && typeof one === "object"));
  if (!below || Object.keys(value).length === 0) {
    into.set(key, typeof value === "string" ? value : JSON.stringify(value));
    return;
  }
  for (const [name, one] of Object.entries(value)) spread(Array.isArray(value) ? `${key}[${name}]` : `${key}.${name}`, one, into);
}

/** A profile's values by the keys of a file, and those of its events. @param {any} profile @param {any} other */
function values({ name: _, events, ...rules }, other) {
  const found = /** @type {Map<string, string>} */ (new Map());
  const named = (value) => (value && typeof value === "object" && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).map(([key, one]) => [inFile(key), one])) : value);
  for (const [key, value] of Object.entries(rules)) if (value !== null) spread(inFile(key), named(value), found);
  const shared = new Set(other.events.map((one) => one.type));
  for (const { type, description, schema, example, ...more } of events) {
    const key = `event.${type}`;
    // Of one that the other has not, what it is for is enough.
    if (!shared.has(type)) found.set(key, description);
    else spread(key, { description, schema: parsed(schema), example: parsed(example), ...more }, found);
  }
  return found;
}

/**
 * What another profile has otherwise, key by key.
 * @param {any} one @param {any} other @returns {{key: string, kind: "added" | "removed" | "changed", before?: string, after?: string}[]}
 */
export function differences(one, other) {
  const [left, right] = [values(one, other), values(other, one)];
  const keys = [...new Set([...left.keys(), ...right.keys()])].filter((key) => left.get(key) !== right.get(key)).sort(byName);
  return keys.map((key) => ({ key, before: left.get(key), after: right.get(key), kind: !left.has(key) ? "added" : !right.has(key) ? "removed" : "changed" }));
}
