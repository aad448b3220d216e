// @ts-check
// All endpoints: how each is doing, and what to do when one fails.

import { html, useState } from "./vendor/preact.js";
import { allEndpoints, beginning, call, may, query, visit } from "./api.js";
import { byName, count, fits, idFor, percent, took } from "./format.js";
import { named } from "./json.js";
import { Act, Bars, Loaded, Search, Status, Table, Time, Title, useAsked, useData, useFirst, spanOf } from "./parts.js";
import { Progress, retried, retryAll } from "./recovery.js";
import { COLOURS, disabledShort, stateWord } from "./state.js";
import { t, tell } from "./text.js";
import { FirstVisit } from "./first.js";

/** Which of two matters more, by its state. */
export const byState = (one, other) => ORDER.indexOf(one.health.state) - ORDER.indexOf(other.health.state);

/** States in the order of how much they matter. */
const ORDER = ["failing", "unsteady", "disabled", "healthy", "idle", undefined];

/** All endpoints of an application, the newest with their health, and how many those are if not all. */
export async function withHealth(app = visit.application) {
  const [endpoints, seen] = await Promise.all([
    allEndpoints(app),
    beginning((iterator) => call("GET", `/app/${app}/health${query({ limit: 50, iterator })}`)),
  ]);
  const health = new Map(seen.found.map((one) => [one.endpointId, one]));
  return Object.assign(endpoints.map((one) => ({ ...one, health: health.get(one.id) ?? {} })), { some: seen.whole ? 0 : health.size });
}

/** That not all of them are shown with how they are. */
export function Some({ of }) {
  return of.some > 0 && html`<p class="banner off" role="note">${t("How they are is shown of the newest {n} of {most} endpoints. The others are listed below them: search by name, URL or id, and open one to see how it is.", { n: count(of.some), most: count(of.length) })}</p>`;
}

/** The page. */
export function Endpoints() {
  const data = useData(() => withHealth(), []);
  const [asked, ask] = useAsked();
  const side = html`${data.data?.length !== 0 && html`<${Search} value=${asked.q} set=${(q) => ask({ q })} />`}
    ${may("ManageEndpoint") && html`<a href="#/endpoints/new" class="button main">${t("Add endpoint")}</a>`}`;
  return html`<${Title} side=${side}>${t("Endpoints")}<//>
    <${Loaded} of=${data}>${(endpoints) => endpoints.length === 0 ? html`<${FirstVisit} />` : html`
      <${Alarm} endpoints=${endpoints} reload=${data.reload} /><${Some} of=${endpoints} />
      <${List} endpoints=${endpoints} asked=${asked} ask=${ask} />`}<//>`;
}

/** Failing endpoints that are named. */
const SHOWN = 5;
/** Characters of a URL that stands for a name. */
const NAMED = 48;

