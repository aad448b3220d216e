// @ts-check
// What was sent: one line each, with filters that stand in the address.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { all, may, once, own, query } from "./api.js";
import { names } from "./events.js";
import { answered, took } from "./format.js";
import { Act, Find, forgetLists, More, say, Status, Table, Time, Title, useAsked, useList, useNow } from "./parts.js";
import { Found, found } from "./search.js";
import { deliveryState } from "./state.js";
import { nameOf } from "./endpoints.js";
import { t } from "./text.js";

/** How often a list that can be seen looks for what is new, in milliseconds. */
const LIVE_MS = 5_000;
/** Rows of a page; in an endpoint's page fewer, which costs less to open. */
const ROWS = 30;
const FEW = 8;
const STATES = /** @type {[string, string][]} */ ([["", "All"], ["failing", "Failing"], ["failed", "Failed"], ["waiting", "Waiting"], ["delivered", "Delivered"]]);
const SPANS = /** @type {[string, string][]} */ ([["", "any time"], ["1", "last hour"], ["24", "last 24 hours"], ["168", "last 7 days"]]);

/** All endpoints by id, once a visit. */
export function endpointNames() {
  return once("endpoints", async () => {
    const page = (iterator) => own("GET", `/endpoint${query({ limit: 250, iterator })}`);
    return new Map((await all(page)).map((one) => [one.id, one]));
  });
}

/** The page of all of them. */
export function AllDeliveries() {
  return html`<${Title}>${t("Deliveries")}<//><${Deliveries} />`;
}

/** The list: of the application, or `of` an endpoint, whose `first` page may be known already. */
export function Deliveries({ of, first }) {
  const [asked, ask] = useAsked();
  // An endpoint that chose types gets no others.
  const [types, setTypes] = useState(of?.eventTypes?.length ? of.eventTypes : null);
  const [endpoints, setEndpoints] = useState(/** @type {any[] | null} */ (null));
  const [chosen, choose] = useState(new Set());
  const limit = of ? FEW : ROWS;
  // What there is to choose from is asked for when somebody is about to choose.
  const wantTypes = () => types ?? names().then(setTypes, () => {});
  const wantEndpoints = () => endpoints ?? endpointNames().then((found) => setEndpoints([...found.values()]), () => {});
  useEffect(() => { if (asked.endpoint) wantEndpoints(); }, []);
  const after = asked.since ? new Date(Date.now() - Number(asked.since) * 3_600_000).toISOString() : null;
  const wanted = { state: asked.state, event_types: asked.type, tag: asked.tag, channel: asked.channel, endpoint_id: of?.id ?? asked.endpoint };
  const name = JSON.stringify([wanted, asked.since ?? "", of ? "" : [asked.q, asked.payload]]);
  const filtered = Object.values(asked).some(Boolean);
  const searched = asked.q && !of;
  const list = useList(name, (iterator) => {
    // A list that was left goes on where it was.
    const known = iterator ? null : first?.current;
    if (first) first.current = null;
    if (asked.q && !of) return own("GET", `/msg-search${query({ ...found(asked), after, limit, iterator })}`);
    return known && !filtered ? known : own("GET", `/delivery${query({ ...wanted, after, limit, iterator })}`);
  });
  const retry = async () => {
    let sent = 0;
    for (const id of chosen) {
      const page = await own("GET", `/msg/${id}/endpoint${query({ limit: 250 })}`);
      const targets = page.data.filter((one) => (of ? one.id === of.id : one.status !== 0) && !one.disabled);
      for (const one of targets) {
        await own("POST", `/msg/${id}/endpoint/${one.id}/resend`, {});
        sent += 1;
      }
    }
    choose(new Set());
    forgetLists();
    say(t("{n} deliveries are sent again", { n: sent }));
    setTimeout(list.again, 700);
  };
  const pick = (id, on) => {
    const next = new Set(chosen);
    if (on) next.add(id);
    else next.delete(id);
    choose(next);
  };
  const option = ([value, label]) => html`<option key=${value} value=${value}>${label}</option>`;
  const select = (key, label, options, want) => html`<select aria-label=${label} value=${asked[key] ?? ""} onFocus=${want} onPointerEnter=${want} onChange=${(event) => ask({ [key]: event.target.value })}>${options.map(option)}</select>`;
  /** What is chosen stands there before the others are known. */
  const known = (all, now) => all ?? (now ? [now] : []);
  return html`<div class="filters">
      ${!searched && html`<div class="chips" role="group" aria-label=${t("State")}>${STATES.map(([value, label]) => html`<button key=${value} type="button" class="chip" aria-pressed=${(asked.state ?? "") === value} onClick=${() => ask({ state: value })}>${t(label)}</button>`)}</div>`}
      ${select("type", t("Event type"), [["", t("All event types")], ...known(types, asked.type).map((one) => [one, one])], wantTypes)}
      ${select("since", t("Time"), SPANS.map(([value, label]) => [value, t(label)]))}
      ${!of && !searched && select("endpoint", t("Endpoint"), [["", t("All endpoints")], ...(endpoints ?? []).map((one) => [one.id, nameOf(one)])], wantEndpoints)}
      <${Find} value=${asked.q || asked.tag || (asked.channel ? `#${asked.channel}` : "")} find=${(wanted) => look(wanted, ask, of)} name=${of ? t("Message id, event id, tag or #channel") : t("Search messages, or #channel")} placeholder=${of ? t("Message id, event id, tag …") : t("Search messages")} />
      ${may("CreateAttempts") && chosen.size > 0 && !searched && html`<${Act} act=${retry}>${t("Retry selected")} (${chosen.size})<//>`}
      <${Live} list=${list} of=${of?.id} filtered=${filtered} /></div>
    ${searched ? html`<${Found} list=${list} asked=${asked} ask=${ask} link=${(row) => html`<a href=${`#/messages/${row.id}`}>${row.eventType}</a>`} />` : html`<${Rows} rows=${list.rows} chosen=${chosen} pick=${pick} />
    <${More} list=${list} empty=${filtered ? t("Nothing fits.") : t("Nothing was sent yet.")} />`}`;
}

/** Finds a message by its id or event id, and those that have a text in them; a channel filters. */
async function look(wanted, ask, of) {
  const none = { q: "", tag: "", channel: "", payload: "" };
  if (!wanted) return ask(none);
  if (wanted.startsWith("#")) return ask({ ...none, channel: wanted.slice(1) });
  try {
    const found = await own("GET", `/msg/${encodeURIComponent(wanted)}?with_content=false`);
    location.hash = `#/messages/${found.id}`;
  } catch (error) {
    if (error.status !== 404) throw error;
    ask(of ? { ...none, tag: wanted } : { ...none, q: wanted, state: "", endpoint: "" });
  }
}

