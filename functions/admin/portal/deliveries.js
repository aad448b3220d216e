// @ts-check
// What was sent: one line each, with filters that stand in the address.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { all, allEndpoints, may, once, own, query } from "./api.js";
import { names } from "./events.js";
import { forgetLists, PickAll, useChosen, useList } from "./list.js";
import { Act, asked, broken, Find, say, Status, staying, Title, useAsked } from "./parts.js";
import { Rows, Search } from "./search.js";
import { isDue, rest } from "./state.js";
import { nameOf } from "./endpoints.js";
import { t } from "./text.js";

/** Rows of a page; in an endpoint's page fewer, which costs less to open. */
const ROWS = 30;
const FEW = 8;
/** Messages of a page of which a filter keeps some. */
const SIFTED = 100;
const STATES = /** @type {[string, string][]} */ ([["", "All"], ["failing", "Failing"], ["failed", "Failed"], ["waiting", "Waiting"], ["delivered", "Delivered"]]);
const SPANS = /** @type {[string, string][]} */ ([["", "any time"], ["1", "last hour"], ["24", "last 24 hours"], ["168", "last 7 days"]]);

/** All endpoints by id, once a visit. */
export function endpointNames() {
  return once("endpoints", async () => new Map((await allEndpoints()).map((one) => [one.id, one])));
}

/** The page of all of them. */
export function AllDeliveries() {
  return html`<${Title}>${t("Deliveries")}<//><${Deliveries} />`;
}

