// @ts-check
// Profiles: load one's events, compare two, edit one's own.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { call } from "./api.js";
import { Act, Failed, Field, Form, Loaded, say, Status, Table, useData, useFirst } from "./parts.js";
import { t } from "./text.js";
import { differences, toml } from "./toml.js";

const whole = (name) => call("GET", `/profile/${encodeURIComponent(name)}`);

/** The tab. */
export function Profiles() {
  const data = useData(() => call("GET", "/profile"), []);
  const [opened, open] = useState({ text: "", times: 0 });
  const load = async (name) => {
    const made = await call("POST", `/profile/${encodeURIComponent(name)}/load`, {});
    say(t("{n} event types loaded", { n: made.eventTypes.length }));
  };
  const edit = async (one) => {
    const text = toml(await whole(one.name), one.own ? one.name : `${one.name}-own`);
    open(({ times }) => ({ text, times: times + 1 }));
  };
  return html`<${Loaded} of=${data}>${({ data: all }) => html`<${Table} name=${t("Profiles")} heads=${[t("Name"), t("Title"), t("Note"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${all.map((one) => html`<tr key=${one.name}><td class="id"><code>${one.name}</code>${one.own && html`<small>${t("own")}</small>`}</td><td translate=${false}>${one.title}</td><td translate=${false}>${one.note ?? ""}</td>
      <td class="action"><div class="side"><${Act} title=${t("Makes event types of what the profile describes")} act=${() => load(one.name)}>${t("Load events")}<//><${Act} act=${() => edit(one)}>${one.own ? t("Edit") : t("Edit a copy")}<//></div></td></tr>`)} />
    <${Compare} names=${all.map((one) => one.name)} />
    <section><h2>${t("Store a profile")}</h2><${Editor} key=${opened.times} text=${opened.text} wanted=${opened.times > 0} done=${data.reload} /></section>`}<//>`;
}

/** What one has otherwise than another, key by key. */
function Compare({ names }) {
  const [chosen, choose] = useState(["", ""]);
  const both = chosen.every(Boolean);
  const data = useData(() => (both ? Promise.all(chosen.map(whole)) : Promise.resolve(null)), [chosen.join(" ")]);
  const select = (at) => html`<select aria-label=${at ? t("Compare with") : t("Compare")} value=${chosen[at]} onChange=${(event) => choose(chosen.map((old, n) => (n === at ? event.target.value : old)))}><option value="">–</option>${names.map((name) => html`<option translate=${false} key=${name} value=${name}>${name}</option>`)}</select>`;
  return html`<section><h2>${t("Compare")}</h2><div class="filters">${select(0)} ${t("with")} ${select(1)}</div>
    ${data.error && html`<${Failed} error=${data.error} />`}${data.data && html`<${Differences} both=${data.data} />`}</section>`;
}

const KINDS = { added: "good", removed: "bad", changed: "wait" };

function Differences({ both: [one, other] }) {
  const all = differences(one, other);
  const [first, more] = useFirst(all);
  const words = { added: t("added"), removed: t("removed"), changed: t("changed") };
  if (all.length === 0) return html`<p class="empty" role="status">${t("They are the same.")}</p>`;
  return html`<p class="minor" role="status">${t("{n} differences", { n: all.length })}</p>
    <${Table} name=${t("Differences")} heads=${[t("Field"), t("Change"), one.name, other.name]} rows=${first.map(({ key, kind, before, after }) => html`<tr key=${key}>
      <td class="name"><code>${key}</code></td><td><${Status} kind=${KINDS[kind]}>${words[kind]}<//></td>
      <td class="value" data-label=${one.name}>${before !== undefined && html`<code>${before}</code>`}</td><td class="value" data-label=${other.name}>${after !== undefined && html`<code>${after}</code>`}</td></tr>`)} />${more}`;
}

/** The line that an error names, chosen in the field. */
function point(field, line) {
  const before = field.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  const end = field.value.indexOf("\n", before);
  field.focus();
  field.setSelectionRange(before, end < 0 ? field.value.length : end);
}

function Editor({ text, wanted, done }) {
  const [now, write] = useState(text);
  const [wrong, setWrong] = useState("");
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useEffect(() => {
    if (wanted) field.current?.focus();
  }, []);
  const refuse = (why) => {
    const [, line, what] = /^toml:(\d+): (.*)$/s.exec(why) ?? [];
    setWrong(line ? t("Line {n}: {what}", { n: line, what }) : why);
    if (field.current) point(field.current, Number(line ?? 1));
  };
  const save = async () => {
    setWrong("");
    const name = /^\s*name\s*=\s*["']([^"'\n]+)["']/m.exec(now)?.[1];
    if (!name) return refuse(t("The profile has no name"));
    try {
      await call("PUT", `/profile/${encodeURIComponent(name)}`, { toml: now });
    } catch (error) {
      if (!error.fields?.has("toml")) throw error;
      return refuse(error.fields.get("toml"));
    }
    say(t("Saved"));
    return done();
  };
  return html`<${Form} act=${save} yes=${t("Save")} noValidate><${Field} label="TOML" hint=${t("One of the same name is replaced. Comments are not kept.")} wrong=${wrong}><textarea rows="14" spellcheck=${false} ref=${field} value=${now} onInput=${(event) => write(event.target.value)} /><//><//>`;
}
