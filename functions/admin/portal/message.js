// @ts-check
// One message: why it went where it went, every try with its request and answer, and its payload.

import { html, useState } from "./vendor/preact.js";
import { asWritten, may, own, query } from "./api.js";
import { answered, count, curl, took } from "./format.js";
import { named } from "./json.js";
import { forgetLists, More, useList } from "./list.js";
import { Act, Code, Copy, Failed, Loaded, say, Status, Time, Title, useData, useEvery } from "./parts.js";
import { VERDICTS } from "./state.js";
import { t, tell } from "./text.js";

/** When a message that was sent again is looked at, in milliseconds. */
const LOOKS = [700, 2_500];

/** How often it is looked whether what was to come must have come, in milliseconds. */
const DUE_MS = 5_000;

/** The page. */
export function Message({ id }) {
  const data = useData(() => own("GET", `/msg/${id}`), [id]);
  const why = useData(() => own("GET", `/msg/${id}/explain`), [id]);
  const tries = useList(`tries ${id}`, (iterator) => own("GET", `/attempt/msg/${id}${query({ limit: 50, iterator })}`));
  const look = () => { why.reload(); forgetLists(); tries.again(); };
  const canceled = why.data?.endpoints.length > 0 && why.data.endpoints.every((one) => one.verdict === "canceled" || unsent(one));
  // What was to come has come: the page would tell of it as if it still were.
  useEvery(DUE_MS, () => { if (why.data?.endpoints.some((one) => isComing(one, Date.now()))) look(); });
  const again = async (ep) => {
    await own("POST", `/msg/${id}/endpoint/${ep}/resend`, {});
    forgetLists();
    say(t("Sent again"));
    LOOKS.forEach((wait) => setTimeout(look, wait));
  };
  return html`<${Loaded} of=${data}>${(message) => html`
    <${Title} side=${html`<${Act} act=${look}>${t("Refresh")}<//>`}>${message.eventType}<//>
    <dl class="facts"><dt>${t("Message")}</dt><dd><code>${message.id}</code> <${Copy} text=${message.id} /></dd>
      ${message.eventId && html`<dt>${t("Event id")}</dt><dd><code>${message.eventId}</code></dd>`}
      <dt>${t("Published")}</dt><dd><${Time} at=${message.timestamp} /></dd>
      ${message.deliverAt && !canceled && html`<dt>${t("To be sent")}</dt><dd><${Time} at=${message.deliverAt} /></dd>`}
      ${message.tags?.length > 0 && html`<dt>${t("Tags")}</dt><dd>${message.tags.join(", ")}</dd>`}
      ${message.channels?.length > 0 && html`<dt>${t("Channels")}</dt><dd>${message.channels.join(", ")}</dd>`}</dl>
    <section><h2>${t("Endpoints")}</h2>
      <${Loaded} of=${why}>${(seen) => html`
        ${seen.endpoints.length === 0 && html`<p class="empty">${t("There is no endpoint yet.")}</p>`}
        ${seen.endpoints.filter((one) => !unsent(one)).sort(byWeight).map((one) => html`<${Place} key=${one.endpointId} one=${one} tries=${tries.rows} again=${again} message=${message} />`)}
        <${Unsent} all=${seen.endpoints.filter(unsent)} again=${again} message=${message} open=${seen.endpoints.every(unsent)} />
        ${seen.leftOut > 0 && html`<p class="minor">${t("{n} more endpoints are not shown here; the page of each says what it was sent.", { n: count(seen.leftOut) })}</p>`}`}<//>
      <${More} list=${tries} empty="" /></section>
    <section><h2>${t("Payload")}</h2><${Code} value=${message.rawPayload ?? asWritten(message, "payload") ?? message.payload} /></section>`}<//>`;
}

/** Whether something is sent at this moment, or was to be sent by now. */
const isComing = (one, now) => ["sending", "retrying", "waiting"].includes(one.verdict) && (one.nextAttempt ? Date.parse(one.nextAttempt) <= now : one.verdict === "sending");
const unsent = (one) => one.verdict === "skipped";
/** Nothing is sent to it, by hand neither. */
const isOff = (one) => one.rules.some((rule) => rule.rule === "enabled" && !rule.holds);

/** Endpoints that it was not sent to, and why. */
function Unsent({ all, again, message, open }) {
  if (all.length === 0) return null;
  const label = all.length === 1 ? t("Not sent to 1 endpoint") : t("Not sent to {n} endpoints", { n: all.length });
  return html`<details open=${open}><summary>${label}</summary><ul class="plain">${all.map((one) => html`<li key=${one.endpointId} class="bar unsent">
    <div class="titles"><a href=${`#/endpoints/${one.endpointId}`}>${named(one.description, one.url)}</a> <span class="minor">${tell(one.says)}</span></div>
    ${may("CreateAttempts") && !message.expunged && !isOff(one) && html`<${Act} act=${() => again(one.endpointId)}>${t("Send anyway")}<//>`}</li>`)}</ul></details>`;
}