/** Looks for what is new while the page can be seen, and says how much there is. */
function Live({ list, of, filtered }) {
  const [fresh, set] = useState(0);
  const newest = useRef("");
  newest.current = list.rows[0]?.id ?? "";
  useEffect(() => {
    set(0);
    const look = async () => {
      if (document.hidden || list.fresh) return;
      try {
        const latest = { limit: 10, with_content: false };
        const ids = of ? (await own("GET", `/attempt/endpoint/${of}${query(latest)}`)).data.map((one) => one.msgId)
          : (await own("GET", `/msg${query(latest)}`)).data.map((one) => one.id);
        const at = ids.indexOf(newest.current);
        set(newest.current === "" || at < 0 ? ids.length : new Set(ids.slice(0, at)).size);
      } catch {
        // The next look says it.
      }
    };
    const timer = filtered ? 0 : setInterval(look, LIVE_MS);
    return () => clearInterval(timer);
  }, [of, filtered, list.rows[0]?.id, list.fresh]);
  if (fresh > 0) {
    return html`<button type="button" class="chip live" onClick=${() => {
      set(0);
      forgetLists();
      list.again();
    }}>${t("{n} new", { n: fresh === 10 ? "10+" : fresh })}</button>`;
  }
  return filtered ? null : html`<span class="live"><${Status} kind="good">${t("live")}<//></span>`;
}

function Rows({ rows, chosen, pick }) {
  const now = useNow();
  if (rows.length === 0) return null;
  const picks = may("CreateAttempts");
  const heads = [t("Event"), t("State"), { text: t("Answer") }, { text: t("Time taken"), number: true }, { text: "Id", minor: true }, t("When")];
  return html`<${Table} name=${t("Deliveries")} heads=${picks ? [{ text: html`<span class="offscreen">${t("Selected")}</span>` }, ...heads] : heads} rows=${rows.map((row) => {
    const state = deliveryState(row, now);
    return html`<tr key=${row.id} data-row class="line">
      ${picks && html`<td class="pick"><input type="checkbox" aria-label=${t("Select {name}", { name: row.id })} checked=${chosen.has(row.id)} onChange=${(event) => pick(row.id, event.target.checked)} /></td>`}
      <td class="name"><a href=${`#/messages/${row.id}`}>${row.eventType}</a>${row.tags && html`<small>${row.tags.join(" ")}</small>`}</td>
      <td class="state"><${Status} kind=${state.kind}>${state.says}<//>${state.more && html`<small>${state.more}</small>`}</td>
      <td class="when">${answered(row.status)}</td><td class="number">${took(row.durationMs)}</td>
      <td class="minor id"><code title=${row.id}>${row.eventId ?? `${row.id.slice(0, 14)}…`}</code></td>
      <td class="when"><${Time} at=${row.timestamp} /></td></tr>`;
  })} />`;
}