/** What fails, and the way out. */
function Alarm({ endpoints, reload }) {
  const [tasks, follow] = useState(/** @type {any[]} */ ([]));
  const failing = endpoints.filter((one) => one.health.state === "failing");
  if (failing.length === 0) return null;
  const some = failing.filter((one) => retried(one.health) > 0);
  const title = failing.length === 1 ? t("1 endpoint is failing") : t("{n} endpoints are failing", { n: failing.length });
  return html`<div class="banner bad" role="status"><strong>${title}</strong>
    <ul>${failing.slice(0, SHOWN).map((one) => html`<li key=${one.id}><a href=${`#/endpoints/${one.id}`}>${nameOf(one)}</a>: ${tell(one.health.lastError?.says)}
      ${" "}${tell(one.health.lastError?.advice)} <span class="minor">${t("since")} <${Time} at=${one.health.failingSince} day /></span></li>`)}
      ${failing.length > SHOWN && html`<li>${t("and {n} more", { n: failing.length - SHOWN })}</li>`}</ul>
    ${may("CreateAttempts") && some.length > 0 && html`<${Act} act=${async () => {
      const begun = await retryAll(some);
      if (!begun) return;
      follow(begun);
      await reload();
    }}>${t("Retry waiting now")}<//>`}
    ${tasks.map((task) => html`<${Progress} key=${task.id} task=${task} of=${nameOf(task.endpoint)} done=${reload} />`)}</div>`;
}

/** What people call an endpoint; without a name that can be seen, its URL, cut in the middle where it is long. */
export function nameOf(endpoint) {
  return named(endpoint.description, shortened(endpoint.url.replace(/^https?:\/\//, "").replace(/\/$/, "")));
}

function shortened(text) {
  return text.length <= NAMED ? text : `${text.slice(0, NAMED / 2)}…${text.slice(-NAMED / 2)}`;
}

function List({ endpoints, asked, ask }) {
  const sorts = {
    state: byState,
    name: (one, other) => byName(nameOf(one), nameOf(other)),
    errors: (one, other) => rate(other) - rate(one),
    p95: (one, other) => (other.health.p95Ms ?? -1) - (one.health.p95Ms ?? -1),
    last: (one, other) => byName(other.health.lastSuccess ?? "", one.health.lastSuccess ?? ""),
  };
  const by = Object.hasOwn(sorts, asked.sort ?? "") ? asked.sort : "state";
  const shown = endpoints.filter((one) => fits(asked.q ?? "", one.description, one.url, one.uid, idFor(asked.q ?? "", one.id))).sort(sorts[by]);
  const [first, more] = useFirst(shown);
  const head = (name, text, number) => ({ number, text: html`<button class="quiet sort" aria-pressed=${by === name} onClick=${() => ask({ sort: name })}>${text}</button>` });
  const heads = [head("name", t("Endpoint")), head("state", t("State")), t("Attempts"), head("errors", t("Error rate"), true),
    head("p95", "p95", true), head("last", t("Last success")), { text: t("Events"), minor: true }];
  return html`<${Table} name=${t("Endpoints")} heads=${heads} rows=${first.map((one) => html`<${Row} key=${one.id} endpoint=${one} />`)} />${more}
    ${shown.length === 0 && html`<p class="empty">${t("No endpoint matches.")}</p>`}`;
}

function rate({ health }) {
  return health.attempts ? health.failed / health.attempts : -1;
}

/** How it is, since when and why, if that is known. */
export function State({ health }) {
  if (!health.state) return "–";
  return html`<${Status} kind=${COLOURS[health.state]}>${stateWord(health.state)}<//>
      ${health.state === "failing" && html`<small class="below">${t("since")} <${Time} at=${health.failingSince} day /></small>`}
      ${health.state === "disabled" && health.disabledBy && html`<small class="below">${disabledShort(health.disabledBy)}, <${Time} at=${health.disabledAt} day /></small>`}`;
}

/** Its latest attempts, if they are known. */
export function Picture({ health }) {
  return health.picture && html`<${Bars} picture=${health.picture} /><small>${spanOf(health.picture)}</small>`;
}

function Row({ endpoint }) {
  const { health } = endpoint;
  const types = endpoint.eventTypes?.length;
  return html`<tr data-row>
    <td class="name"><a href=${`#/endpoints/${endpoint.id}`} title=${nameOf(endpoint)}>${nameOf(endpoint)}</a><code class="cut">${endpoint.url}</code></td>
    <td class="state"><${State} health=${health} /></td>
    <td class="picture"><${Picture} health=${health} /></td>
    <td class="number" data-label=${t("Error rate")}>${percent(health.failed, health.attempts)}</td>
    <td class="number" data-label="p95">${took(health.p95Ms)}</td>
    <td data-label=${t("Last success")}><${Time} at=${health.lastSuccess} /></td>
    <td class="minor">${!types ? t("all") : types === 1 ? t("1 type") : t("{n} types", { n: types })}</td></tr>`;
}
