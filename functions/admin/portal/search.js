// @ts-check
// Messages that have something in them, for customer and operator.

import { html } from "./vendor/preact.js";
import { count } from "./format.js";
import { More, Table, Time } from "./parts.js";
import { t } from "./text.js";

/** What the search asks for. */
export function found(asked) {
  return { q: asked.q, in_payload: asked.payload, event_types: asked.type, with_content: false };
}

/** What was found: how many, and a line each. `link`, `act`: what of a row leads to its message. */
export function Found({ list, asked, ask, link, act }) {
  const { rows, done } = list;
  const inPayload = html`<label><input type="checkbox" checked=${Boolean(asked.payload)} onChange=${(event) => ask({ payload: event.target.checked ? "true" : "" })} /> ${t("Look into payloads")}</label>`;
  return html`<div class="bar"><p class="minor" role="status">${list.fresh || list.error ? "" : t("{n} found", { n: `${count(rows.length)}${done ? "" : "+"}` })}</p>${inPayload}</div>
    <${Messages} rows=${rows} link=${link} act=${act} />
    <${More} list=${list} empty=${asked.payload ? t("No message has {text} in its payload or in one of its names.", { text: asked.q }) : t("No message has {text} in its event id, event type, tags or channels.", { text: asked.q })} />`;
}

/** Messages, a line each. */
export function Messages({ rows, link, act }) {
  if (rows.length === 0) return null;
  const heads = [t("Event"), t("Event id"), { text: "Id", minor: true }, t("When"), ...(act ? [{ text: html`<span class="offscreen">${t("Action")}</span>` }] : [])];
  return html`<${Table} name=${t("Messages")} heads=${heads} rows=${rows.map((row) => html`<tr key=${row.id} data-row class="line">
    <td class="name">${link(row)}${[...(row.tags ?? []), ...(row.channels ?? []).map((one) => `#${one}`)].map((one) => html` <small>${one}</small>`)}</td>
    <td>${row.eventId && html`<code>${row.eventId}</code>`}</td><td class="minor id"><code title=${row.id}>${`${row.id.slice(0, 14)}…`}</code></td>
    <td class="when"><${Time} at=${row.timestamp} /></td>${act && html`<td class="action">${act(row)}</td>`}</tr>`)} />`;
}
