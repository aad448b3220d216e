// @ts-check
// Today: what fails, what waits, and what it cost.

import { html } from "./vendor/preact.js";
import { call, query } from "./api.js";
import { answered, count, percent, took } from "./format.js";
import { named } from "./json.js";
import { More, useList } from "./list.js";
import { Act, Bars, Code, Failed, Loaded, spanOf, Status, staying, Table, Time, Title, useData, useEvery } from "./parts.js";
import { openAs } from "./openas.js";
import { retried, retryAll } from "./recovery.js";
import { t, tell } from "./text.js";

/** How to ask CloudWatch, as the runbook says it. */
const COUNTED = "aws cloudwatch get-metric-statistics --namespace Posthorn --metric-name Delivered --dimensions Name=Stage,Value=STAGE --statistics Sum --period 60 --start-time START --end-time END";

/** How often the page brings itself up to date, in milliseconds. */
const LOOK_MS = 30_000;
/** Failing endpoints of a page. */
const SHOWN = 20;

/** The page. */
export function Today() {
  const parked = useData(() => call("GET", "/operator/parked?limit=250"), []);
  const tasks = useData(() => call("GET", "/background-task?limit=50&status=running"), []);
  // Only the platform on one machine tells of itself.
  const local = useData(() => call("GET", "/local/status").catch((error) => { if (error.status !== 404) throw error; return null; }), []);
  const failing = useList("failing", (iterator) => call("GET", `/operator/failing${query({ limit: SHOWN, iterator })}`).then((page) => ({ ...page, data: page.data.map((one) => ({ ...one, id: one.endpointId })) })));
  const reload = () => { parked.reload(); tasks.reload(); local.reload(); failing.again(); };
  // What longer lists show is not taken away from whoever looks through them.
  useEvery(LOOK_MS, () => { if (failing.rows.length <= SHOWN) reload(); });
  const waiting = failing.rows.filter((one) => retried(one) > 0).map((one) => ({ id: one.endpointId, app: one.appId, health: one }));
  // How far it is, and whose, is on the page of tasks.
  const retry = async () => {
    const here = staying();
    if (await retryAll(waiting) && here()) location.hash = "#/tasks";
  };
  const tile = (value, label, bad) => html`<div class="tile"><strong class=${bad ? "bad" : ""}>${value}</strong><span>${label}</span></div>`;
  const some = (of) => (of.error ? "–" : of.data ? `${count(of.data.data.length)}${of.data.done ? "" : "+"}` : "…");
  return html`<${Title} side=${html`<${Act} act=${reload}>${t("Refresh")}<//><a class="button" href="#/settings/broadcast">${t("Broadcast …")}</a>`}>${t("Today")}<//>
    <div class="tiles">
      ${tile(failing.error ? "–" : failing.fresh ? "…" : `${count(failing.rows.length)}${failing.done ? "" : "+"}`, t("failing endpoints"), failing.rows.length > 0)}
      ${tile(some(parked), t("parked records"), parked.data?.data.length > 0)}
      ${tile(some(tasks), t("tasks running"))}
      ${local.data && html`<${Machine} status=${local.data} tile=${tile} />`}</div>
    ${local.data && html`<p class="minor">${t("What was accepted, delivered and used is counted since the platform was started.")}</p>`}
    ${local.error && html`<${Failed} old=${local.data} error=${local.error} again=${local.reload} />`}
    ${local.data && html`<${Hour} hour=${local.data.hour} />`}
    ${local.data === null && html`<${Deployed} />`}
    <section><div class="bar"><h2>${t("Failing endpoints")}</h2>${waiting.length > 0 && html`<div class="side"><${Act} act=${retry}>${t("Retry waiting now")}<//></div>`}</div>
      ${failing.rows.length > 0 && html`<${Table} name=${t("Failing endpoints")} heads=${[t("Customer"), t("Endpoint"), t("Since"), t("Last answer"), { text: t("Failed"), number: true }, { text: t("Attempts"), minor: true }, { text: html`<span class="offscreen">${t("Action")}</span>` }]} rows=${failing.rows.map((one) => html`<${Row} key=${one.id} one=${one} />`)} />`}
      <${More} list=${failing} empty=${t("No endpoint is failing.")} /></section>`;
}

function Row({ one }) {
  const error = one.lastError;
  return html`<tr data-row><td class="name"><a href=${`#/apps/${one.appId}`}>${named(one.application, one.appId)}</a></td>
    <td class="name">${named(one.description, "")}<code class="cut">${one.url}</code>${error && html`<div class="minor">${tell(error.says)}</div>`}</td>
    <td class="state" data-label=${t("Since")}><${Status} kind=${one.state === "failing" ? "bad" : "wait"}><${Time} at=${one.failingSince ?? error?.at} /><//></td>
    <td class="when">${error ? answered(error.status) : "–"}</td>
    <td class="number" data-label=${t("Failed")}>${percent(one.failed, one.attempts)}</td>
    <td class="picture minor"><${Bars} picture=${one.picture} /><small>${spanOf(one.picture)}</small></td>
    <td class="action"><${Act} act=${() => openAs(one.appId, `/endpoints/${one.endpointId}`)}>${t("Open as customer")}<//></td></tr>`;
}

