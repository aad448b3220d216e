// @ts-check
// One endpoint: how it is doing, what it was sent, tests, and its settings.

import { html, useRef, useState } from "./vendor/preact.js";
import { may, own } from "./api.js";
import { Deliveries } from "./deliveries.js";
import { nameOf } from "./endpoints.js";
import { count, percent, took } from "./format.js";
import { forgetLists } from "./list.js";
import { Act, Bars, Called, later, Loaded, spanOf, Status, Tabs, Time, useData } from "./parts.js";
import { Recovery } from "./recovery.js";
import { COLOURS, disabledBy, stateWord } from "./state.js";
import { t, tell } from "./text.js";

/** What is tried with an endpoint, and how it is set: most visits do without. */
const Trial = later(() => import("./trial.js"), "Trial");
const Settings = later(() => import("./endpoint_settings.js"), "Settings");

/** The page. */
export function Endpoint({ id, tab = "deliveries" }) {
  const path = /** @type {const} */ (`/endpoint/${id}`);
  /** The beginning of its list of deliveries, for whoever shows it first. */
  const first = useRef(/** @type {any} */ (undefined));
  const data = useData(async () => {
    const seen = await own("GET", `${path}/overview`);
    if (first.current === undefined) first.current = seen.deliveries;
    return seen;
  }, [id]);
  // By the time that another tab was left it is old.
  if (tab !== "deliveries") first.current = null;
  const tabs = [[`#/endpoints/${id}`, t("Deliveries"), "deliveries"], [`#/endpoints/${id}/test`, t("Test"), "test"], [`#/endpoints/${id}/settings`, t("Settings"), "settings"]];
  return html`<${Loaded} of=${data}>${({ endpoint, health }) => html`
    <${Called} name=${nameOf(endpoint)} /><div class="bar"><div class="titles"><h1>${nameOf(endpoint)}</h1><code class="url">${endpoint.url}</code></div>
      <div class="side"><${Status} kind=${COLOURS[health.state]}>${stateWord(health.state)}<//>
      ${may("ManageEndpoint") && html`<a class="button" href=${`#/endpoints/${id}/edit`}>${t("Edit")}</a>
        <${Act} act=${async () => {
          try {
            await own("PATCH", path, { disabled: !endpoint.disabled });
          } finally {
            forgetLists();
            await data.reload();
          }
        }}>${endpoint.disabled ? t("Enable") : t("Disable")}<//>`}</div></div>
    <${Alarm} health=${health} />
    <${Tabs} all=${tabs} now=${tab} name=${t("Endpoint")} />
    ${tab === "deliveries" && html`<${Sent} endpoint=${endpoint} health=${health} first=${first} done=${data.reload} />`}
    ${tab === "test" && html`<${Trial} endpoint=${endpoint} done=${data.reload} />`}
    ${tab === "settings" && html`<${Settings} endpoint=${endpoint} />`}`}<//>`;
}

/** What is wrong, since when, and what comes next. */
function Alarm({ health }) {
  if (health.state === "disabled") {
    return html`<div class="banner off"><strong>${disabledBy(health.disabledBy)}</strong>
      ${health.disabledAt && html` <${Time} at=${health.disabledAt} />`}</div>`;
  }
  if (health.state !== "failing") return null;
  const error = health.lastError;
  const waiting = `${count(health.waiting)}${health.complete ? "" : "+"}`;
  return html`<div class="banner bad" role="status">
    <strong>${t("Every attempt has failed since")} <${Time} at=${health.failingSince} day />.</strong>
    ${error && html`<p>${error.status > 0 ? `HTTP ${error.status}: ` : ""}${tell(error.says)} ${tell(error.advice)}</p>`}
    <p>${t("{n} messages wait", { n: waiting })}${health.untried > 0 && ` (${t("{n} for their first try", { n: count(health.untried) })})`}${health.nextAttempt && html`, ${t("next try")} <${Time} at=${health.nextAttempt} />${!health.complete && ` ${t("or sooner")}`}`}.
      ${" "}${health.disablesAt ? html`${t("It is disabled")} <${Time} at=${health.disablesAt} /> ${t("if this goes on.")}`
        : t("It is disabled once messages were given up for five days.")}</p></div>`;
}

function Sent({ endpoint, health, first, done }) {
  const [turn, set] = useState(0);
  const over = () => {
    forgetLists();
    first.current = null;
    set(turn + 1);
    return done();
  };
  const tile = (value, label) => html`<div class="tile"><strong>${value}</strong><span>${label}</span></div>`;
  return html`<div class="tiles">
      ${tile(percent(health.failed, health.attempts), t("Error rate"))}
      ${tile(took(health.p95Ms), t("p95 answer"))}
      ${tile(html`<${Time} at=${health.lastSuccess} />`, t("Last success"))}
      ${tile(count(health.attempts), health.complete ? t("Attempts in 24 h") : t("latest attempts"))}
      <div class="tile"><${Bars} picture=${health.picture} /><span>${spanOf(health.picture)}</span></div></div>
    <${Recovery} ep=${endpoint.id} health=${health} off=${endpoint.disabled} done=${over} />
    <${Deliveries} key=${turn} of=${endpoint} first=${first} changed=${done} />`;
}
