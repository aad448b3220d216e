// @ts-check
// The form of an endpoint: new, or to be changed.

import { html, useState } from "./vendor/preact.js";
import { anew, own } from "./api.js";
import { offer } from "./events.js";
import { isTokenKind } from "./kind.js";
import { changes, delays, fits, grouped, headers, schedule } from "./format.js";
import { named } from "./json.js";
import { forgetLists } from "./list.js";
import { ask, Field, Form, Loaded, Status, staying, Title, useData } from "./parts.js";
import { Content } from "./shape.js";
import { t } from "./text.js";

/** The page of a new endpoint. */
export function NewEndpoint() {
  const data = useData(offer, []);
  return html`<${Title}>${t("Add endpoint")}<//><${Loaded} of=${data}>${(offered) => html`<${EndpointForm} shown=${{}} offered=${offered} />`}<//>`;
}

/** The page that changes an endpoint. */
export function EditEndpoint({ id }) {
  const data = useData(async () => {
    const [endpoint, offered] = await Promise.all([own("GET", `/endpoint/${id}`), offer()]);
    return { endpoint, offered };
  }, [id]);
  return html`<${Title}>${t("Edit endpoint")}<//><${Loaded} of=${data}>${({ endpoint, offered }) => html`<${EndpointForm} shown=${endpoint} offered=${offered} />`}<//>`;
}

/** A whole number, or nothing; throws a sentence. */
function whole(text, field) {
  if (text === "") return null;
  if (!/^\d+$/.test(String(text)) || Number(text) === 0) throw Object.assign(new Error(t("Enter a whole number, at least 1")), { field });
  return Number(text);
}

/** What is said, for the API; throws a sentence where it does not read. */
function said(values, shown, offered) {
  const channels = values.channels.split(/[\s,]+/).filter(Boolean);
  const body = {
    url: values.url.trim(),
    description: values.description,
    eventTypes: values.every ? null : [...values.types],
    channels: channels.length ? channels : null,
    throttleRate: whole(values.rate, "throttleRate"),
    timeoutSeconds: whole(values.timeout, "timeoutSeconds"),
    retrySchedule: values.once ? [] : delays(values.retries),
  };
  if (!body.url) throw Object.assign(new Error(t("Enter a URL")), { field: "url" });
  if (body.eventTypes?.length === 0) throw Object.assign(new Error(t("Choose an event type, or all events.")), { field: "eventTypes" });
  if (offered.tokens) Object.assign(body, { format: values.format });
  if (!shown.id && values.scheme) Object.assign(body, { signatureScheme: values.scheme });
  if (!shown.id && values.headers.trim()) Object.assign(body, { headers: headers(values.headers) });
  return body;
}

