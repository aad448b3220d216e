// @ts-check
// What event types look like: of each its schema and an example.

import { html, useState } from "./vendor/preact.js";
import { content, offer } from "./events.js";
import { fields, fits, grouped } from "./format.js";
import { named } from "./json.js";
import { Code, Guarded, Loaded, Search, Status, Title, useAsked, useData } from "./parts.js";
import { t } from "./text.js";

/** The schema and example of an event type, once it is wanted. */
export function Content({ event }) {
  const data = useData(() => content(event), [event.name]);
  return html`<${Loaded} of=${data}>${({ schema, schemaText, example }) => html`<${Shape} schema=${schema} text=${schemaText} example=${example} />`}<//>`;
}

/** A schema as a table of its fields, and an example: strangers wrote them. */
export function Shape(shape) {
  return html`<${Guarded} key=${shape.text}><${Described} ...${shape} /><//>`;
}

function Described({ schema, text, example }) {
  const rows = fields(schema);
  return html`${rows.length > 0 && html`<strong class="label">${t("Fields")}</strong><div class="wide"><table class="fields"><tbody>${rows.map((row) => html`<tr key=${row.name}>
      <td><code>${row.name}</code>${row.always ? "" : html` <small>${t("optional")}</small>`}</td><td class="minor" translate=${false}>${row.type}</td><td>${row.says}</td></tr>`)}</tbody></table></div>`}
    ${example !== undefined && html`<strong class="label">${t("Example")}</strong><${Code} value=${example} />`}
    ${schema !== undefined && html`<details><summary>${t("Schema")}</summary><${Code} value=${text ?? schema} /></details>`}
    ${schema === undefined && example === undefined && html`<p class="empty">${t("It is not described any further.")}</p>`}`;
}

/** The page of all event types. */
export function EventTypes() {
  const data = useData(offer, []);
  const [asked, ask] = useAsked();
  return html`<${Title} side=${html`<${Search} value=${asked.q} set=${(q) => ask({ q })} />`}>${t("Event types")}<//>
    <${Loaded} of=${data}>${({ events }) => {
      const shown = events.filter((event) => fits(asked.q ?? "", event.name, event.description, event.group));
      return html`${events.length === 0 && html`<p class="empty">${t("No event types are described yet.")}</p>`}
        ${events.length > 0 && shown.length === 0 && html`<p class="empty">${t("No matches.")}</p>`}
        ${grouped(shown).map(([group, events]) => html`<section key=${group} class="group"><h2>${group || t("Others")}</h2>${events.map((event) => html`<${Kind} key=${event.name} event=${event} />`)}</section>`)}`;
    }}<//>`;
}

function Kind({ event }) {
  const [open, set] = useState(false);
  return html`<details class="event" onToggle=${(toggled) => set(toggled.target.open)}><summary><code>${event.name}</code>
    ${event.deprecated && html` <${Status} kind="wait">${t("deprecated")}<//>`}${event.asked && html` <${Status} kind="wait">${t("on request")}<//>`}
    ${" "}<span class="minor">${named(event.description, "")}</span></summary>${open && html`<${Content} event=${event} />`}</details>`;
}
