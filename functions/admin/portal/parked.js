// @ts-check
// What nobody could process, and what works in the background.

import { html } from "./vendor/preact.js";
import { call, gone, query } from "./api.js";
import { count } from "./format.js";
import { named } from "./json.js";
import { forgetLists, More, PickAll, Refresh, useChosen, useList } from "./list.js";
import { Act, ask, broken, say, Status, Table, Time, Title } from "./parts.js";
import { progress } from "./state.js";
import { t } from "./text.js";

/** Parked records: redrive one, those that are chosen, or all. */
export function Parked() {
  const list = useList("parked", (iterator) => call("GET", `/operator/parked${query({ limit: 50, iterator })}`));
  const { chosen, choose, pick } = useChosen("parked", list.rows);
  /** Sends records back, and says how many, also where it breaks off. */
  const send = async (act) => {
    let sent = 0;
    const said = () => t("{n} records are in their queues again", { n: sent });
    try {
      await act((more) => { sent += more; });
      say(said());
    } catch (error) {
      throw sent ? broken(said(), error) : error;
    } finally {
      forgetLists();
      list.again();
    }
  };
  const redrive = (ids) => send(async (note) => {
    for (const id of ids) {
      await gone(call("POST", `/operator/parked/${encodeURIComponent(id)}/redrive`));
      note(1);
      pick(id, false);
    }
  });
  const all = async () => {
    const text = html`<p>${t("Send everything that is parked back to its queue? {n} are shown.", { n: `${count(list.rows.length)}${list.done ? "" : "+"}` })}</p>`;
    if (!(await ask(text, t("Redrive all")))) return;
    await send(async (note) => {
      let [iterator, done] = [null, false];
      while (!done) {
        const answer = await call("POST", `/operator/parked/redrive${query({ limit: 50, iterator })}`);
        note(answer.redriven);
        ({ iterator, done } = answer);
      }
    });
  };
  const side = html`${chosen.size > 0 && html`<${Act} act=${() => redrive([...chosen])}>${t("Redrive selected")} (${chosen.size})<//>`}
    ${list.rows.length > 0 && html`<${Act} act=${all}>${t("Redrive all")}<//>`}<${Refresh} list=${list} />`;
  return html`<${Title} side=${side}>${t("Parked records")}<//>
    ${list.rows.length > 0 && html`<${Table} name=${t("Parked records")} heads=${[html`<${PickAll} rows=${list.rows} chosen=${chosen} choose=${choose} />`, t("Reason"), t("Queue"), "Id", t("When"), { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${list.rows.map((one) => html`<tr key=${one.id}>
      <td class="pick"><input type="checkbox" aria-label=${t("Select {name}", { name: one.id })} checked=${chosen.has(one.id)} onChange=${(event) => pick(one.id, event.target.checked)} /></td>
      <td>${one.reason}</td><td>${one.queue}</td><td><code>${one.id}</code></td><td class="when"><${Time} at=${one.timestamp} /></td>
      <td class="action"><${Act} act=${() => redrive([one.id])}>${t("Redrive")}<//></td></tr>`)} />`}
    <${More} list=${list} empty=${t("Nothing is parked.")} />`;
}

/** Background tasks. */
export function Tasks() {
  const list = useList("tasks", (iterator) => call("GET", `/background-task${query({ limit: 50, with_names: true, iterator })}`));
  const kinds = { running: "wait", finished: "good", failed: "bad" };
  return html`<${Title} side=${html`<${Refresh} list=${list} />`}>${t("Tasks")}<//>
    ${list.rows.length > 0 && html`<${Table} name=${t("Tasks")} heads=${[t("Task"), t("Application"), t("State"), t("Progress"), { text: "Id", minor: true }, t("When")]} rows=${list.rows.map((one) => html`<tr key=${one.id} data-row><td class="id"><code>${one.task}</code></td>
      <td class="name"><${About} task=${one} /></td>
      <td><${Status} kind=${kinds[one.status] ?? "off"}>${t(one.status)}<//></td><td>${progress(one.data).join(", ")}</td><td class="minor id"><code>${one.id}</code></td><td class="when"><${Time} at=${one.updatedAt} /></td></tr>`)} />`}
    <${More} list=${list} empty=${t("There was no task yet.")} />`;
}

/** Whose a task is: of which application, and of which endpoint if it is of one. */
function About({ task }) {
  if (!task.appId) return html`<span class="minor">${t("all applications")}</span>`;
  const gone = html` <small>${t("deleted")}</small>`;
  return html`<a href=${`#/apps/${task.appId}`}>${named(task.application, "") || html`<code>${task.appId}</code>`}</a>${!task.application && gone}
    ${task.endpointId && html`<span class="cut minor">${named(task.endpoint, "") || html`<code>${task.endpointId}</code>`}${task.application && !task.endpoint && gone}</span>`}`;
}
