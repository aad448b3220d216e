// @ts-check
// The API as the pages use it, and the visit: whose token it is, and what it may do.

import { sourceAt, written } from "./json.js";
import { t, tell } from "./text.js";

/** How names of kept tokens begin, of which each application has one. */
const KEPT = "posthorn:";
/** Capabilities that have another one in them. */
const WIDER = new Map([
  ["ViewEndpointSecret", ["ManageEndpointSecret", "ManageEndpoint"]],
  ["ManageEndpointSecret", ["ManageEndpoint"]],
]);

/** What stands for an answer where there is none. */
const UNREACHED = { detail: "The server cannot be reached. Are you online?" };

/** The visit: the token, whose it is, and how the link wanted the pages to look. */
export const visit = {
  token: /** @type {string | null} */ (null),
  application: /** @type {string | null} */ (null),
  organisation: /** @type {string | null} */ (null),
  /** What the visitor may do; `null` is everything. */
  capabilities: /** @type {string[] | null} */ (null),
  scope: /** @type {string | null} */ (null),
  /** `theme`, `accent`, `font`, `lang`, `chrome` of the link. */
  look: /** @type {Record<string, string>} */ ({}),
  console: false,
};

/** What the API refused: its status and its words. */
export class Refused extends Error {
  /** @param {number} status @param {any} answer */
  constructor(status, answer) {
    const rules = Array.isArray(answer?.detail) ? answer.detail : [];
    const said = rules.map((rule) => `${rule.loc.slice(1).join(".")} ${tell(rule.msg)}`).join("; ");
    super(said || (status === 404 ? t("There is nothing here, or no longer.") : tell(answer?.detail)) || `HTTP ${status}`);
    this.status = status;
    /** The broken rules, by the field of the request that broke them. */
    this.fields = byField(rules);
  }
}

/** Whether what was refused may be taken in a moment: nobody can be reached, or there is too much to do. @param {any} error */
export function isPassing({ status }) {
  return status === 0 || status === 429 || status >= 500;
}

/** What is wrong, by field; with what has names in it, like headers, each is named. @returns {Map<string, string>} */
function byField(rules) {
  const fields = new Map();
  for (const { loc, msg } of rules) {
    const [field = "", ...parts] = loc.slice(1);
    const named = parts.some((part) => !/^\d+$/.test(part));
    const said = named ? `${parts.join(".")} ${tell(msg)}` : tell(msg);
    fields.set(field, fields.has(field) ? `${fields.get(field)}; ${said}` : said);
  }
  return fields;
}

/**
 * Exchanges the code of a link that opens once for the token that it stands for. Throws `Refused`,
 * and keeps the code, where it may be taken in a moment.
 */
export async function redeem() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("code")) return;
  const body = JSON.stringify({ oneTimeToken: given.get("code") });
  const headers = { "content-type": "application/json" };
  const answer = await fetch("/api/v1/auth/one-time-token", { method: "POST", headers, body }).catch(() => null);
  if (!answer) throw new Refused(0, UNREACHED);
  if (isPassing(answer)) throw new Refused(answer.status, await answer.json().catch(() => null));
  given.delete("code");
  if (answer.ok) given.set("key", (await answer.json()).token);
  history.replaceState(null, "", `#${given}`);
}

/**
 * Takes the token from the link and out of the address bar, or finds the one that was kept.
 * False if there is none.
 */
export function enter() {
  visit.console = location.pathname.startsWith("/console");
  const given = new URLSearchParams(location.hash.slice(1));
  const key = given.get("key");
  if (key) {
    remembered.clear();
    const whose = visitor(key);
    const name = visit.console ? "console" : whose.application;
    for (const part of ["theme", "accent", "font", "lang", "chrome"]) {
      const value = given.get(part);
      if (value) visit.look[part] = value;
    }
    keep(String(name), { token: key, look: visit.look });
    const next = given.get("next") ?? "";
    const page = /^\/[\w/?=&.-]*$/.test(next) ? next : visit.console ? "/today" : "/endpoints";
    const place = visit.console ? location.pathname : `${location.pathname}?app=${name}`;
    history.replaceState(null, "", `${place}#${page}`);
    Object.assign(visit, { token: key, ...whose });
  } else if (!visit.token) {
    const name = visit.console ? "console" : new URLSearchParams(location.search).get("app");
    const found = kept(name ?? "");
    if (found) Object.assign(visit, { token: found.token, look: found.look, ...visitor(found.token) });
  }
  return visit.console ? visit.organisation !== null : visit.application !== null;
}

/** Forgets the token, and leaves what another tab may have kept in its place. */
export function forget() {
  const name = visit.console ? "console" : String(visit.application);
  for (const store of stores()) {
    if (kept(name, [store])?.token === visit.token) store.removeItem(KEPT + name);
  }
  visit.token = visit.application = null;
}

/**
 * Whether the visitor may do what needs this capability. The server asks again; this is for
 * pages that offer nothing which it would refuse.
 * @param {string} capability
 */
export function may(capability) {
  const held = visit.capabilities;
  if (held === null || held.includes(capability)) return true;
  return (WIDER.get(capability) ?? []).some((wider) => held.includes(wider));
}

/** Where the keys are that check tokens sent to the visitor. */
export function keySet() {
  return `/.well-known/${visit.organisation}/jwks.json`;
}

