// @ts-check
// An endpoint's settings: its secret, what it gets, its headers, and its end.

import { html, useState } from "./vendor/preact.js";
import { anew, gone, keySet, may, own } from "./api.js";
import { nameOf } from "./endpoints.js";
import { offer } from "./events.js";
import { Verify } from "./first.js";
import { isTokenKind } from "./kind.js";
import { schedule } from "./format.js";
import { forgetLists } from "./list.js";
import { Act, ask, Copy, Form, Loaded, say, Status, staying, Time, useData } from "./parts.js";
import { t } from "./text.js";

/** The tab. */
export function Settings({ endpoint }) {
  const path = /** @type {const} */ (`/endpoint/${endpoint.id}`);
  const offered = useData(offer, []);
  const [turn, rotated] = useState(0);
  const remove = async () => {
    const text = html`<p>${t("Delete {name}? It will get no more events.", { name: nameOf(endpoint) })}</p><p><code>${endpoint.url}</code></p>`;
    if (!(await ask(text, t("Delete"), true))) return;
    const here = staying();
    await gone(own("DELETE", path));
    forgetLists();
    anew("endpoints");
    if (here()) location.hash = "#/endpoints";
  };
  const row = (name, value) => html`<dt>${name}</dt><dd>${value}</dd>`;
  const types = endpoint.eventTypes ?? [];
  return html`<${Loaded} of=${offered}>${(offered) => html`
    <section><h2>${t("Signing secret")}</h2><${Secret} endpoint=${endpoint} offered=${offered} rotated=${() => rotated(turn + 1)} /></section>
    <section><h2>${t("What it gets")}</h2><dl>
      ${row(t("Events"), types.length ? types.map((name) => html`<code class="chip">${name}</code> `) : t("All events"))}
      ${row(t("Channels"), endpoint.channels?.join(", ") || t("all"))}
      ${row(t("Rate limit"), endpoint.throttleRate ? t("{n} a second", { n: endpoint.throttleRate }) : t("none"))}
      ${row(t("Time-out"), endpoint.timeoutSeconds ? `${endpoint.timeoutSeconds} s` : t("as usual"))}
      ${row(t("Retry schedule"), !endpoint.retrySchedule ? t("as usual") : endpoint.retrySchedule.length === 0 ? t("a single attempt") : html`<code>${schedule(endpoint.retrySchedule)}</code>`)}
      ${row(t("Sent as"), isTokenKind(endpoint, offered) ? t("signed tokens (JWT)") : t("signed JSON"))}
      ${endpoint.verifiedAt ? row(t("Verified"), html`${t("It has taken an example")} <${Time} at=${endpoint.verifiedAt} />`) : null}
      ${!endpoint.verifiedAt && offered.verifiedFirst ? row(t("Verified"), html`<${Status} kind="wait">${t("not verified")}<//> ${t("It gets events once it has taken an example.")}`) : null}
      ${row("Id", html`<code>${endpoint.id}</code>`)}
      ${row(t("Created"), html`<${Time} at=${endpoint.createdAt} />`)}</dl></section>
    <section><h2>${t("Headers")}</h2><${Headers} path=${path} /></section>
    ${!isTokenKind(endpoint, offered) && html`<section><h2>${t("Verify in your language")}</h2><${Verify} endpoint=${endpoint} offered=${offered} turn=${turn} /></section>`}
    ${may("ManageEndpoint") && html`<section><h2>${t("Delete")}</h2><${Act} danger act=${remove}>${t("Delete endpoint")}<//></section>`}`}<//>`;
}

function Secret({ endpoint, offered, rotated }) {
  const [shown, set] = useState(/** @type {string | null} */ (null));
  const path = /** @type {const} */ (`/endpoint/${endpoint.id}/secret`);
  if (isTokenKind(endpoint, offered)) {
    return html`<p>${t("Events are sent as signed tokens. Their keys are at")} <a href=${keySet()}>jwks.json</a>.</p>`;
  }
  if (!may("ViewEndpointSecret")) return html`<p class="minor">${t("This link does not show it.")}</p>`;
  const read = async () => (await own("GET", path)).key;
  const rotate = async () => {
    const text = html`<p>${t("Make a new secret? What is sent is signed with the old one as well for 24 hours.")}</p>`;
    if (!(await ask(text, t("Rotate"), true))) return;
    set((await own("POST", `${path}/rotate`, {})).key);
    rotated();
    say(t("This is the new secret. The old one also signs for 24 hours."));
  };
  return html`<div class="side left"><output class="secret">${shown ?? "••••••••••••••••"}</output>
    ${offered.secretShownOnce ? html`<small>${t("It was shown once, when it was made. If it is lost, rotate it.")}</small>`
      : html`<${Act} act=${async () => set(shown ? null : await read())}>${shown ? t("Hide") : t("Show")}<//><${Copy} text=${read} />`}
    ${may("ManageEndpointSecret") && html`<${Act} act=${rotate}>${t("Rotate")}<//>`}</div>`;
}

/** Headers that go out with every event of the endpoint. */
function Headers({ path }) {
  const data = useData(() => own("GET", `${path}/headers`), [path]);
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const change = async (headers, deleteHeaders) => {
    await own("PATCH", `${path}/headers`, { headers, ...(deleteHeaders && { deleteHeaders }) });
    await data.reload();
  };
  const drop = async (header) => {
    const text = html`<p>${t("Remove {name}? Its value cannot be read back.", { name: header })}</p>`;
    if (await ask(text, t("Remove"), true)) await change({}, [header]);
  };
  const remove = (header) => may("ManageEndpoint") && html`<${Act} act=${() => drop(header)}>${t("Remove")}<//>`;
  const add = async () => {
    await change({ [name.trim()]: value });
    setName("");
    setValue("");
  };
  return html`<${Loaded} of=${data}>${({ headers, sensitive }) => html`
    ${Object.keys(headers).length + sensitive.length === 0 ? html`<p class="empty">${t("No headers of your own are sent along.")}</p>`
      : html`<ul class="plain">${Object.entries(headers).map(([header, value]) => html`<li key=${header} class="side left"><code>${header}: ${value}</code>${remove(header)}</li>`)}
        ${sensitive.map((header) => html`<li key=${header} class="side left"><code>${header}: ••••••••</code>${remove(header)}</li>`)}</ul>`}
    ${may("ManageEndpoint") && html`<${Form} class="side left" act=${add} minor yes=${t("Set header")}>
      <input aria-label=${t("Header name")} placeholder="x-team" required value=${name} onInput=${(event) => setName(event.target.value)} />
      <input aria-label=${t("Header value")} placeholder=${t("value")} value=${value} onInput=${(event) => setValue(event.target.value)} /><//>`}`}<//>`;
}
