// @ts-check
// JSON as text. What was sent is shown as it was sent: every digit, every key in its place, which
// `JSON.parse` does not keep.

/** The parts of JSON: a string, a mark, or whatever else stands between them. */
const PARTS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Characters that would turn the text around them, or not be seen. */
const UNSEEN = /[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
/** Those of them that turn it; of the others some belong to letters, and to pictures of people. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;
/** A text of which nothing can be seen. */
const BLANK = /^[\p{C}\p{Z}\p{DI}\u2800]*$/u;

/** A text that is JSON, and is sent as it is. */
export class Json {
  /** Throws what is wrong with it. @param {string} text */
  constructor(text) {
    JSON.parse(text);
    this.text = text;
  }
}

/** A body as JSON; what is a `Json` in it stays the text that it is. @param {any} body */
export function written(body) {
  const texts = /** @type {string[]} */ ([]);
  // Nobody can have written it into another text.
  const mark = `json-${Math.random()}-`;
  const text = JSON.stringify(body, (_, value) => (value instanceof Json ? mark + (texts.push(value.text) - 1) : value));
  return texts.length === 0 ? text : text.replace(new RegExp(`"${mark.replace(".", "\\.")}(\\d+)"`, "g"), (_, at) => texts[at]);
}

/** JSON laid out for reading; anything else as it is. @param {any} value */
export function laidOut(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  try {
    JSON.parse(value);
  } catch {
    return value;
  }
  let [depth, before] = [0, ""];
  const line = () => `\n${"  ".repeat(depth)}`;
  return (value.match(PARTS) ?? []).map((part) => {
    let lead = "";
    const opened = before === "{" || before === "[";
    if (part === "}" || part === "]") {
      depth -= 1;
      lead = opened ? "" : line();
    } else if (opened || before === ",") {
      lead = line();
    } else if (before === ":") {
      lead = " ";
    }
    if (part === "{" || part === "[") depth += 1;
    before = part;
    return lead + part;
  }).join("");
}

/**
 * Where in a JSON text the value at this path is, as it is written there.
 * @param {string} text @param {string[]} path @returns {string | undefined}
 */
export function sourceAt(text, path) {
  const parts = [...text.matchAll(PARTS)];
  let at = 0;
  /** The part after the value that begins at this one. @param {number} from */
  const after = (from) => {
    let depth = 0;
    for (let part = from; part < parts.length; part += 1) {
      if ("{[".includes(parts[part][0])) depth += 1;
      else if ("}]".includes(parts[part][0])) depth -= 1;
      if (depth === 0) return part + 1;
    }
    return parts.length;
  };
  for (const step of path) {
    const [kind] = parts[at] ?? [""];
    if (kind !== "{" && kind !== "[") return undefined;
    let found;
    let index = 0;
    for (let part = at + 1; part < parts.length && !"}]".includes(parts[part][0]);) {
      const value = kind === "{" ? part + 2 : part;
      const name = kind === "{" ? JSON.parse(parts[part][0]) : String(index);
      if (name === step) found = value;
      part = after(value);
      if (parts[part]?.[0] === ",") part += 1;
      index += 1;
    }
    if (found === undefined) return undefined;
    at = found;
  }
  const [first, last] = [parts[at], parts[after(at) - 1]];
  return first && text.slice(first.index, last.index + last[0].length);
}

/** Spells characters out. @param {string} text @param {RegExp} which */
const spelled = (text, which) => text.replace(which, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

/**
 * A name as it is shown: what would turn the text around it is spelled out, and something stands
 * for one that nobody could see.
 * @param {string | null | undefined} name @param {string} [instead]
 */
export function named(name, instead = "–") {
  return !name || BLANK.test(name) ? instead : spelled(name, TURNING);
}

/**
 * JSON in pieces, for colours; anything else is one piece. What would not be seen is spelled out.
 * @param {string} text @returns {{kind: string, text: string}[]}
 */
export function pieces(text) {
  const seen = spelled(text, UNSEEN);
  try {
    JSON.parse(text);
  } catch {
    return [{ kind: "", text: seen }];
  }
  const found = seen.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*|[^"\d\w-]+|./g);
  const made = [];
  for (const [whole, string, colon] of found) {
    if (string && colon) made.push({ kind: "key", text: string }, { kind: "", text: colon });
    else if (string) made.push({ kind: "string", text: whole });
    else if (/^[-\d]|^(true|false|null)$/.test(whole)) made.push({ kind: "value", text: whole });
    else made.push({ kind: "", text: whole });
  }
  return made;
}
