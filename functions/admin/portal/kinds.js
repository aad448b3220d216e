// @ts-check
// Event types as the operator keeps them: an editor with a check, and the import of an OpenAPI
// description with a preview of what would change.

import { html, useState } from "./vendor/preact.js";
import { all, asWritten, call, gone, query } from "./api.js";
import { latestOf } from "./events.js";
import { byName, changes, fields, fits } from "./format.js";
import { Json, laidOut, named, sourceAt } from "./json.js";
import { Act, ask, Field, Form, Loaded, say, Search, Status, staying, Table, Title, useAsked, useData } from "./parts.js";
import { Shape } from "./shape.js";
import { t } from "./text.js";

/** Takes an archived event type back. */
async function restore(name, done) {
  await call("PATCH", `/event-type/${encodeURIComponent(name)}`, { archived: false });
  say(t("{name} can be chosen again", { name }));
  await done();
}

/** The page. */
export function Kinds() {
  const [asked, set] = useAsked();
  const data = useData(() => all((iterator) => call("GET", `/event-type${query({ limit: 250, with_content: false, include_archived: true, iterator })}`)), []);
  const side = html`<${Search} value=${asked.q} set=${(q) => set({ q })} /><a class="button" href="#/kinds?do=import">${t("Import OpenAPI")}</a><a class="button main" href="#/kinds?do=new">${t("New event type")}</a>`;
  if (asked.do === "import") return html`<${Import} done=${data.reload} />`;
  if (asked.do === "new") return html`<${Editor} key="" name="" done=${data.reload} />`;
  // Apart from what is done: event types may be called like that.
  if (asked.name) return html`<${Editor} key=${asked.name} name=${asked.name} done=${data.reload} />`;
  return html`<${Title} side=${side}>${t("Event types")}<//>
    <${Loaded} of=${data}>${(kinds) => {
      const shown = kinds.filter((one) => fits(asked.q ?? "", one.name, one.description, one.groupName)).sort((one, other) => byName(one.name, other.name));
      if (shown.length === 0) return html`<p class="empty">${kinds.length ? t("No matches.") : t("No event types are described yet.")}</p>`;
      return html`<${Table} name=${t("Event types")} heads=${[t("Name"), t("Group"), t("Description"), t("State"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${shown.map((one) => html`<tr key=${one.name} data-row>
        <td class="name kind"><a href=${`#/kinds?name=${encodeURIComponent(one.name)}`}><code>${one.name}</code></a></td><td>${one.groupName ?? ""}</td><td class="says">${named(one.description, "")}</td>
        <td>${one.archived ? html`<${Status} kind="off">${t("archived")}<//>` : one.deprecated ? html`<${Status} kind="wait">${t("deprecated")}<//>` : html`<${Status} kind="good">${t("active")}<//>`}</td>
        <td class="action">${one.archived && html`<${Act} act=${() => restore(one.name, data.reload)}>${t("Restore")}<//>`}</td></tr>`)} />`;
    }}<//>`;
}

function Editor({ name, done }) {
  const data = useData(() => (name ? call("GET", `/event-type/${encodeURIComponent(name)}`) : Promise.resolve({ name: "", description: "", schemas: null })), [name]);
  return html`<${Title}>${name || t("New event type")}<//><${Loaded} of=${data}>${(one) => html`<${KindForm} one=${one} done=${done} />`}<//>`;
}

/** The schema of a version as it was written: no digit is lost by way of numbers here. */
const written = (one, version) => asWritten(one, "schemas", version) ?? "";

/** All schemas that there are by now, and one more. */
async function withNext(name, next) {
  const now = await call("GET", `/event-type/${encodeURIComponent(name)}`);
  const before = Object.keys(now.schemas ?? {}).map((version) => [version, new Json(written(now, version))]);
  return Object.fromEntries([...before, [Number(latestOf(now.schemas) ?? 0) + 1, next]]);
}

/** What is said of an event type, beside its schemas. */
const saidOf = ({ description, groupName, deprecated }) => ({ description, groupName: groupName || null, deprecated: Boolean(deprecated) });

function KindForm({ one, done }) {
  const version = latestOf(one.schemas);
  const shown = version ? laidOut(written(one, version)) : "";
  const [values, set] = useState({ name: one.name, description: one.description, groupName: one.groupName ?? "", deprecated: Boolean(one.deprecated), schema: shown });
  const [wrong, setWrong] = useState({});
  const bind = (key) => ({ name: key, value: values[key], onInput: (event) => { set({ ...values, [key]: event.target.value }); setWrong({}); } });
  let read;
  let unread = "";
  try {
    read = values.schema.trim() ? JSON.parse(values.schema) : undefined;
  } catch (error) {
    unread = `${t("The schema is not valid JSON")}: ${error.message}`;
  }
  const save = async () => {
    const here = staying();
    if (unread) throw new Error(unread);
    setWrong({});
    const said = saidOf(values);
    const next = read !== undefined && laidOut(values.schema) !== shown ? new Json(values.schema) : null;
    try {
      if (one.name) {
        const schemas = next && { schemas: await withNext(one.name, next) };
        await call("PATCH", `/event-type/${encodeURIComponent(one.name)}`, { ...changes(said, saidOf(one)), ...schemas });
      } else {
        await call("POST", "/event-type", { ...said, name: values.name.trim(), schemas: next && { 1: next } });
      }
      say(t("Saved"));
      await done();
      if (here()) location.hash = "#/kinds";
    } catch (error) {
      if (!error.fields?.size) throw error;
      setWrong(Object.fromEntries(error.fields));
      say(error.message, true);
    }
  };
  const archive = async () => {
    const text = html`<p>${t("Archive {name}? It cannot be chosen any more.", { name: one.name })}</p>`;
    if (!(await ask(text, t("Archive"), true))) return;
    const here = staying();
    await gone(call("DELETE", `/event-type/${encodeURIComponent(one.name)}`));
    await done();
    if (here()) location.hash = "#/kinds";
  };
  const back = async () => {
    const here = staying();
    await restore(one.name, done);
    if (here()) location.hash = "#/kinds";
  };
  const beside = html`<a class="button" href="#/kinds">${t("Cancel")}</a>${one.name && !one.archived && html`<${Act} danger act=${archive}>${t("Archive")}<//>`}`;
  return html`${one.archived && html`<div class="banner off" role="note"><p>${t("It is archived: nobody can choose it. Saving leaves it archived.")}</p><${Act} act=${back}>${t("Restore")}<//></div>`}<${Form} act=${save} yes=${t("Save")} beside=${beside}>
    ${!one.name && html`<${Field} label=${t("Name")} wrong=${wrong.name}><input required placeholder="order.paid" ...${bind("name")} /><//>`}
    <${Field} label=${t("Description")} wrong=${wrong.description}><input ...${bind("description")} /><//>
    <${Field} label=${t("Group")} wrong=${wrong.groupName}><input ...${bind("groupName")} /><//>
    <label><input type="checkbox" checked=${values.deprecated} onChange=${(event) => set({ ...values, deprecated: event.target.checked })} /> ${t("deprecated")}</label>
    <${Field} label=${t("Schema")} hint=${t("JSON Schema. A changed one becomes the next version; the first of its examples is what tests send.")} wrong=${wrong.schemas || unread}><textarea rows="16" spellcheck=${false} ...${bind("schema")} /><//><//>
    ${read !== undefined && html`<section><h2>${t("As customers see it")} <small>${t("{n} fields", { n: fields(read).length })}</small></h2><${Shape} schema=${read} text=${values.schema} example=${sourceAt(values.schema, ["examples", "0"])} /></section>`}`;
}

/** Event types that a question names. */
const FEW = 20;

function Import({ done }) {
  const [spec, write] = useState("");
  const [all, replace] = useState(false);
  const [preview, keep] = useState(/** @type {any} */ (null));
  // One that comes late may be of another text, or of another choice.
  const seen = preview?.spec === spec && preview.all === all ? preview.data : null;
  const gone = seen?.to_archive ?? [];
  const send = (dryRun) => call("POST", "/event-type/import/openapi", { specRaw: spec, dryRun, replaceAll: all });
  return html`<${Title}>${t("Import OpenAPI")}<//>
    <${Field} label=${t("Description, as YAML or JSON")}><textarea rows="14" spellcheck=${false} value=${spec} onInput=${(event) => write(event.target.value)} /><//>
    <p><label><input type="checkbox" checked=${all} onChange=${(event) => replace(event.target.checked)} /> ${t("Archive every event type that it does not have")}</label></p>
    <div class="side left"><${Act} act=${async () => keep({ spec, all, data: (await send(true)).data })}>${t("Preview")}<//>
      ${seen && html`<${Act} main act=${async () => {
        const [n, text] = [gone.length, gone.slice(0, FEW).join(", ")];
        if (n && !(await ask(html`<p>${t("Archive {n} event types? They cannot be chosen any more.", { n })}</p><p class="minor">${text}${n > FEW && " …"}</p>`, t("Archive"), true))) return;
        const here = staying();
        const made = await send(false);
        say(t("{n} event types changed", { n: made.data.modified.length }));
        await done();
        if (here()) location.hash = "#/kinds";
      }}>${t("Import")}<//>`}<a class="button" href="#/kinds">${t("Cancel")}</a></div>
    ${seen && html`<section aria-live="polite"><h2>${t("What would change")}</h2>${(seen.to_modify ?? []).length === 0 ? html`<p class="empty">${t("Nothing.")}</p>`
      : html`<ul>${seen.to_modify.map((one) => html`<li key=${one.name}><code>${one.name}</code> ${one.description}${one.deprecated ? ` (${t("deprecated")})` : ""}</li>`)}</ul>`}
      ${gone.length > 0 && html`<h3>${t("What would be archived")} (${gone.length})</h3><ul>${gone.map((name) => html`<li key=${name}><code>${name}</code></li>`)}</ul>`}</section>`}`;
}
