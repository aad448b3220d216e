// @ts-check
// One endpoint: how it is doing, what it was sent, tests, and its settings.

import { html, useRef, useState } from "./vendor/preact.js";
import { keySet, may, own } from "./api.js";
import { Deliveries } from "./deliveries.js";
import { nameOf } from "./endpoints.js";
import { offer } from "./events.js";
import { isTokenKind } from "./kind.js";
import { count, percent, schedule, took } from "./format.js";
import { Act, ask, Bars, Called, Copy, forgetLists, Form, later, Loaded, say, spanOf, Status, Tabs, Time, useAsked, useData } from "./parts.js";
import { Recovery } from "./recovery.js";
import { COLOURS, disabledBy, stateWord } from "./state.js";
import { t, tell } from "./text.js";

/** What is tried with an endpoint, and how to verify what it is sent: most visits do without. */
const Trial = later(() => import("./trial.js"), "Trial");
const Verify = later(() => import("./verify.js"), "Verify");

/** The page. */
export function Endpoint({ id, tab = "deliveries" }) {
  const path = /** @type {const} */ (`/endpoint/${id}`);
  /** The beginning of its list of deliveries, for whoever shows it first. */
  const first = useRef(/** @type {any} */ (undefined));
  const data = useData(async () => {
    const seen = await own("GET", `${path}/overview`);
    if (first.current === undefined) first.current = seen.deliveries;
    return seen;
  }, [id]);
  // By the time that another tab was left it is old.
  if (tab !== "deliveries") first.current = null;
  const tabs = [[`#/endpoints/${id}`, t("Deliveries"), "deliveries"], [`#/endpoints/${id}/test`, t("Test"), "test"], [`#/endpoints/${id}/settings`, t("Settings"), "settings"]];
  return html`<${Loaded} of=${data}>${({ endpoint, health }) => html`
    <${Called} name=${nameOf(endpoint)} /><div class="bar"><div class="titles"><h1>${nameOf(endpoint)}</h1><code class="url">${endpoint.url}</code></div>
      <div class="side"><${Status} kind=${COLOURS[health.state]}>${stateWord(health.state)}<//>
      ${may("ManageEndpoint") && html`<a class="button" href=${`#/endpoints/${id}/edit`}>${t("Edit")}</a>
        <${Act} act=${async () => {
          await own("PATCH", path, { disabled: !endpoint.disabled });
          forgetLists();
          await data.reload();
        }}>${endpoint.disabled ? t("Enable") : t("Disable")}<//>`}</div></div>
    <${Alarm} health=${health} />
    <${Tabs} all=${tabs} now=${tab} name=${t("Endpoint")} />
    ${tab === "deliveries" && html`<${Sent} endpoint=${endpoint} health=${health} first=${first} done=${data.reload} />`}
    ${tab === "test" && html`<${Trial} endpoint=${endpoint} done=${data.reload} />`}
    ${tab === "settings" && html`<${Settings} endpoint=${endpoint} />`}`}<//>`;
}

/** What is wrong, since when, and what comes next. */
function Alarm({ health }) {
  if (health.state === "disabled") {
    return html`<div class="banner off"><strong>${disabledBy(health.disabledBy)}</strong>
      ${health.disabledAt && html` <${Time} at=${health.disabledAt} />`}</div>`;
  }
  if (health.state !== "failing") return null;
  const error = health.lastError;
  const waiting = `${count(health.waiting)}${health.complete ? "" : "+"}`;
  return html`<div class="banner bad" role="status">
    <strong>${t("Every attempt has failed since")} <${Time} at=${health.failingSince} day />.</strong>
    ${error && html`<p>${error.status > 0 ? `HTTP ${error.status}: ` : ""}${tell(error.says)} ${tell(error.advice)}</p>`}
    <p>${t("{n} messages wait", { n: waiting })}${health.untried > 0 && ` (${t("{n} for their first try", { n: count(health.untried) })})`}${health.nextAttempt && html`, ${t("next try")} <${Time} at=${health.nextAttempt} />${!health.complete && ` ${t("or sooner")}`}`}.
      ${" "}${health.disablesAt ? html`${t("It is disabled")} <${Time} at=${health.disablesAt} /> ${t("if this goes on.")}`
        : t("It is disabled once messages were given up for five days.")}</p></div>`;
}

function Sent({ endpoint, health, first, done }) {
  const [turn, set] = useState(0);
  const over = () => {
    forgetLists();
    first.current = null;
    set(turn + 1);
    return done();
  };
  const tile = (value, label) => html`<div class="tile"><strong>${value}</strong><span>${label}</span></div>`;
  return html`<div class="tiles">
      ${tile(percent(health.failed, health.attempts), t("Error rate"))}
      ${tile(took(health.p95Ms), t("p95 answer"))}
      ${tile(html`<${Time} at=${health.lastSuccess} />`, t("Last success"))}
      ${tile(count(health.attempts), health.complete ? t("Attempts in 24 h") : t("latest attempts"))}
      <div class="tile"><${Bars} picture=${health.picture} /><span>${spanOf(health.picture)}</span></div></div>
    <${Recovery} ep=${endpoint.id} health=${health} off=${endpoint.disabled} done=${over} />
    <${Deliveries} key=${turn} of=${endpoint} first=${first} changed=${done} />`;
}

function Settings({ endpoint }) {
  const path = /** @type {const} */ (`/endpoint/${endpoint.id}`);
  const offered = useData(offer, []);
  const remove = async () => {
    const text = html`<p>${t("Delete {name}? It will get no more events.", { name: nameOf(endpoint) })}</p><p><code>${endpoint.url}</code></p>`;
    if (!(await ask(text, t("Delete"), true))) return;
    await own("DELETE", path);
    forgetLists();
    location.hash = "#/endpoints";
  };
  const row = (name, value) => html`<dt>${name}</dt><dd>${value}</dd>`;
  const types = endpoint.eventTypes ?? [];
  return html`<${Loaded} of=${offered}>${(offered) => html`
    <section><h2>${t("Signing secret")}</h2><${Secret} endpoint=${endpoint} offered=${offered} /></section>
    <section><h2>${t("What it gets")}</h2><dl>
      ${row(t("Events"), types.length ? types.map((name) => html`<code class="chip">${name}</code> `) : t("All events"))}
      ${row(t("Channels"), endpoint.channels?.join(", ") || t("all"))}
      ${row(t("Rate limit"), endpoint.throttleRate ? t("{n} a second", { n: endpoint.throttleRate }) : t("none"))}
      ${row(t("Time-out"), endpoint.timeoutSeconds ? `${endpoint.timeoutSeconds} s` : t("as usual"))}
      ${row(t("Retry schedule"), !endpoint.retrySchedule ? t("as usual") : endpoint.retrySchedule.length === 0 ? t("a single attempt") : html`<code>${schedule(endpoint.retrySchedule)}</code>`)}
      ${row(t("Sent as"), isTokenKind(endpoint, offered) ? t("signed tokens (JWT)") : t("signed JSON"))}
      ${endpoint.verifiedAt ? row(t("Verified"), html`${t("It has taken an example")} <${Time} at=${endpoint.verifiedAt} />`) : null}
      ${!endpoint.verifiedAt && offered.verifiedFirst ? row(t("Verified"), html`<${Status} kind="wait">${t("not verified")}<//> ${t("It gets events once it has taken an example.")}`) : null}
      ${row("Id", html`<code>${endpoint.id}</code>`)}
      ${row(t("Created"), html`<${Time} at=${endpoint.createdAt} />`)}</dl></section>
    <section><h2>${t("Headers")}</h2><${Headers} path=${path} /></section>
    ${!isTokenKind(endpoint, offered) && html`<section><h2>${t("Verify in your language")}</h2><${Verify} endpoint=${endpoint} offered=${offered} /></section>`}
    ${may("ManageEndpoint") && html`<section><h2>${t("Delete")}</h2><${Act} danger act=${remove}>${t("Delete endpoint")}<//></section>`}`}<//>`;
}

function Secret({ endpoint, offered }) {
  const [shown, set] = useState(/** @type {string | null} */ (null));
  const path = /** @type {const} */ (`/endpoint/${endpoint.id}/secret`);
  if (isTokenKind(endpoint, offered)) {
    return html`<p>${t("Events are sent as signed tokens. Their keys are at")} <a href=${keySet()}>jwks.json</a>.</p>`;
  }
  if (!may("ViewEndpointSecret")) return html`<p class="minor">${t("This link does not show it.")}</p>`;
  const read = async () => (await own("GET", path)).key;
  const rotate = async () => {
    const text = html`<p>${t("Make a new secret? What is sent is signed with the old one as well for 24 hours.")}</p>`;
    if (!(await ask(text, t("Rotate"), true))) return;
    set((await own("POST", `${path}/rotate`, {})).key);
    say(t("This is the new secret. The old one also signs for 24 hours."));
  };
  return html`<div class="side left"><output class="secret">${shown ?? "••••••••••••••••"}</output>
    ${offered.secretShownOnce ? html`<small>${t("It was shown once, when it was made. If it is lost, rotate it.")}</small>`
      : html`<${Act} act=${async () => set(shown ? null : await read())}>${shown ? t("Hide") : t("Show")}<//><${Copy} text=${read} />`}
    ${may("ManageEndpointSecret") && html`<${Act} act=${rotate}>${t("Rotate")}<//>`}</div>`;
}

/** Headers that go out with every event of the endpoint. */
function Headers({ path }) {
  const data = useData(() => own("GET", `${path}/headers`), [path]);
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const change = async (headers, deleteHeaders) => {
    await own("PATCH", `${path}/headers`, { headers, ...(deleteHeaders && { deleteHeaders }) });
    await data.reload();
  };
  const drop = async (header) => {
    const text = html`<p>${t("Remove {name}? Its value cannot be read back.", { name: header })}</p>`;
    if (await ask(text, t("Remove"), true)) await change({}, [header]);
  };
  const remove = (header) => may("ManageEndpoint") && html`<${Act} act=${() => drop(header)}>${t("Remove")}<//>`;
  const add = async () => {
    await change({ [name.trim()]: value });
    setName("");
    setValue("");
  };
  return html`<${Loaded} of=${data}>${({ headers, sensitive }) => html`
    ${Object.keys(headers).length + sensitive.length === 0 ? html`<p class="empty">${t("No headers of your own are sent along.")}</p>`
      : html`<ul class="plain">${Object.entries(headers).map(([header, value]) => html`<li key=${header} class="side left"><code>${header}: ${value}</code>${remove(header)}</li>`)}
        ${sensitive.map((header) => html`<li key=${header} class="side left"><code>${header}: ••••••••</code>${remove(header)}</li>`)}</ul>`}
    ${may("ManageEndpoint") && html`<${Form} class="side left" act=${add} minor yes=${t("Set header")}>
      <input aria-label=${t("Header name")} placeholder="x-team" required value=${name} onInput=${(event) => setName(event.target.value)} />
      <input aria-label=${t("Header value")} placeholder=${t("value")} value=${value} onInput=${(event) => setValue(event.target.value)} /><//>`}`}<//>`;
}
