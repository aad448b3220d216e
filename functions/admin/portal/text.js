// @ts-check
// Languages: a text is looked up by its English; what a language does not have stays English.

/** @type {Record<string, Record<string, string>>} */
const LANGUAGES = {};
let language = "en";

/** Chooses the language, and asks for its texts; what there is not is English. @param {string | null | undefined} wanted */
export async function speak(wanted) {
  language = "en";
  if ((wanted ?? "").slice(0, 2).toLowerCase() === "de") {
    LANGUAGES.de = (await import("./de.js")).DE;
    language = "de";
  }
  return language;
}

/** The language that is spoken. */
export function spoken() {
  return language;
}

/**
 * A text in the chosen language. `{name}` stands for a value.
 * @param {string} english @param {Record<string, any>} [values]
 */
export function t(english, values) {
  const text = LANGUAGES[language]?.[english] ?? english;
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => String(values[name])) : text;
}
