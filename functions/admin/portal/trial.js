// @ts-check
// Trying an endpoint out: an example with a payload of one's own, and the check of the receiver.

import { html, useEffect, useState } from "./vendor/preact.js";
import { isPassing, may, own } from "./api.js";
import { isTokenKind } from "./kind.js";
import { content, offer } from "./events.js";
import { answered, took } from "./format.js";
import { Json, laidOut } from "./json.js";
import { forgetLists } from "./list.js";
import { Act, Loaded, say, Status, Table, useData } from "./parts.js";
import { t, tell } from "./text.js";

/** When what was sent is looked for, and how often, in milliseconds. */
const LOOK_MS = 500;
const LOOKS = 20;
/** A payload before it is known: its text, whether it is the visitor's own, whether there is none to send. */
const NOTHING = { text: "", isOwn: false, isMissing: false };
/** What the steps of a check are. */
const STEPS = new Map([
  ["valid", "A well-made event"],
  ["duplicate", "The same again"],
  ["bad-signature", "One with a wrong signature"],
  ["old-timestamp", "One that is an hour old"],
]);

/** The tab. */
export function Trial({ endpoint, done }) {
  const data = useData(offer, []);
  if (!may("CreateAttempts")) return html`<p class="empty">${t("This link may not send tests.")}</p>`;
  return html`<${Loaded} of=${data}>${(offered) => html`
    <section><h2>${t("Send an example")}</h2><${Example} endpoint=${endpoint} events=${offered.events} done=${done} /></section>
    ${!isTokenKind(endpoint, offered) && html`<section><h2>${t("Check the receiver")}</h2><${Check} ep=${endpoint.id} /></section>`}`}<//>`;
}

function Example({ endpoint, events, done }) {
  const wanted = endpoint.eventTypes?.length ? events.filter((event) => endpoint.eventTypes.includes(event.name)) : events;
  const usable = wanted.length ? wanted : events;
  const [name, choose] = useState(usable[0]?.name ?? "");
  const [{ text, isOwn, isMissing }, write] = useState(NOTHING);
  const [seen, set] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let mine = true;
    write(NOTHING);
    const event = usable.find((one) => one.name === name);
    if (event) {
      content(event).then((found) => {
        const shown = found.example === undefined ? "" : laidOut(found.example);
        // What was typed meanwhile stays.
        if (mine) write((now) => (now.isOwn ? now : { text: shown, isOwn: false, isMissing: !shown }));
      }, (error) => { if (mine) say(error.message, true); });
    }
    return () => { mine = false; };
  }, [name]);
  if (usable.length === 0) return html`<p class="empty">${t("No event type has an example to send.")}</p>`;
  const mayWrite = may("ViewEndpointSecret");
  const missing = mayWrite ? t("This event type has no example: write a payload.") : t("This event type has no example, and this link may send nothing else.");
  const send = async () => {
    const body = /** @type {any} */ ({ eventType: name });
    if (isMissing) throw new Error(missing);
    if (isOwn) {
      try {
        body.payload = new Json(text);
      } catch (error) {
        throw new Error(`${t("The payload is not valid JSON")}: ${error.message}`);
      }
    }
    set(null);
    const sent = await own("POST", `/endpoint/${endpoint.id}/send-example`, body);
    forgetLists();
    for (let look = 0; look < LOOKS; look += 1) {
      await new Promise((later) => setTimeout(later, LOOK_MS));
      const tries = await own("GET", `/attempt/msg/${sent.id}`).catch((error) => {
        if (!isPassing(error)) throw error;
        return null;
      });
      const made = tries?.data.find((one) => one.endpointId === endpoint.id);
      if (made) {
        set({ ...made, msg: sent.id });
        // What stands above it says now that something was sent.
        return done();
      }
    }
    set({ msg: sent.id });
  };
  return html`<div class="trial"><label class="field"><span>${t("Event type")}</span>
      <select value=${name} onChange=${(event) => choose(event.target.value)}>${usable.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select></label>
    <label class="field"><span>${t("Payload")}</span><textarea rows="10" spellcheck=${false} readonly=${!mayWrite} value=${text} onInput=${(event) => write({ text: event.target.value, isOwn: true, isMissing: false })} />
      ${isMissing && html`<small>${missing}</small>`}</label>
    <${Act} main act=${send}>${t("Send example")}<//>
    ${seen && html`<p role="status" class="result">${seen.id ? html`<${Status} kind=${seen.status === 0 ? "good" : "bad"}>${seen.status === 0 ? t("delivered") : t("failed")}<//> ${answered(seen.responseStatusCode)}, ${took(seen.responseDurationMs)} ` : t("It is on its way.")}
      <a href=${`#/messages/${seen.msg}`}>${t("Look at it")}</a></p>`}</div>`;
}

/** Tells whether the endpoint is a good receiver. */
function Check({ ep }) {
  const [steps, set] = useState(/** @type {any[] | null} */ (null));
  return html`<p class="minor">${t("Sends a good event twice, a forged one and an old one, and tells what your endpoint made of them.")}</p>
    <${Act} act=${async () => {
      set(null);
      set((await own("POST", `/endpoint/${ep}/check`, {})).steps);
    }}>${t("Check the receiver")}<//>
    <div aria-live="polite">${steps && html`<${Table} name=${t("Check the receiver")} heads=${[t("Sent"), t("Answer"), t("Result"), t("Advice")]} rows=${steps.map((step) => html`<tr key=${step.name}>
      <td>${t(STEPS.get(step.name) ?? step.name)}</td><td>${step.status ? `${answered(step.status)}, ${took(step.durationMs)}` : t("no answer")}</td>
      <td><${Status} kind=${step.ok ? "good" : "bad"}>${step.ok ? t("good") : t("not good")}<//></td><td>${tell(step.advice)}</td></tr>`)} />`}</div>`;
}
