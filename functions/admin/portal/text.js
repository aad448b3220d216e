// @ts-check
// Languages: a text is looked up by its English; what a language does not have stays English.

/** @typedef {Record<string, string>} Texts */

/** The language that is spoken. */
let language = "en";
/** Its texts, by their English. @type {Texts} */
let texts = {};
/** Sentences of the server, by their English. @type {Texts} */
let sentences = {};
/** Those with a place for something. @type {[RegExp, string][]} */
let patterns = [];

/** Chooses the language, and asks for its texts; what there is not, or does not arrive, is English. @param {string | null | undefined} wanted */
export async function speak(wanted) {
  const isGerman = (wanted ?? "").slice(0, 2).toLowerCase() === "de";
  const found = isGerman ? await import("./de.js").catch(() => null) : null;
  language = found ? "de" : "en";
  use(found?.DE ?? {}, found?.SERVER ?? {});
  return language;
}

/** Takes these texts, and sentences of the server. @param {Texts} own @param {Texts} server */
export function use(own, server) {
  texts = own;
  sentences = server;
  // The one that says most is tried first, wherever it stands.
  const places = Object.entries(server).filter(([english]) => english.includes("{")).sort(([one], [other]) => other.length - one.length);
  patterns = places.map(([english, text]) => {
    const literal = english.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
    return [new RegExp(`^${literal.replace(/\{(\w+)\}/g, "(?<$1>.*?)")}$`, "s"), text];
  });
}

/** Places of a sentence for what is one itself. */
const INNER = ["why", "error", "wanted"];

/**
 * A sentence of the server in the chosen language, with those that stand in it. What there is not
 * stays as it is, and so does "must be" with something unknown.
 * @param {string | null | undefined} english @returns {string}
 */
export function tell(english) {
  if (!english || Object.hasOwn(sentences, english)) return sentences[english ?? ""] ?? "";
  for (const [pattern, text] of patterns) {
    const found = pattern.exec(english)?.groups;
    if (found && (!found.wanted || Object.hasOwn(sentences, found.wanted))) return text.replace(/\{(\w+)\}/g, (_, name) => (INNER.includes(name) ? tell(found[name]) : found[name]));
  }
  return english;
}

/** The language that is spoken. */
export function spoken() {
  return language;
}

/** What is said of one thing, by what is said of many. @type {Texts} */
export const ONE = {
  "{n} messages wait": "1 message waits",
  "{n} messages wait for their next try. Retry them now?": "1 message waits for its next try. Retry it now?",
  "{n} messages failed for good. Try them once more?": "1 message failed for good. Try it once more?",
  "{n} messages that this endpoint wants were never sent to it. Send them?": "1 message that this endpoint wants was never sent to it. Send it?",
  "{n} deliveries are sent again": "1 delivery is sent again",
  "{n} records are in their queues again": "1 record is in its queue again",
  "{n} event types changed": "1 event type changed",
  "{n} event types loaded": "1 event type loaded",
  "{n} fields": "1 field",
  "{n} differences": "1 difference",
  "Publish {type} to {n} applications? This cannot be undone.": "Publish {type} to 1 application? This cannot be undone.",
};

/**
 * A text in the chosen language. `{name}` stands for a value; `n` is how many there are.
 * @param {string} english @param {Record<string, any>} [values]
 */
export function t(english, values) {
  const said = String(values?.n) === "1" ? ONE[english] ?? english : english;
  const text = texts[said] ?? said;
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => String(values[name])) : text;
}
