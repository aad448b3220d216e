// @ts-check
// Applications: search, and one with its endpoints as the operator sees it.

import { html, useEffect, useState } from "./vendor/preact.js";
import { call, query } from "./api.js";
import { byState, Picture, Some, State, withHealth } from "./endpoints.js";
import { count, fits, idFor, percent, took } from "./format.js";
import { named } from "./json.js";
import { More, Refresh, useList } from "./list.js";
import { Act, Copy, Find, Loaded, Search, Table, Time, Title, useAsked, useData, useFirst } from "./parts.js";
import { Rows, Search as InPayload } from "./search.js";
import { openAs } from "./openas.js";
import { t } from "./text.js";

/** More endpoints than one sees at once. */
const FEW = 10;
/** Applications that a search goes through by itself. */
const LOOKED_THROUGH = 5_000;
/** Messages of a page. */
const SHOWN = 20;

/** The list. */
export function Applications() {
  const [asked, ask] = useAsked();
  const list = useList("apps", (iterator) => call("GET", `/app${query({ limit: asked.q ? 250 : 100, iterator, order: "descending" })}`));
  const wanted = asked.q ?? "";
  const shown = list.rows.filter((one) => fits(wanted, one.name, one.uid, idFor(wanted, one.id)));
  const goOn = Boolean(asked.q) && shown.length === 0 && !list.fresh && !list.error && !list.done && list.rows.length < LOOKED_THROUGH;
  useEffect(() => { if (goOn) list.more(); }, [goOn, list.rows.length]);
  return html`<${Title} side=${html`<${Search} value=${asked.q} set=${(q) => ask({ q })} /><${Refresh} list=${list} />`}>${t("Applications")}<//>
    ${shown.length > 0 && html`<${Table} name=${t("Applications")} heads=${[t("Name"), "Uid", { text: "Id", minor: true }, t("Created"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${shown.map((one) => html`<tr key=${one.id} data-row>
      <td class="name"><a href=${`#/apps/${one.id}`}>${named(one.name, one.id)}</a></td><td>${one.uid ?? ""}</td><td class="minor id"><code>${one.id}</code></td><td class="when"><${Time} at=${one.createdAt} /></td>
      <td class="action"><${Act} act=${() => openAs(one.id)}>${t("Open as customer")}<//></td></tr>`)} />`}
    ${wanted && shown.length > 0 && !list.done && html`<p class="minor" role="status">${t("{n} found among the {most} that are loaded.", { n: count(shown.length), most: count(list.rows.length) })}</p>`}
    ${shown.length === 0 && list.rows.length > 0 && !goOn && html`<p class="empty">${list.done ? t("No matches.") : t("No matches among those loaded.")}</p>`}
    <${More} list=${list} empty=${t("There is no application yet.")} />`;
}

/** One. */
export function Application({ id }) {
  const app = useData(() => call("GET", `/app/${id}`), [id]);
  const link = async () => (await call("POST", `/auth/app-portal-access/${id}`, {})).url;
  return html`<${Loaded} of=${app}>${(one) => html`
    <${Title} side=${html`<${Act} act=${() => openAs(id)}>${t("Open as customer")}<//><${Copy} text=${link} label=${t("Copy portal link")} />`}>${named(one.name, one.id)}<//>
    <dl class="facts"><dt>Id</dt><dd><code>${one.id}</code></dd>${one.uid && html`<dt>Uid</dt><dd><code>${one.uid}</code></dd>`}
      ${one.profile && html`<dt>${t("Profile")}</dt><dd>${one.profile}</dd>`}<dt>${t("Created")}</dt><dd><${Time} at=${one.createdAt} /></dd></dl>
    <${Endpoints} id=${id} /><${Sent} id=${id} />`}<//>`;
}

/** Its endpoints, and how each is doing. */
function Endpoints({ id }) {
  const [wanted, search] = useState("");
  const data = useData(() => withHealth(id), [id]);
  return html`<section><div class="bar"><h2>${t("Endpoints")}</h2>${data.data?.length > FEW && html`<div class="side"><${Search} value=${wanted} set=${search} name=${t("Search endpoints")} placeholder=${t("Search endpoints")} /></div>`}</div>
    <${Loaded} of=${data}>${(endpoints) => html`<${Some} of=${endpoints} /><${List} id=${id} none=${endpoints.length === 0} endpoints=${endpoints.filter((one) => fits(wanted, one.description, one.url, one.uid, idFor(wanted, one.id))).sort(byState)} />`}<//></section>`;
}

function List({ id, none, endpoints }) {
  const [first, more] = useFirst(endpoints);
  if (endpoints.length === 0) return html`<p class="empty">${none ? t("There is no endpoint yet.") : t("No endpoint matches.")}</p>`;
  return html`<${Table} name=${t("Endpoints")} heads=${[t("Endpoint"), t("State"), t("Attempts"), { text: t("Error rate"), number: true }, { text: "p95", number: true }, t("Last success"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${first.map(({ health, ...each }) => html`<tr key=${each.id} data-row><td class="name">${named(each.description, "")}<code class="cut">${each.url}</code></td>
      <td class="state"><${State} health=${health} /></td><td class="picture"><${Picture} health=${health} /></td>
      <td class="number" data-label=${t("Error rate")}>${percent(health.failed, health.attempts)}</td><td class="number" data-label="p95">${took(health.p95Ms)}</td><td data-label=${t("Last success")}><${Time} at=${health.lastSuccess} /></td>
      <td class="action"><${Act} act=${() => openAs(id, `/endpoints/${each.id}`)}>${t("Open as customer")}<//></td></tr>`)} />${more}`;
}

/** What was published for it, with a search. */
function Sent({ id }) {
  const [asked, ask] = useAsked();
  const name = JSON.stringify(["sent", id, asked.q ?? "", asked.payload ?? ""]);
  const list = useList(name, (iterator) => call("GET", `/app/${id}/delivery${query({ q: asked.q, in_payload: asked.q && asked.payload, limit: SHOWN, iterator })}`));
  const link = (row) => html`<strong>${row.eventType}</strong>`;
  const act = (row) => html`<${Act} act=${() => openAs(id, `/messages/${row.id}`)}>${t("Open as customer")}<//>`;
  const find = (q) => ask({ q, payload: q ? asked.payload : "" });
  return html`<section><div class="bar"><h2>${t("Messages")}</h2><div class="side"><${Find} value=${asked.q} find=${find} name=${t("Search messages")} placeholder=${t("Search messages")} /><${Refresh} list=${list} /></div></div>
    ${asked.q && html`<${InPayload} list=${list} asked=${asked} ask=${ask} />`}
    <${Rows} list=${list} asked=${asked} none=${t("Nothing was sent yet.")} link=${link} act=${act} /></section>`;
}