function EndpointForm({ shown, offered }) {
  const [values, set] = useState(() => ({
    url: shown.url ?? "",
    description: shown.description ?? "",
    every: !shown.eventTypes?.length,
    types: new Set(shown.eventTypes ?? []),
    channels: (shown.channels ?? []).join(", "),
    rate: shown.throttleRate ?? "",
    timeout: shown.timeoutSeconds ?? "",
    retries: schedule(shown.retrySchedule),
    once: shown.retrySchedule?.length === 0,
    format: isTokenKind(shown, offered) ? "jwt" : "json",
    scheme: "",
    headers: "",
  }));
  const [wrong, setWrong] = useState({});
  // What was said before stays to be seen; whoever empties a field goes on there.
  const [advanced] = useState(Boolean(values.channels || values.rate || values.timeout || values.retries || values.once));
  const [before] = useState(() => (shown.id ? said(values, shown, offered) : {}));
  /** Changes what was said of a field: what was wrong with it may be so no more. */
  const say = (change, name) => {
    set(change);
    if (wrong[name]) setWrong({ ...wrong, [name]: undefined });
  };
  const bind = (name) => ({ name, value: values[name], onInput: (event) => say((old) => ({ ...old, [name]: event.target.value }), PLACES.includes(name) ? name : FIELDS[name]) });
  const save = async () => {
    const here = staying();
    setWrong({});
    try {
      const body = said(values, shown, offered);
      const changed = changes(body, before);
      if (shown.id && changed.url && !(await mayMove(shown.id, changed.url))) return;
      const saved = await (shown.id ? own("PATCH", `/endpoint/${shown.id}`, changed) : own("POST", "/endpoint", body));
      forgetLists();
      anew("endpoints");
      if (saved.secret) await ask(html`<p>${t("This secret is shown only now:")}</p><p><code>${saved.secret}</code></p>`);
      if (here()) location.hash = `#/endpoints/${saved.id}${shown.id ? "/settings" : "/test"}`;
    } catch (error) {
      const fields = error.fields?.size ? Object.fromEntries(error.fields) : error.field ? { [error.field]: error.message } : {};
      setWrong(fields);
      const [theirs] = Object.keys(fields);
      const name = Object.keys(FIELDS).find((own) => FIELDS[own] === theirs) ?? theirs ?? "none";
      const first = document.querySelector(`form [name="${name}"]`);
      if (first instanceof HTMLElement) first.focus();
      if (!Object.keys(fields).some((name) => PLACES.includes(name))) throw error;
    }
  };
  const cancel = html`<a class="button" href=${shown.id ? `#/endpoints/${shown.id}/settings` : "#/endpoints"}>${t("Cancel")}</a>`;
  return html`<${Form} noValidate act=${save} yes=${shown.id ? t("Save") : t("Add endpoint")} beside=${cancel}>
    <${Field} label="URL" hint=${t("Where events are posted to.")} wrong=${wrong.url}><input type="url" required placeholder="https://example.com/webhooks" ...${bind("url")} /><//>
    <${Field} label=${t("Name")} hint=${t("For you; optional.")} wrong=${wrong.description}><input maxlength="1024" ...${bind("description")} /><//>
    ${offered.tokens && html`<${Field} label=${t("Sent as")} hint=${t("Can be changed at any time.")}><select ...${bind("format")}><option value="json">${t("signed JSON")}</option><option value="jwt">${t("signed tokens (JWT)")}</option></select><//>`}
    <${Types} values=${values} set=${say} events=${offered.events} wrong=${wrong.eventTypes} />
    <details class="advanced" open=${advanced}><summary>${t("Advanced")}</summary>
      <${Field} label=${t("Channels")} hint=${t("With commas between them; none means all.")} wrong=${wrong.channels}><input ...${bind("channels")} /><//>
      <${Field} label=${t("Rate limit")} hint=${t("Most deliveries per second.")} wrong=${wrong.throttleRate}><input type="number" min="1" ...${bind("rate")} /><//>
      <${Field} label=${t("Time-out")} hint=${t("Seconds until an answer has to be there; 15 unless said.")} wrong=${wrong.timeoutSeconds}><input type="number" min="1" max="25" ...${bind("timeout")} /><//>
      ${!values.once && html`<${Field} label=${t("Retry schedule")} hint=${t("Delays like 5s, 5m, 30m, 2h. Empty means as usual.")} wrong=${wrong.retrySchedule}><input ...${bind("retries")} /><//>`}
      <p><label><input type="checkbox" name="once" checked=${values.once} onChange=${(event) => say((old) => ({ ...old, once: event.target.checked }), "retrySchedule")} /> ${t("A single attempt, without retries")}</label></p>
      ${!shown.id && html`<${Field} label=${t("Signature")} wrong=${wrong.signatureScheme}><select ...${bind("scheme")}><option value="">v1 (HMAC)</option><option value="v1a">v1a (ed25519)</option></select><//>
      <${Field} label=${t("Headers")} hint=${t("Sent along with every event. One a line, like x-team: payments.")} wrong=${wrong.headers}><textarea rows="3" spellcheck=${false} ...${bind("headers")} /><//>`}</details><//>`;
}