/**
 * A call on the visitor's application: `path` begins with a slash, or is empty.
 * @template {string} M @template {string} P
 * @param {M} method @param {P} path @param {any} [body] @returns {Promise<string extends P ? any : Answer<M, `/app/${string}${P}`>>}
 */
export function own(method, path, body) {
  return /** @type {any} */ (call(method, `/app/${visit.application}${path}`, body));
}

/**
 * A call of the API; what it answered, or `null` for no content. Throws `Refused`.
 * @template {string} M @template {string} P
 * @param {M} method @param {P} path @param {any} [body] @returns {Promise<Answer<M, P>>}
 */
export async function call(method, path, body) {
  // A browser would leave these out, and ask for what is above.
  if (/\/\.{1,2}(?=[/?]|$)/.test(path)) throw new Refused(404, null);
  /** @type {Record<string, string>} */
  const headers = { authorization: `Bearer ${visit.token}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const base = path.startsWith("/ingest/") ? "" : "/api/v1";
  const url = path.startsWith("/local/") ? path : `${base}${path}`;
  let response;
  try {
    response = await fetch(url, { method, headers, body: written(body) });
  } catch {
    throw new Refused(0, UNREACHED);
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    answer = { detail: text.slice(0, 200) };
  }
  if (!response.ok) {
    if (response.status === 401) dispatchEvent(new Event("expired"));
    throw new Refused(response.status, answer);
  }
  if (answer instanceof Object) sources.set(answer, text);
  return answer;
}

/** Answers as they came. @type {WeakMap<object, string>} */
const sources = new WeakMap();

/**
 * A part of an answer as it was written, with every digit.
 * @param {object} answer @param {...string} path
 */
export function asWritten(answer, ...path) {
  return sourceAt(sources.get(answer) ?? "", path);
}

/**
 * `?a=1&b=2` of what is set.
 * @param {Record<string, any>} parameters
 */
export function query(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

/** A page of a list, as far as walking needs it. @template R @typedef {{data: R[], iterator?: string | null, done: boolean}} Page */

/** Most pages of a list that is taken as a whole. */
const MOST_PAGES = 20;

/**
 * All of a list that is known to be short. Of one that is not, as much as a page should show.
 * @template R @param {(iterator: string | null) => Promise<Page<R>>} page
 */
export async function all(page) {
  return (await beginning(page)).found;
}

/** All endpoints of an application, which are 10,000 at the most: of the visitor's. */
export async function allEndpoints(app = visit.application) {
  return (await beginning((iterator) => call("GET", `/app/${app}/endpoint${query({ limit: 250, iterator })}`), 40)).found;
}

/**
 * The beginning of a list, and whether that is all of it.
 * @template R @param {(iterator: string | null) => Promise<Page<R>>} page @param {number} [most] how many pages at the most
 */
export async function beginning(page, most = MOST_PAGES) {
  const found = /** @type {R[]} */ ([]);
  let iterator = /** @type {string | null} */ (null);
  for (let pages = 0; pages < most; pages += 1) {
    const answer = await page(iterator);
    found.push(...answer.data);
    if (answer.done || !answer.iterator) return { found, whole: true };
    iterator = answer.iterator;
  }
  return { found, whole: false };
}

/** What was asked for once. */
const remembered = new Map();

/**
 * What `read` answers, asked for once a visit.
 * @template T @param {string} name @param {() => Promise<T>} read @returns {Promise<T>}
 */
export function once(name, read) {
  if (!remembered.has(name)) {
    const asked = read();
    remembered.set(name, asked);
    asked.catch(() => remembered.delete(name));
  }
  return remembered.get(name);
}

/** Waits until something is taken away: it may be gone already. @param {Promise<any>} asked */
export function gone(asked) {
  return asked.catch((error) => {
    if (error.status !== 404) throw error;
  });
}

/** Forgets what was asked for once. @param {string} name */
export function anew(name) {
  remembered.delete(name);
}

/**
 * Where tokens are kept: for this tab, whatever link is opened in another one, and for new tabs. A
 * frame in somebody's page may have neither: then the token lives as long as the page.
 */
function stores() {
  try {
    return [sessionStorage, localStorage];
  } catch {
    return [];
  }
}

/** @param {string} name @param {any} value */
function keep(name, value) {
  for (const store of stores()) {
    try {
      store.setItem(KEPT + name, JSON.stringify(value));
    } catch {
      // It is full.
    }
  }
}

/** The first that is kept under this name. @param {string} name */
function kept(name, within = stores()) {
  for (const store of within) {
    try {
      const found = JSON.parse(store.getItem(KEPT + name) ?? "null");
      if (found) return found;
    } catch {
      // Nobody but us writes there; what cannot be read is nothing.
    }
  }
  return null;
}

/** Whose token it is; nobody's if it cannot be read. @param {string} jwt */
export function visitor(jwt) {
  try {
    const part = jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const { sub, org, capabilities, scope } = JSON.parse(atob(part));
    const isApp = /^app_\w+$/.test(sub);
    return {
      application: isApp ? sub : null,
      organisation: isApp ? org : sub,
      capabilities: capabilities ?? null,
      scope: scope ?? null,
    };
  } catch {
    return { application: null, organisation: null, capabilities: [], scope: null };
  }
}