/** The list: of the application, or `of` an endpoint, whose `first` page may be known already. `changed`: a line that is shown says something else now. */
export function Deliveries({ of, first, changed }) {
  const [asked, ask] = useAsked();
  // An endpoint that chose types gets no others.
  const [types, setTypes] = useState(of?.eventTypes?.length ? of.eventTypes : null);
  const [endpoints, setEndpoints] = useState(/** @type {any[] | null} */ (null));
  /** What was sent again of messages of which not all was. */
  const begun = useRef(new Set());
  // What there is to choose from is asked for when somebody is about to choose.
  const wantTypes = () => types ?? names().then(setTypes, () => {});
  const wantEndpoints = () => endpoints ?? endpointNames().then((found) => setEndpoints([...found.values()]), () => {});
  useEffect(() => { if (asked.endpoint) wantEndpoints(); }, []);
  const hours = SPANS.some(([value]) => value === asked.since) ? Number(asked.since) : 0;
  const after = hours ? new Date(Date.now() - hours * 3_600_000).toISOString() : null;
  const searched = asked.q && !of;
  const what = searched ? { q: asked.q, in_payload: asked.payload } : { endpoint_id: of?.id ?? asked.endpoint };
  const wanted = { state: asked.state, event_types: asked.type, tag: asked.tag, channel: asked.channel, ...what };
  const name = JSON.stringify([wanted, asked.since ?? ""]);
  const filtered = Object.values(asked).some(Boolean);
  const limit = filtered && !searched ? SIFTED : of ? FEW : ROWS;
  const list = useList(name, (iterator) => {
    // A list that was left goes on where it was.
    const known = iterator ? null : first?.current;
    if (first) first.current = null;
    return known && !filtered ? known : own("GET", `/delivery${query({ ...wanted, after, limit, iterator })}`);
  });
  const { chosen, choose, pick } = useChosen(name, list.rows);
  const retry = async () => {
    try {
      const sent = await resend(chosen, of, begun.current, (id) => pick(id, false));
      if (sent === 0) throw new Error(t("None of these can be sent again from here. Open one to send it by hand."));
      say(t("{n} deliveries are sent again", { n: sent }));
    } finally {
      forgetLists();
      setTimeout(list.again, 700);
    }
  };
  const box = (id) => html`<input type="checkbox" aria-label=${t("Select {name}", { name: id })} checked=${chosen.has(id)} onChange=${(event) => pick(id, event.target.checked)} />`;
  const option = ([value, label]) => html`<option key=${value} value=${value}>${label}</option>`;
  const select = (key, label, options, want) => html`<select aria-label=${label} value=${asked[key] ?? ""} onFocus=${want} onPointerEnter=${want} onChange=${(event) => ask({ [key]: event.target.value })}>${options.map(option)}</select>`;
  /** What is chosen stands there before the others are known. */
  const known = (all, now) => all ?? (now ? [now] : []);
  return html`<div class="filters">
      <div class="chips" role="group" aria-label=${t("State")}>${STATES.map(([value, label]) => html`<button key=${value} type="button" class="chip" aria-pressed=${(asked.state ?? "") === value} onClick=${() => ask({ state: value })}>${t(label)}</button>`)}</div>
      ${select("type", t("Event type"), [["", t("All event types")], ...known(types, asked.type).map((one) => [one, one])], wantTypes)}
      ${select("since", t("Time"), SPANS.map(([value, label]) => [value, t(label)]))}
      ${!of && !searched && select("endpoint", t("Endpoint"), [["", t("All endpoints")], ...(endpoints ?? []).map((one) => [one.id, nameOf(one)])], wantEndpoints)}
      <${Find} value=${asked.q || asked.tag || (asked.channel ? `#${asked.channel}` : "")} find=${(wanted) => look(wanted, ask, of)} name=${of ? t("Message id, event id, tag or #channel") : t("Search messages, or #channel")} placeholder=${of ? t("Message id, event id, tag …") : t("Search messages")} />
      ${may("CreateAttempts") && chosen.size > 0 && html`<${Act} act=${retry}>${t("Retry selected")} (${chosen.size})<//>`}
      <${Live} list=${list} of=${of?.id} filtered=${filtered} changed=${changed} /></div>
    ${searched && html`<${Search} list=${list} asked=${asked} ask=${ask} />`}
    <${Rows} list=${list} of=${of} asked=${searched ? asked : {}} none=${filtered ? t("No matches.") : t("Nothing was sent yet.")} pick=${may("CreateAttempts") && box} all=${html`<${PickAll} rows=${list.rows} chosen=${chosen} choose=${choose} />`} link=${(row) => html`<a href=${`#/messages/${row.id}`}>${row.eventType}</a>`} />`;
}

/**
 * Sends messages again, to this endpoint or to all that did not take them. What breaks off goes on
 * later with what was not sent yet; `over` is told of each that is done.
 */
async function resend(ids, of, begun, over) {
  let sent = 0;
  try {
    for (const id of ids) {
      const targets = of ? [of] : (await all((iterator) => own("GET", `/msg/${id}/endpoint${query({ limit: 250, iterator })}`))).filter((one) => one.status !== 0 && !one.disabled);
      const names = targets.map((one) => `${id} ${one.id}`);
      for (const [at, one] of targets.entries()) {
        if (begun.has(names[at])) continue;
        await own("POST", `/msg/${id}/endpoint/${one.id}/resend`, {});
        begun.add(names[at]);
        sent += 1;
      }
      names.forEach((name) => begun.delete(name));
      if (targets.length > 0) over(id);
    }
  } catch (error) {
    throw sent ? broken(t("{n} deliveries are sent again", { n: sent }), error) : error;
  }
  return sent;
}

/** Finds a message by its id or event id, and those that have a text in them, in whatever state unless one is chosen meanwhile; a channel filters. */
async function look(wanted, ask, of) {
  const none = { q: "", tag: "", channel: "", payload: "" };
  if (!wanted) return ask(none);
  if (wanted.startsWith("#")) return ask({ ...none, channel: wanted.slice(1) });
  const [here, { state }] = [staying(), asked()];
  try {
    const found = await own("GET", `/msg/${encodeURIComponent(wanted)}?with_content=false`);
    if (here()) location.hash = `#/messages/${found.id}`;
  } catch (error) {
    if (error.status !== 404) throw error;
    const now = asked().state;
    if (here()) ask(of ? { ...none, tag: wanted } : { ...none, q: wanted, state: now === state ? "" : now, endpoint: "" });
  }
}

/** Most of what is new that is counted: there is nothing to look for beyond. */
const MOST_NEW = 10;

/** Looks for what is new while the page can be seen, seldom where nothing goes on, and says how much there is. Lines whose next try is due are brought up to date. */
function Live({ list, of, filtered, changed }) {
  const [fresh, set] = useState(0);
  /** Whether the latest look came to nothing. */
  const [lost, lose] = useState(false);
  const rows = useRef(list.rows);
  const renew = useRef(list.renew);
  [rows.current, renew.current] = [list.rows, list.renew];
  useEffect(() => {
    let [timer, quiet, seen, over] = [0, 0, 0, filtered || list.fresh];
    set(0);
    const wait = () => {
      clearTimeout(timer);
      if (!over && seen < MOST_NEW) timer = setTimeout(look, rest(rows.current, Date.now(), quiet));
    };
    const latest = async (limit) => (of ? (await own("GET", `/attempt/endpoint/${of}${query({ limit, with_content: false })}`)).data.map((one) => one.msgId)
      : (await own("GET", `/msg${query({ limit, with_content: false })}`)).data.map((one) => one.id));
    const look = async () => {
      if (document.hidden) return;
      try {
        // While nothing is new, one is enough to see it.
        let ids = await latest(seen ? MOST_NEW : 1);
        if (!seen && ids.length && ids[0] !== rows.current[0]?.id) ids = await latest(MOST_NEW);
        if (over) return;
        const at = ids.indexOf(rows.current[0]?.id);
        const now = at < 0 ? ids.length : new Set(ids.slice(0, at)).size;
        const renewed = rows.current.some((row) => isDue(row, Date.now())) && (await renew.current());
        if (over) return;
        lose(false);
        if (renewed) changed?.();
        quiet = now === seen && !renewed ? quiet + 1 : 0;
        set(seen = now);
      } catch {
        if (over) return;
        lose(true);
        quiet += 1;
      }
      wait();
    };
    // A page that is seen again looks at once.
    const back = () => { if (!over) look(); };
    document.addEventListener("visibilitychange", back);
    wait();
    return () => {
      over = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", back);
    };
  }, [of, filtered, list.rows[0]?.id, list.fresh]);
  const again = () => {
    set(0);
    forgetLists();
    changed?.();
    return list.again();
  };
  if (fresh > 0) return html`<button type="button" class="chip live" onClick=${again}>${t("{n} new", { n: fresh === MOST_NEW ? "10+" : fresh })}</button>`;
  if (filtered) return html`<${Act} class="refresh" act=${again}>${t("Refresh")}<//>`;
  return html`<span class="live">${lost ? html`<${Status} kind="off">${t("no connection")}<//>` : html`<${Status} kind="good">${t("live")}<//>`}</span>`;
}
