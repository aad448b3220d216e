// @ts-check
// Where events come from: addresses that others send to.

import { html, useState } from "./vendor/preact.js";
import { call, gone, query } from "./api.js";
import { count } from "./format.js";
import { named } from "./json.js";
import { forgetLists, More, Refresh, useList } from "./list.js";
import { Act, ask, Copy, Field, Form, Loaded, say, Status, Table, Time, Title, useData } from "./parts.js";
import { openAs } from "./openas.js";
import { t, tell } from "./text.js";

/** Sources, and how each of them is: the same page of two lists. */
async function withStates(iterator) {
  const [page, states] = await Promise.all([call("GET", `/ingest/api/v1/source${query({ limit: 50, iterator })}`), call("GET", `/operator/source-state${query({ limit: 50, iterator })}`)]);
  const of = new Map(states.data.map((one) => [one.sourceId, one]));
  return { ...page, data: page.data.map((one) => ({ ...one, how: of.get(one.id) })) };
}

/** The page. */
export function Sources() {
  const list = useList("sources", withStates);
  const again = () => { forgetLists(); return list.again(); };
  const remove = async (one) => {
    const text = html`<p>${t("Delete {name}? What is sent to it is refused from then on.", { name: named(one.name, one.id) })}</p>`;
    if (!(await ask(text, t("Delete"), true))) return;
    await gone(call("DELETE", `/ingest/api/v1/source/${one.id}`));
    await again();
  };
  return html`<${Title} side=${html`<${Refresh} list=${list} />`}>${t("Sources")}<//>
    ${list.rows.length > 0 && html`<${Table} name=${t("Sources")} heads=${[t("Name"), t("Kind"), t("Address"), t("Application"), t("State"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${list.rows.map((one) => html`<tr key=${one.id} data-row>
      <td class="name"><a href=${`#/sources/${one.id}`}>${named(one.name, one.id)}</a></td><td class="id"><code>${one.type}</code></td><td class="address"><code class="cut">${one.ingestUrl}</code> <${Copy} text=${one.ingestUrl} /></td>
      <td class="value"><a href=${`#/apps/${one.app}`}>${named(one.how?.application, "") || html`<code>${one.app}</code>`}</a></td><td class="refused"><${How} one=${one} /></td>
      <td class="action"><${Act} danger act=${() => remove(one)}>${t("Delete")}<//></td></tr>`)} />`}
    <${More} list=${list} empty=${t("There is no source yet.")} />
    <section><h2>${t("New source")}</h2><${NewSource} done=${again} /></section>`;
}

/** One: what came in, and what was refused. */
export function Source({ id }) {
  const path = /** @type {const} */ (`/ingest/api/v1/source/${id}`);
  const data = useData(() => call("GET", path), [id]);
  const log = useList(`log ${id}`, (iterator) => call("GET", `${path}/log${query({ limit: 50, iterator })}`));
  return html`<${Loaded} of=${data}>${(one) => html`<${Title} side=${html`<${Refresh} list=${log} />`}>${named(one.name, one.id)}<//>
    <dl class="facts"><dt>${t("Kind")}</dt><dd><code>${one.type}</code></dd><dt>${t("Application")}</dt><dd><a href=${`#/apps/${one.app}`}>${one.app}</a></dd>
      <dt>${t("Address")}</dt><dd><code>${one.ingestUrl}</code> <${Copy} text=${one.ingestUrl} /></dd><dt>${t("Created")}</dt><dd><${Time} at=${one.createdAt} /></dd></dl>
    <section><h2>${t("What came in")}</h2>
      ${log.rows.length > 0 && html`<${Table} name=${t("What came in")} heads=${[t("State"), t("Event"), t("Event id"), t("When"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${log.rows.map((line) => html`<${Line} key=${line.id} app=${one.app} line=${line} />`)} />`}
      <${More} list=${log} empty=${t("Nothing came in yet: the sender has to be told the address.")} /></section>`}<//>`;
}

/** What became a message, or some that were refused. */
function Line({ app, line }) {
  const taken = line.status === "taken";
  const many = line.count > 1 ? ` (${count(line.count)})` : "";
  return html`<tr data-row class="line"><td class="refused"><${Status} kind=${taken ? "good" : "bad"}>${taken ? t("taken") : t("refused")}${many}<//>${line.says && html`<small class="below">${tell(line.says)}</small>`}</td>
    <td class="name">${line.eventType}</td><td>${line.eventId && html`<code>${line.eventId}</code>`}</td><td class="when"><${Time} at=${line.timestamp} /></td>
    <td class="action">${taken && html`<${Act} act=${() => openAs(app, `/messages/${line.id}`)}>${t("Open as customer")}<//>`}</td></tr>`;
}

/** How a source is: whether something came in, and what was the last. */
function How({ one }) {
  const { how } = one;
  if (!how) return "–";
  const { lastTaken, refused, state } = how;
  const proved = one.verification.scheme === "none" ? t("taken") : t("verified");
  const taken = lastTaken && html`${t("last one")} <${Time} at=${lastTaken.timestamp} />`;
  const not = refused && html`${t("at least {n} refused", { n: count(refused.count) })}, ${t("last one")} <${Time} at=${refused.timestamp} />`;
  if (state === "refused") {
    return html`<${Status} kind="bad"><span>${not}</span><//><small class="below">${tell(refused.says)}</small>${taken && html`<small class="below">${proved}: ${taken}</small>`}`;
  }
  if (state === "verified") {
    return html`<${Status} kind="good">${proved}<//><small class="below">${taken}</small>${not && html`<small class="below">${not}: ${tell(refused.says)}</small>`}`;
  }
  if (state === "waiting") return html`<${Status} kind="wait">${t("waiting for the first")}<//>`;
  return html`<${Status} kind="off">${t("none lately")}<//><small class="below">${t("Nothing of it is among the latest {n} messages of its application.", { n: count(how.lookedAt) })}</small>`;
}

function NewSource({ done }) {
  const [values, set] = useState({ name: "", type: "github", app: "", secret: "" });
  const bind = (key) => ({ name: key, value: values[key], onInput: (event) => set({ ...values, [key]: event.target.value }) });
  const save = async () => {
    const made = await call("POST", "/ingest/api/v1/source", {
      name: values.name, type: values.type, app: values.app.trim(), config: { secret: values.secret },
      ...(values.type === "generic-webhook" && { verification: { scheme: "bearer" } }),
    });
    say(t("Made: {url}", { url: made.ingestUrl }));
    set({ name: "", type: "github", app: "", secret: "" });
    await done();
  };
  return html`<${Form} act=${save} yes=${t("Add source")}>
    <${Field} label=${t("Name")}><input required ...${bind("name")} /><//>
    <${Field} label=${t("Kind")}><select ...${bind("type")}>${["github", "stripe", "shopify", "slack", "generic-webhook"].map((kind) => html`<option translate=${false} key=${kind} value=${kind}>${kind}</option>`)}</select><//>
    <${Field} label=${t("Application (id or uid)")}><input required ...${bind("app")} /><//>
    <${Field} label=${t("Secret of the sender")} hint=${t("For generic-webhook the bearer token.")}><input type="password" autocomplete="off" ...${bind("secret")} /><//><//>`;
}
