// @ts-check
// What an operator sets up once: the portal's look, tokens and keys, operational webhooks,
// profiles, and an event for everybody.

import { html, useState } from "./vendor/preact.js";
import { beginning, call, gone, query } from "./api.js";
import { changes, count } from "./format.js";
import { Json, named } from "./json.js";
import { forgetLists, More, Refresh, useList } from "./list.js";
import { Act, ask, Code, Copy, Field, Form, Loaded, say, Status, staying, Table, Tabs, Time, Title, useData } from "./parts.js";
import { Profiles } from "./profiles.js";
import { Progress } from "./recovery.js";
import { t } from "./text.js";

/** The page. */
export function Settings({ tab = "portal" }) {
  const tabs = [["portal", t("Portal"), Look], ["tokens", t("API tokens"), Tokens], ["keys", t("Keys"), Keys], ["operational", t("Operational webhooks"), Operational],
    ["profiles", t("Profiles"), Profiles], ["broadcast", t("Broadcast"), Broadcast]];
  const [, , Shown] = tabs.find(([name]) => name === tab) ?? tabs[0];
  return html`<${Title}>${t("Settings")}<//><${Tabs} name=${t("Settings")} now=${tab} all=${tabs.map(([name, label]) => [`#/settings/${name}`, label, name])} /><${Shown} />`;
}

function Look() {
  const data = useData(() => call("GET", "/operator/portal"), []);
  return html`<${Loaded} of=${data}>${(now) => html`<${LookForm} now=${now} />`}<//>`;
}

/** A form's values, as the API takes them. */
function saidOf({ frames, ...values }) {
  return { ...Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value || null])), frameAncestors: frames.split(/\s+/).filter(Boolean) };
}

function LookForm({ now }) {
  const [values, set] = useState({ theme: now.theme, accent: now.accent ?? "", font: now.font ?? "", logo: now.logo ?? "", supportUrl: now.supportUrl ?? "", backUrl: now.backUrl ?? "", frames: (now.frameAncestors ?? []).join("\n") });
  const [before, keep] = useState(() => saidOf(values));
  const [wrong, setWrong] = useState({});
  const bind = (key) => ({ name: key, value: values[key], onInput: (event) => set({ ...values, [key]: event.target.value }) });
  const logo = (event) => {
    const [file] = event.target.files;
    if (!file) return;
    const reader = new FileReader();
    reader.onload = () => set((old) => ({ ...old, logo: String(reader.result) }));
    reader.readAsDataURL(file);
  };
  const save = async () => {
    setWrong({});
    try {
      const said = saidOf(values);
      await call("PUT", "/operator/portal", { ...(await call("GET", "/operator/portal")), ...changes(said, before) });
      keep(said);
      say(t("Saved. Open portals show it within half a minute."));
    } catch (error) {
      setWrong(Object.fromEntries(error.fields ?? []));
      say(error.message, true);
    }
  };
  return html`<${Form} act=${save} yes=${t("Save")}>
    <${Field} label=${t("Theme")}><select ...${bind("theme")}><option value="auto">${t("as the visitor's system")}</option><option value="light">${t("light")}</option><option value="dark">${t("dark")}</option></select><//>
    <${Field} label=${t("Accent")} hint=${t("A colour that is readable under white text.")} wrong=${wrong.accent}><input type="text" placeholder="#2450c0" ...${bind("accent")} /><//>
    <${Field} label=${t("Font")} hint=${t("Names of fonts that visitors have, with commas between them.")} wrong=${wrong.font}><input placeholder="Inter, system-ui" ...${bind("font")} /><//>
    <${Field} label=${t("Logo")} hint=${t("At most 24 KB.")} wrong=${wrong.logo}><input type="file" accept="image/png,image/jpeg,image/webp,image/svg+xml" onChange=${logo} /><//>
    ${values.logo && html`<p><img class="logo" src=${values.logo} alt=${t("Logo")} /> <${Act} act=${() => set({ ...values, logo: "" })}>${t("Remove")}<//></p>`}
    <${Field} label=${t("Help for customers (URL)")} wrong=${wrong.supportUrl}><input ...${bind("supportUrl")} /><//>
    <${Field} label=${t("Where customers come from (URL)")} wrong=${wrong.backUrl}><input ...${bind("backUrl")} /><//>
    <${Field} label=${t("Who may show the portal in a frame")} hint=${t("Origins, one a line: https://app.example.com")} wrong=${wrong.frameAncestors}><textarea rows="3" ...${bind("frames")} /><//><//>`;
}

