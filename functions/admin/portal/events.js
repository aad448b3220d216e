// @ts-check
// Event types: what can be chosen, and what it looks like.

import { html, useState } from "./vendor/preact.js";
import { all, asWritten, call, once, own, query } from "./api.js";
import { byName, fields, fits, grouped } from "./format.js";
import { sourceAt } from "./json.js";
import { Code, Guarded, Loaded, Search, Status, Title, useAsked, useData } from "./parts.js";
import { t } from "./text.js";

/** The names of all event types, sorted; once a visit. */
export async function names() {
  return (await offer()).events.map((event) => event.name);
}

/**
 * What this application's endpoints can choose: what is described, and what the application's
 * profile brings along, without schemas; and what the profile asks of endpoints. Once a visit.
 */
export function offer() {
  return once("offer", async () => {
    const page = (iterator) => call("GET", `/event-type${query({ limit: 250, with_content: false, iterator })}`);
    const [described, profile, application] = await Promise.all([all(page), own("GET", "/profile"), own("GET", "")]);
    const granted = new Set(application.grantedEventTypes ?? []);
    const found = new Map();
    for (const event of profile.events) {
      found.set(event.type, {
        name: event.type,
        description: event.description,
        schema: read(event.schema),
        schemaText: event.schema,
        example: event.example || undefined,
        // Not sent unless it was asked for.
        asked: (profile.optIn ?? []).includes(event.type) && !granted.has(event.type),
      });
    }
    for (const event of described) {
      const old = found.get(event.name);
      found.set(event.name, {
        ...old,
        name: event.name,
        description: event.description || old?.description || "",
        group: event.groupName,
        deprecated: event.deprecated,
        described: true,
      });
    }
    return {
      events: [...found.values()].sort((one, other) => byName(one.name, other.name)),
      profile: profile.name,
      /** Whether an endpoint has to take an example before it gets other events. */
      verifiedFirst: Boolean(profile.endpoints?.verifiedFirst) && !application.sandbox,
      /** Whether secrets are shown when they are made and never again. */
      secretShownOnce: Boolean(profile.endpoints?.secretShownOnce),
      /** The families of headers that events are signed in, where it is not both. */
      signatureHeaders: profile.signatureHeaders,
      /** Whether events can be sent as signed tokens. */
      tokens: Boolean(profile.jwt),
      /** What events are sent as, where the endpoint does not say. */
      format: profile.delivery?.format,
    };
  });
}

/** An event type's schema, and the texts of it and of its example. */
export async function content(event) {
  if (!event.described) return event;
  const whole = await once(`type ${event.name}`, () => call("GET", `/event-type/${encodeURIComponent(event.name)}`));
  const version = latestOf(whole.schemas);
  const text = version && asWritten(whole, "schemas", version);
  const example = text && sourceAt(text, ["examples", "0"]);
  return { schema: text ? whole.schemas[version] : event.schema, schemaText: text ?? event.schemaText, example: example ?? event.example };
}

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
    ${" "}<span class="minor">${event.description}</span></summary>${open && html`<${Content} event=${event} />`}</details>`;
}

function read(text) {
  return text ? JSON.parse(text) : undefined;
}

/** The highest version of these schemas, if there is one. @param {any} schemas */
export function latestOf(schemas) {
  return Object.keys(schemas ?? {}).sort((one, other) => Number(other) - Number(one))[0];
}