/** What a platform on one machine says of itself: what was done, and what that would have cost. */
function Machine({ status, tile }) {
  const { usage, metrics, queued, oldestMs } = status;
  // DynamoDB on demand and SQS, at the list price of us-east-1.
  const price = usage.writeUnits * 0.625e-6 + usage.readUnits * 0.125e-6 + usage.sqsRequests * 0.4e-6;
  const sum = (name) => count(metrics[name]?.sum ?? 0);
  return html`${tile(sum("Accepted"), t("accepted"))}${tile(sum("Delivered"), t("delivered"))}
    ${tile(sum("Failed"), t("failed attempts"), metrics.Failed?.sum > 0)}
    ${tile(count(queued), oldestMs == null ? t("in the queues") : t("in the queues, the oldest for {time}", { time: took(oldestMs) }))}${tile(took(metrics.SweepLag?.max ?? 0), t("sweep lag, worst"))}
    ${tile(`$${price.toFixed(2)}`, t("DynamoDB and SQS of this, at list price"))}`;
}

/** Where a deployed stack counts: it has no process that would know, and reading it would cost. */
function Deployed() {
  return html`<section><h2>${t("The last hour, minute by minute")}</h2><p>${t("A deployed stack counts in CloudWatch, which this page does not read: see the dashboard at the output DashboardUrl, or ask for a number like this.")}</p>
    <${Code} plain value=${COUNTED} /><p class="minor">${t("Accepted, Failed and Exhausted are counted as well.")}</p></section>`;
}

/** The last hour minute by minute, as the process counted it. */
function Hour({ hour }) {
  const sum = (all) => all.reduce((one, other) => one + other, 0);
  const picture = (success, fail, says) => html`<${Bars} wide picture=${{ stepMs: hour.stepMs, success, fail }} says=${says} />`;
  const nothing = hour.accepted.map(() => 0);
  const [accepted, delivered, failed] = [hour.accepted, hour.delivered, hour.failed].map(sum);
  return html`<section><h2>${t("The last hour, minute by minute")}</h2><div class="pictures">
    <figure><figcaption>${t("accepted")} <strong>${count(accepted)}</strong></figcaption>${picture(hour.accepted, nothing, t("{n} accepted", { n: count(accepted) }))}</figure>
    <figure><figcaption>${t("delivered")} <strong>${count(delivered)}</strong> · ${t("failed attempts")} <strong class=${failed ? "bad" : ""}>${count(failed)}</strong></figcaption>${picture(hour.delivered, hour.failed)}</figure>
    <figure><figcaption>${t("until delivered")} · p50 <strong>${took(hour.hourP50Ms)}</strong> · p99 <strong>${took(hour.hourP99Ms)}</strong></figcaption><${Lines} all=${[["wait", hour.p99Ms], ["good", hour.p50Ms]]} says=${t("until delivered: p50 {p50}, p99 {p99}", { p50: took(hour.hourP50Ms), p99: took(hour.hourP99Ms) })} /></figure></div></section>`;
}

/** Durations by time, on a scale of powers of ten; minutes without any are left out. */
function Lines({ all, says }) {
  const height = 60;
  const top = Math.max(10, ...all.flatMap(([, values]) => values.map((value) => value ?? 0)));
  const y = (value) => height - 2 - (Math.log10(value + 1) / Math.log10(top + 1)) * (height - 6);
  return html`<svg class="bars wide" viewBox=${`0 0 ${all[0][1].length * 5} ${height}`} preserveAspectRatio="none" role="img" aria-label=${says}>
    <line x1="0" x2=${all[0][1].length * 5} y1=${height - 0.5} y2=${height - 0.5} />
    ${all.map(([kind, values]) => values.map((value, at) => value !== null && html`<rect class=${kind} x=${at * 5} width="4" y=${y(value)} height="2" />`))}</svg>`;
}
