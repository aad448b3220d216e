// @ts-check
// Messages and how far they are, a line each, and the search for them: for customer and operator.

import { html } from "./vendor/preact.js";
import { answered, count, took } from "./format.js";
import { More } from "./list.js";
import { Status, Table, Time, useNow } from "./parts.js";
import { deliveryState } from "./state.js";
import { t } from "./text.js";

/** Characters that are shown in a line: of our own ids, which differ early, and of the sender's. */
const OURS = 14;
const THEIRS = 30;

/** The beginning of what is too long for a line. */
const shortened = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);

/** How many were found, and whether payloads are looked into. */
export function Search({ list, asked, ask }) {
  return html`<div class="bar"><p class="minor" role="status">${list.fresh || list.error || (list.rows.length === 0 && !list.done) ? "" : t("{n} found", { n: `${count(list.rows.length)}${list.done ? "" : "+"}` })}</p>
    <label><input type="checkbox" checked=${Boolean(asked.payload)} onChange=${(event) => ask({ payload: event.target.checked ? "true" : "" })} /> ${t("Search payloads too")}</label></div>`;
}

/** The lines. `link`: what of a row leads to its message; `of`: the endpoint whose they are, if they are of one; `pick`: a box to choose it with, `all` one for all; `act`: what can be done. */
export function Rows({ list, of, asked, none, link, pick, all, act }) {
  const now = useNow();
  const { rows } = list;
  const unseen = (text) => ({ text: html`<span class="offscreen">${text}</span>` });
  const heads = [...(pick ? [all] : []), t("Event"), t("State"), t("Answer"), ...(act ? [] : [{ text: t("Time taken"), number: true }]), { text: "Id", minor: true }, of ? t("Last attempt") : t("When"), ...(act ? [unseen(t("Action"))] : [])];
  const empty = !asked.q ? none : asked.payload ? t("No message has {text} in its payload or in one of its names.", { text: asked.q }) : t("No message has {text} in its event id, event type, tags or channels.", { text: asked.q });
  return html`${rows.length > 0 && html`<${Table} name=${t("Deliveries")} heads=${heads} rows=${rows.map((row) => {
    const state = deliveryState(row, now);
    return html`<tr key=${row.id} data-row class="line">
      ${pick && html`<td class="pick">${pick(row.id)}</td>`}
      <td class="name">${link(row)}${[...(row.tags ?? []), ...(asked.q ? row.channels ?? [] : []).map((one) => `#${one}`)].map((one) => html` <small>${one}</small>`)}</td>
      <td class="state"><${Status} kind=${state.kind}>${state.says}<//>${state.more && html`<small>${state.more}</small>`}</td>
      <td class="when">${answered(row.status)}</td>${!act && html`<td class="number">${took(row.durationMs)}</td>`}
      <td class="minor id"><code title=${row.eventId ?? row.id}>${row.eventId ? shortened(row.eventId, THEIRS) : shortened(row.id, OURS)}</code></td>
      <td class="when"><${Time} at=${row.timestamp} /></td>${act && html`<td class="action">${act(row)}</td>`}</tr>`;
  })} />`}<${More} list=${list} empty=${empty} />`;
}