/** Asks before credentials are lost: those that came with a URL do not go along to another one. */
async function mayMove(id, url) {
  if (/^\w+:\/\/[^/?#]*@/.test(url)) return true;
  const { sensitive } = await own("GET", `/endpoint/${id}/headers`);
  if (!sensitive.some((name) => name.toLowerCase() === "authorization")) return true;
  const text = html`<p>${t("This endpoint is sent an Authorization header. If it was made of a user name and a password in the old URL, it is removed with it.")}</p>
    <p>${t("To keep it, write them into the new URL as well: https://user:password@example.com/webhooks")}</p>`;
  return ask(text, t("Save"));
}

/** What the API calls fields that are called otherwise here. */
const FIELDS = { rate: "throttleRate", timeout: "timeoutSeconds", retries: "retrySchedule", scheme: "signatureScheme" };

/** Fields that say themselves what is wrong with them. */
const PLACES = ["url", "description", "eventTypes", "channels", "throttleRate", "timeoutSeconds", "retrySchedule", "signatureScheme", "headers"];

/** Event types in groups, with a search; a group is chosen as a whole, in part, or not. */
function Types({ values, set, events, wrong }) {
  const [wanted, search] = useState("");
  const [open, show] = useState("");
  const known = new Set(events.map((event) => event.name));
  // What the endpoint has and nobody describes any more stays a choice.
  const every = [...events, ...[...values.types].filter((name) => !known.has(name)).map((name) => ({ name, description: "" }))];
  const shown = every.filter((event) => fits(wanted, event.name, event.description, event.group));
  const change = (names, on) => set((old) => {
    const types = new Set(old.types);
    for (const name of names) on ? types.add(name) : types.delete(name);
    return { ...old, types };
  }, "eventTypes");
  const group = ([name, members]) => {
    const chosen = members.filter((event) => values.types.has(event.name)).length;
    const tri = (box) => { if (box) box.indeterminate = chosen > 0 && chosen < members.length; };
    return html`<fieldset key=${name} class="types"><legend><label><input type="checkbox" ref=${tri} checked=${chosen === members.length} onChange=${(event) => change(members.map((one) => one.name), event.target.checked)} />
      ${" "}${name || t("Others")} <small>${chosen} / ${members.length}</small></label></legend>
      ${members.map((event) => html`<div key=${event.name} class="type"><label><input type="checkbox" name="eventType" value=${event.name} checked=${values.types.has(event.name)} onChange=${(changed) => change([event.name], changed.target.checked)} />
        ${" "}<code>${event.name}</code>${event.deprecated && html` <${Status} kind="wait">${t("deprecated")}<//>`}${event.asked && html` <${Status} kind="wait">${t("on request")}<//>`} <span class="minor">${named(event.description, "")}</span></label>
        ${known.has(event.name) && html`<button type="button" class="quiet" aria-expanded=${open === event.name} aria-label=${t("Schema of {name}", { name: event.name })} onClick=${() => show(open === event.name ? "" : event.name)}>${t("Schema")}</button>`}
        ${open === event.name && html`<div class="beside"><${Content} event=${event} /></div>`}</div>`)}</fieldset>`;
  };
  return html`<fieldset class="field" name="eventTypes"><legend>${t("Events")}</legend>
    <label><input type="checkbox" name="every" checked=${values.every} onChange=${(event) => set((old) => ({ ...old, every: event.target.checked }), "eventTypes")} /> ${t("All events, those of the future as well")}</label>
    ${!values.every && html`<div class="choices">
      <input type="search" class="search" aria-label=${t("Search event types")} placeholder=${t("Search event types")} value=${wanted} onInput=${(event) => search(event.target.value)} />
      <span class="minor" role="status">${t("{n} chosen", { n: values.types.size })}</span>
      ${grouped(shown).map(group)}${shown.length === 0 && html`<p class="empty">${t("No matches.")}</p>`}</div>`}
    ${wrong && html`<em role="alert">${wrong}</em>`}</fieldset>`;
}