/** What needs somebody comes first, what was not to be sent last. */
function byWeight(one, other) {
  const order = ["failed", "retrying", "missed", "sending", "waiting", "delivered", "canceled", "skipped"];
  return order.indexOf(one.verdict) - order.indexOf(other.verdict);
}

/** A message at one endpoint: the verdict, the reasons, the timeline. */
function Place({ one, tries, again, message }) {
  const [kind, word] = VERDICTS[one.verdict] ?? ["off", one.verdict];
  const made = tries.filter((attempt) => attempt.endpointId === one.endpointId).reverse();
  const failure = one.lastAttempt?.failure;
  return html`<div class="place">
    <div class="bar"><div class="titles"><a href=${`#/endpoints/${one.endpointId}`}>${named(one.description, one.url)}</a>${named(one.description, "") && html`<code class="cut">${one.url}</code>`}</div>
      <div class="side"><${Status} kind=${kind}>${t(word)}<//>
      ${may("CreateAttempts") && !message.expunged && !isOff(one) && html`<${Act} act=${() => again(one.endpointId)}>${t("Send again")}<//>`}</div></div>
    ${one.verdict === "retrying" && html`<p>${t("{n} of {most}", { n: one.scheduled, most: one.schedule })}, ${t("next try")} <${Time} at=${one.nextAttempt} />.</p>`}
    ${(one.verdict === "failed" || one.verdict === "waiting" || one.verdict === "missed") && html`<p>${tell(one.says)}${one.verdict === "waiting" && one.nextAttempt && html` ${t("Next try")} <${Time} at=${one.nextAttempt} />.`}</p>`}
    ${failure && html`<p class="advice"><strong>${tell(failure.says)}</strong> ${tell(failure.advice)}</p>`}
    <details class="why"><summary>${t("Why")}</summary><ul class="plain rules">${one.rules.map((rule) => html`<li key=${rule.rule}><${Status} kind=${rule.holds ? "good" : "off"}>${tell(rule.says)}<//></li>`)}</ul></details>
    ${made.length > 0 && html`<ol class="timeline">${made.map((attempt) => html`<${Try} key=${attempt.id} attempt=${attempt} msg=${message.id} told=${failure?.kind} />`)}
      ${one.nextAttempt && html`<li class="off">${t("next try")} <${Time} at=${one.nextAttempt} /></li>`}</ol>`}</div>`;
}

/** Headers as they travel. */
const lines = (headers) => headers.map(({ name, value }) => `${name}: ${value}`).join("\n");

/** One try; its request is asked for when it is opened. */
function Try({ attempt, msg, told }) {
  const [seen, set] = useState(/** @type {any} */ (null));
  const ok = attempt.status === 0;
  const open = async (event) => {
    if (!event.target.open || seen) return;
    try {
      set(await own("GET", `/msg/${msg}/attempt/${attempt.id}/request`));
    } catch (error) {
      set({ error });
    }
  };
  return html`<li class=${ok ? "good" : "bad"}><details onToggle=${open}><summary>
    <${Status} kind=${ok ? "good" : "bad"}>${answered(attempt.responseStatusCode)}<//> ${took(attempt.responseDurationMs)}
    ${" "}<${Time} at=${attempt.timestamp} />${attempt.triggerType === 1 && ` · ${t("by hand")}`}</summary>
    ${seen?.error && html`<${Failed} error=${seen.error} />`}
    ${seen && !seen.error && html`
      ${seen.failure && seen.failure.kind !== told && html`<p class="advice"><strong>${tell(seen.failure.says)}</strong> ${tell(seen.failure.advice)}</p>`}
      <h3>${t("Answer")}</h3>${seen.answerHeaders.length > 0 && html`<${Code} plain value=${lines(seen.answerHeaders)} />`}
      ${seen.answer ? html`<${Code} value=${seen.answer} />` : html`<p class="empty">${t("Nothing.")}</p>`}
      <h3>${t("Request")}</h3>
      <${Code} plain value=${`${seen.method} ${seen.url}\n${lines(seen.headers)}`} />
      ${seen.notes.map((note) => html`<p class="minor">${tell(note)}</p>`)}
      ${seen.body !== null && html`<${Code} value=${seen.body} />`}
      <p><${Copy} text=${curl(seen)} label=${t("Copy as curl")} /></p>`}</details></li>`;
}