function Tokens() {
  const list = useList("api tokens", (iterator) => call("GET", `/operator/api-token${query({ limit: 50, iterator })}`));
  const [made, set] = useState(/** @type {any} */ (null));
  const again = () => { forgetLists(); return list.again(); };
  const add = async (form) => {
    const said = Object.fromEntries(new FormData(form));
    const answer = await call("POST", "/operator/api-token", { name: said.name, scope: said.scope, app: said.app || null, expiry: Number(said.days) * 86_400 });
    set(answer);
    form.reset();
    await again();
  };
  const revoke = async (one) => {
    if (!(await ask(html`<p>${t("Revoke {name}? Whatever uses it stops working.", { name: named(one.name, one.id) })}</p>`, t("Revoke"), true))) return;
    await gone(call("DELETE", `/operator/api-token/${one.id}`));
    if (made?.id === one.id) set(null);
    await again();
  };
  return html`<div><div class="bar"><p class="minor">${t("Programs call the API with them.")}</p><${Refresh} list=${list} /></div>${made && html`<div class="banner wait"><strong>${t("This token is shown only now:")}</strong><${Code} plain value=${made.token} /></div>`}
    ${list.rows.length > 0 && html`<${Table} name=${t("API tokens")} heads=${[t("Name"), t("Scope"), t("Application"), t("Last used"), t("Expires"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${list.rows.map((one) => html`<tr key=${one.id}>
      <td><strong>${named(one.name, one.id)}</strong></td><td>${one.scope}</td><td>${one.appId ? html`<a href=${`#/apps/${one.appId}`}><code>${one.appId}</code></a>` : t("all")}</td><td class="when" data-label=${t("Last used")}><${Time} at=${one.lastUsedAt} /></td><td class="when" data-label=${t("Expires")}><${Time} at=${one.expiresAt} /></td>
      <td class="action"><${Act} danger act=${() => revoke(one)}>${t("Revoke")}<//></td></tr>`)} />`}
    <${More} list=${list} empty=${t("There is no API token yet.")} /></div>
    <${Form} class="filters" act=${add} yes=${t("Make token")}>
      <input name="name" required aria-label=${t("Name")} placeholder=${t("Name")} />
      <select name="scope" translate=${false} aria-label=${t("Scope")}>${["read", "publish", "manage", "all"].map((scope) => html`<option key=${scope} value=${scope}>${scope}</option>`)}</select>
      <input name="app" aria-label=${t("Application (id or uid)")} placeholder=${t("Application (id or uid)")} />
      <select name="days" aria-label=${t("Expires")}>${[7, 30, 90, 365].map((days) => html`<option key=${days} value=${days} defaultSelected=${days === 90}>${t("{n} days", { n: days })}</option>`)}</select><//>`;
}

function Keys() {
  const data = useData(() => call("GET", "/operator/jwt-key"), []);
  const rotate = async () => {
    if (!(await ask(html`<p>${t("Rotate? A new key takes over from the one that signs now.")}</p>`, t("Rotate")))) return;
    await call("POST", "/operator/jwt-key/rotate", {});
    await data.reload();
  };
  const states = { signing: ["good", t("signs")], next: ["wait", t("signs next")], retired: ["off", t("retired")] };
  return html`<p class="minor">${t("Keys that sign security event tokens.")}</p><${Loaded} of=${data}>${({ data }) => (data.length === 0 ? html`<p class="empty">${t("There is no key yet; the first is made when it is needed.")}</p>`
    : html`<${Table} name=${t("Keys")} heads=${[t("Key"), t("Algorithm"), t("State"), t("Signs from")]} rows=${data.map((one) => html`<tr key=${one.kid}><td><code>${one.kid}</code></td><td><code>${one.algorithm}</code></td><td><${Status} kind=${states[one.status]?.[0] ?? "off"}>${states[one.status]?.[1] ?? one.status}<//></td><td class="when"><${Time} at=${one.signsFrom} /></td></tr>`)} />`)}<//>
    <p><${Act} act=${rotate}>${t("Rotate")}<//></p>`;
}

function Operational() {
  const list = useList("operational", (iterator) => call("GET", `/operational-webhook/endpoint${query({ limit: 50, iterator })}`));
  const again = () => { forgetLists(); return list.again(); };
  const add = async (form) => {
    const said = Object.fromEntries(new FormData(form));
    const types = String(said.types).split(/[\s,]+/).filter(Boolean);
    await call("POST", "/operational-webhook/endpoint", { url: said.url, description: "", eventTypes: types.length ? types : null });
    form.reset();
    await again();
  };
  const remove = async (one) => {
    if (!(await ask(html`<p>${t("Delete {name}? It will get no more events.", { name: one.url })}</p>`, t("Delete"), true))) return;
    await gone(call("DELETE", `/operational-webhook/endpoint/${one.id}`));
    await again();
  };
  return html`<div><div class="bar"><p class="minor">${t("They tell you when an endpoint fails, is disabled, or changes.")}</p><${Refresh} list=${list} /></div>
    ${list.rows.length > 0 && html`<${Table} name=${t("Operational webhooks")} heads=${["URL", t("Events"), t("Secret"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${list.rows.map((one) => html`<tr key=${one.id}><td><code>${one.url}</code></td><td>${one.eventTypes ? html`<code>${one.eventTypes.join(", ")}</code>` : t("all")}</td>
      <td data-label=${t("Secret")}><${Copy} text=${async () => (await call("GET", `/operational-webhook/endpoint/${one.id}/secret`)).key} /></td><td class="action"><${Act} danger act=${() => remove(one)}>${t("Delete")}<//></td></tr>`)} />`}
    <${More} list=${list} empty=${t("There is none yet.")} /></div>
    <${Form} class="filters" act=${add} yes=${t("Add endpoint")}>
      <input name="url" type="url" required aria-label="URL" placeholder="https://example.com/ops" /><input name="types" aria-label=${t("Events")} placeholder="endpoint.failing, endpoint.disabled" /><//>`;
}

function Broadcast() {
  const [task, follow] = useState(/** @type {any} */ (null));
  const send = async (form) => {
    const here = staying();
    const said = Object.fromEntries(new FormData(form));
    let payload;
    try {
      payload = new Json(String(said.payload));
    } catch (error) {
      throw new Error(`${t("The payload is not valid JSON")}: ${error.message}`);
    }
    const { found, whole } = await beginning((iterator) => call("GET", `/app${query({ limit: 250, iterator })}`));
    const isKnown = await call("GET", `/event-type/${encodeURIComponent(String(said.type))}`).then(() => true, (error) => {
      if (error.status !== 404) throw error;
      return false;
    });
    const text = html`${!isKnown && html`<p class="banner wait">${t("No event type of this name is described.")}</p>`}<p>${t("Publish {type} to {n} applications? This cannot be undone.", { type: said.type, n: `${count(found.length)}${whole ? "" : "+"}` })}</p>`;
    if (here() && (await ask(text, t("Broadcast"), true))) follow(await call("POST", "/msg/broadcast", { eventType: said.type, payload }));
  };
  return html`<${Form} act=${send} yes=${t("Broadcast …")}>
    <${Field} label=${t("Event type")}><input name="type" required /><//><${Field} label=${t("Payload")}><textarea name="payload" rows="8" spellcheck=${false} required /><//><//>
    ${task && html`<${Progress} task=${task} read=${(id) => call("GET", `/background-task/${id}`)} />`}`;
}
