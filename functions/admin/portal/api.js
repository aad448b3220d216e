// The API as the portal uses it: one application, the visitor's token.

const KEPT = "posthorn-token";
/** Capabilities that have another one in them. */
const WIDER = new Map([
  ["ViewEndpointSecret", ["ManageEndpointSecret", "ManageEndpoint"]],
  ["ManageEndpointSecret", ["ManageEndpoint"]],
]);

let token = null;
let application = null;
let organisation = null;
/** What the visitor may do; `null` is everything. */
let capabilities = null;

/** What the API refused: its status and its words. */
export class Refused extends Error {
  constructor(status, answer) {
    const rules = Array.isArray(answer?.detail) ? answer.detail : [];
    const said = rules.map((rule) => `${rule.loc.slice(1).join(".")} ${rule.msg}`).join("; ");
    super(said || answer?.detail || `The server answered ${status}.`);
    this.status = status;
    /** The broken rules, by the field of the request that broke them. */
    this.fields = new Map(rules.map((rule) => [String(rule.loc[1] ?? ""), rule.msg]));
  }
}

/** Exchanges the code of a link that opens once for the token that it stands for. */
export async function redeem() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("code")) return;
  const body = JSON.stringify({ oneTimeToken: given.get("code") });
  const headers = { "content-type": "application/json" };
  const answer = await fetch("/api/v1/auth/one-time-token", { method: "POST", headers, body });
  given.delete("code");
  if (answer.ok) given.set("key", (await answer.json()).token);
  history.replaceState(null, "", `#${given}`);
}

/**
 * Takes the token from the link and out of the address bar, or finds the one that this tab had
 * before. False if there is none.
 */
export function enter() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    keep(key);
    history.replaceState(null, "", "#/endpoints");
  }
  token = key ?? token ?? kept();
  ({ application, organisation, capabilities } = visitor(token));
  return application !== null;
}

/** Ends the visit: the token opens nothing any more. */
export async function leave() {
  try {
    await call("POST", "/auth/logout");
  } finally {
    forget();
  }
}

/** Forgets the token. */
export function forget() {
  token = application = null;
  keep(null);
}

/**
 * Whether the visitor may do what needs this capability. The server asks again; this is for
 * pages that offer nothing which it would refuse.
 */
export function may(capability) {
  if (capabilities === null || capabilities.includes(capability)) return true;
  const more = WIDER.get(capability) ?? [];
  return more.some((wider) => capabilities.includes(wider));
}

/** Where the keys are that check tokens sent to the visitor. */
export function keySet() {
  return `/.well-known/${organisation}/jwks.json`;
}

/** A call on the visitor's application: `path` begins with a slash, or is empty. */
export function own(method, path, body) {
  return call(method, `/app/${application}${path}`, body);
}

/** A call of the API; what it answered, or `null` for no content. Throws `Refused`. */
export async function call(method, path, body) {
  const headers = { authorization: `Bearer ${token}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(`/api/v1${path}`, { method, headers, body: JSON.stringify(body) });
  } catch {
    throw new Refused(0, { detail: "The server cannot be reached. Are you online?" });
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    answer = { detail: text.slice(0, 200) };
  }
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

/** `?a=1&b=2` of what is set. */
export function query(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== null && value !== "");
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

/** All of a list that is known to be short. */
export async function all(page) {
  const found = [];
  let iterator = null;
  do {
    const answer = await page(iterator);
    found.push(...answer.data);
    iterator = answer.done ? null : answer.iterator;
  } while (iterator);
  return found;
}

// A frame in somebody's page may have no storage: then the token lives as long as the page.
function keep(value) {
  try {
    if (value) sessionStorage.setItem(KEPT, value);
    else sessionStorage.removeItem(KEPT);
  } catch {
    token = value;
  }
}

function kept() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** Whose token it is; nobody's if it is no application's. */
function visitor(jwt) {
  try {
    const part = jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const { sub, org, capabilities } = JSON.parse(atob(part));
    if (/^app_\w+$/.test(sub)) {
      return { application: sub, organisation: org, capabilities: capabilities ?? null };
    }
  } catch {
    // No token at all.
  }
  return { application: null, organisation: null, capabilities: [] };
}
