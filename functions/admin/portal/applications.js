// @ts-check
// Applications: search, and one with its endpoints as the operator sees it.

import { html } from "./vendor/preact.js";
import { all, call, query } from "./api.js";
import { fits, percent, took } from "./format.js";
import { Act, Bars, Loaded, More, Search, Status, Table, Time, Title, useAsked, useData, useList, Copy } from "./parts.js";
import { COLOURS, stateWord } from "./state.js";
import { openAs } from "./openas.js";
import { t } from "./text.js";

/** The list. */
export function Applications() {
  const [asked, ask] = useAsked();
  const list = useList("apps", (iterator) => call("GET", `/app${query({ limit: 100, iterator, order: "descending" })}`));
  const shown = list.rows.filter((one) => fits(asked.q ?? "", one.name, one.uid, one.id));
  return html`<${Title} side=${html`<${Search} value=${asked.q} set=${(q) => ask({ q })} />`}>${t("Applications")}<//>
    ${shown.length > 0 && html`<${Table} name=${t("Applications")} heads=${[t("Name"), "Uid", "Id", t("Created"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${shown.map((one) => html`<tr key=${one.id} data-row>
      <td class="name"><a href=${`#/apps/${one.id}`}>${one.name}</a></td><td>${one.uid ?? ""}</td><td><code>${one.id}</code></td><td class="when"><${Time} at=${one.createdAt} /></td>
      <td class="action"><${Act} act=${() => openAs(one.id)}>${t("Open as customer")}<//></td></tr>`)} />`}
    ${shown.length === 0 && list.rows.length > 0 && html`<p class="empty">${list.done ? t("Nothing fits.") : t("Nothing of what is shown fits.")}</p>`}
    <${More} list=${list} empty=${t("There is no application yet.")} />`;
}

/** One. */
export function Application({ id }) {
  const app = useData(() => call("GET", `/app/${id}`), [id]);
  const walk = (path) => all((iterator) => call("GET", `/app/${id}${path}${query({ limit: 50, iterator })}`));
  const health = useData(() => walk("/health"), [id]);
  const endpoints = useData(() => walk("/endpoint"), [id]);
  const link = async () => (await call("POST", `/auth/app-portal-access/${id}`, {})).url;
  return html`<${Loaded} of=${app}>${(one) => html`
    <${Title} side=${html`<${Act} act=${() => openAs(id)}>${t("Open as customer")}<//><${Copy} text=${link} label=${t("Copy portal link")} />`}>${one.name}<//>
    <dl class="facts"><dt>Id</dt><dd><code>${one.id}</code></dd>${one.uid && html`<dt>Uid</dt><dd><code>${one.uid}</code></dd>`}
      ${one.profile && html`<dt>${t("Profile")}</dt><dd>${one.profile}</dd>`}<dt>${t("Created")}</dt><dd><${Time} at=${one.createdAt} /></dd></dl>
    <section><h2>${t("Endpoints")}</h2><${Loaded} of=${endpoints}>${(own) => html`<${Loaded} of=${health}>${(seen) => {
      const of = new Map(seen.map((each) => [each.endpointId, each]));
      const rows = own.filter((each) => of.has(each.id));
      if (rows.length === 0) return html`<p class="empty">${t("There is no endpoint yet.")}</p>`;
      return html`<${Table} name=${t("Endpoints")} heads=${[t("Endpoint"), t("State"), t("Attempts"), { text: t("Error rate"), number: true }, { text: "p95", number: true }, t("Last success")]} rows=${rows.map((each) => {
        const how = of.get(each.id);
        return html`<tr key=${each.id} data-row><td class="name">${each.description}<code class="cut">${each.url}</code></td>
          <td><${Status} kind=${COLOURS[how.state]}>${stateWord(how.state)}<//></td><td class="picture"><${Bars} picture=${how.picture} /></td>
          <td class="number">${percent(how.failed, how.attempts)}</td><td class="number">${took(how.p95Ms)}</td><td class="when"><${Time} at=${how.lastSuccess} /></td></tr>`;
      })} />`;
    }}<//>`}<//></section>`}<//>`;
}
