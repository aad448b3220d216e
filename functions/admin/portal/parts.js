// @ts-check
// Small parts that pages are made of. Text is always put in as text: what is shown here was sent
// by strangers.

import { html, render, useEffect, useErrorBoundary, useRef, useState } from "./vendor/preact.js";
import { ago, clock, exact } from "./format.js";
import { laidOut, pieces } from "./json.js";
import { t } from "./text.js";

/** How often times are said anew, in milliseconds. */
const TICK_MS = 30_000;
/** How long a page may be on its way before grey rows stand for it, in milliseconds. */
const PATIENCE_MS = 150;

/**
 * Loads something, and again when `wants` changes; `reload` keeps what is there meanwhile.
 * @template T @param {() => Promise<T>} load @param {any[]} wants
 * @returns {{data?: T, error?: any, reload: () => Promise<void>}}
 */
export function useData(load, wants) {
  const [state, set] = useState(/** @type {{data?: T, error?: any}} */ ({}));
  const turn = useRef(0);
  const reload = async () => {
    const mine = ++turn.current;
    try {
      const data = await load();
      if (mine === turn.current) set({ data });
    } catch (error) {
      if (mine === turn.current) set((old) => ({ data: old.data, error }));
    }
  };
  useEffect(() => {
    set({});
    reload();
    return () => { turn.current += 1; };
  }, wants);
  return { ...state, reload };
}

/** What is loaded, or what stands for it: also that it could not be read again, or is there no more. */
export function Loaded({ of, children }) {
  const [late, set] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => set(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  if (of.data !== undefined && of.error?.status !== 404) return html`${of.error && html`<${Failed} old error=${of.error} again=${of.reload} />`}${children(of.data)}`;
  if (of.error) return html`<${Failed} error=${of.error} again=${of.reload} />`;
  return late ? html`<div class="skeleton" role="status" aria-label=${t("Loading")}>${[1, 2, 3, 4].map(() => html`<div />`)}</div>` : null;
}

/** What went wrong, and a way on. `old`: what is shown beside it is as it was before. */
export function Failed({ error, again, old }) {
  const text = error.status === 403 ? t("This link may not show it.") : error.message;
  return html`<div class="banner ${old ? "wait" : "bad"}" role="alert"><p>${old ? `${t("What is shown may be old.")} ${text}` : text}</p>
    ${again && html`<button type="button" onClick=${again}>${t("Try again")}</button>`}</div>`;
}

/** A part of a page, or that it cannot be shown: what fails while it is drawn does not take the rest along. `title`: of a whole page. */
export function Guarded({ title, children }) {
  const [error, again] = useErrorBoundary(console.error);
  useEffect(() => {
    addEventListener("hashchange", again);
    return () => removeEventListener("hashchange", again);
  }, []);
  return error ? html`${title && html`<${Title}>${title}<//>`}<${Failed} error=${new Error(t("Something went wrong while it was drawn."))} again=${again} />` : children;
}

/** Now, told again now and then. */
export function useNow() {
  const [, set] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  // Not of the last tick: what has just happened would be to come.
  return Date.now();
}

/** Does something every so many milliseconds while the page can be seen, and when it is seen again. */
export function useEvery(ms, act) {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const look = () => { if (!document.hidden) latest.current(); };
    const timer = setInterval(look, ms);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
}

/** What every page of this visit is called, after its own title. */
let visited = "";

/** Says it. */
export function nameVisit(name) {
  const own = visited && document.title.endsWith(visited) ? document.title.slice(0, -visited.length) : "";
  document.title = own + name;
  visited = name;
}

/** The title of the window while this page is shown. */
export function Called({ name }) {
  useEffect(() => {
    document.title = name ? `${name} · ${visited}` : visited;
    return () => { document.title = visited; };
  }, [name]);
  return null;
}

/** A time as "22 min ago", exact in its title. */
export function Time({ at, day }) {
  const now = useNow();
  if (!at) return "–";
  return html`<time datetime=${at} title=${exact(at)}>${day ? clock(at, now) : ago(at, now)}</time>`;
}

/** A state: a dot and a word in its colour. */
export function Status({ kind, children }) {
  return html`<span class=${`status ${kind}`}><i aria-hidden="true" />${children}</span>`;
}

/** The title of a page, of the window as well, and what stands beside it. */
export function Title({ children, side }) {
  const name = [children].flat().filter((part) => typeof part === "string").join("");
  return html`<${Called} name=${name} /><div class="bar"><h1>${children}</h1>${side && html`<div class="side">${side}</div>`}</div>`;
}

/** Attempts by time, as bars: green took it, red failed. */
export function Bars({ picture, wide, says }) {
  const { success, fail } = picture;
  const highest = Math.max(1, ...success.map((n, at) => n + fail[at]));
  const good = success.reduce((sum, n) => sum + n, 0);
  const bad = fail.reduce((sum, n) => sum + n, 0);
  const height = wide ? 60 : 24;
  const bar = (n, at, kind, below) => n > 0 && html`<rect class=${kind} x=${at * 5} width="4"
    y=${height - ((n + below) / highest) * height} height=${Math.max(1, (n / highest) * height)} />`;
  return html`<svg class=${wide ? "bars wide" : "bars"} viewBox=${`0 0 ${success.length * 5} ${height}`}
    preserveAspectRatio="none" role="img" aria-label=${says ?? t("{good} delivered, {bad} failed", { good, bad })}>
    <line x1="0" x2=${success.length * 5} y1=${height - 0.5} y2=${height - 0.5} />
    ${success.map((n, at) => [bar(fail[at], at, "bad", 0), bar(n, at, "good", fail[at])])}</svg>`;
}

/** How long a picture is, in words. */
export function spanOf(picture) {
  const minutes = (picture.stepMs * picture.success.length) / 60_000;
  return minutes >= 120 ? t("last {n} h", { n: minutes / 60 }) : t("last {n} min", { n: Math.max(1, minutes) });
}

/** A table whose rows become cards on a phone. `heads`: the text of each column. */
export function Table({ heads, rows, name }) {
  return html`<table aria-label=${name}><thead><tr>${heads.map((head) => html`<th scope="col" class=${head.number ? "number" : head.minor ? "minor" : ""}>
    ${head.text ?? head}</th>`)}</tr></thead>
    <tbody>${rows}</tbody></table>`;
}

/** Code or data, with a button that copies it. */
export function Code({ value, plain }) {
  const text = plain ? String(value) : laidOut(value);
  return html`<div class="code"><pre tabindex="0">${pieces(text).map(({ kind, text }) => (kind ? html`<span class=${kind}>${text}</span>` : text))}</pre>
    <${Copy} text=${text} /></div>`;
}

/** A button that copies a text, or what a call answers. */
export function Copy({ text, label }) {
  return html`<${Act} quiet class="copy" act=${async (event) => {
    await copy(typeof text === "function" ? await text() : text, event.target);
    say(t("Copied"));
  }}>${label ?? t("Copy")}<//>`;
}

/** Copies a text. In a frame the browser may refuse; the older way is open there. */
async function copy(text, beside) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    // Not allowed in this frame.
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  beside.parentElement.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  beside.focus?.();
  if (!done) throw new Error(t("Copying is not allowed here: select the text and copy it."));
}

/** What broke off, after what was done until then. @param {string} done @param {any} error */
export function broken(done, error) {
  return new Error(`${done}. ${error.message}`);
}

/** Something that may fail, done once at a time: whether it is under way, and how to begin it. */
function useOneAtATime(act) {
  const [busy, set] = useState(false);
  // Known at once, not with the next picture of the page.
  const under = useRef(false);
  const begin = async (event) => {
    if (under.current) return;
    under.current = true;
    set(true);
    // What was wrong the last time is not wrong with this.
    hush();
    try {
      await act(event);
    } catch (error) {
      say(error.message, true);
    } finally {
      under.current = false;
      set(false);
    }
  };
  return [busy, begin];
}

/** A button that does something which may fail; it rests meanwhile, and keeps the focus. */
export function Act({ act, children, main, danger, quiet, class: more, title }) {
  const [busy, click] = useOneAtATime(act);
  const kinds = [main && "main", danger && "danger", quiet && "quiet", more].filter(Boolean).join(" ");
  return html`<button type="button" class=${kinds} title=${title} aria-disabled=${busy ? "true" : undefined} onClick=${click}>${children}</button>`;
}

/**
 * A form. While what it asked for is under way it takes no other request, by click or by Enter,
 * and the button rests. `act` gets the form's element; `yes` is on the button, `beside` stands
 * next to it. A form without a button is sent by Enter.
 */
export function Form({ act, yes, beside, minor, class: kind, noValidate, children }) {
  const [busy, send] = useOneAtATime(act);
  return html`<form class=${kind} noValidate=${noValidate} aria-busy=${busy ? "true" : undefined} onSubmit=${(event) => {
    event.preventDefault();
    send(event.target);
  }}>${children}${yes && html`<div class="side left"><button class=${minor ? "" : "main"} aria-disabled=${busy ? "true" : undefined}>${yes}</button>${beside}</div>`}</form>`;
}

/** A field of a form, under its name. */
export function Field({ label, hint, wrong, children }) {
  return html`<label class="field"><span>${label}</span>${children}
    ${hint && html`<small>${hint}</small>`}${wrong && html`<em role="alert">${wrong}</em>`}</label>`;
}

/** Links between parts of a page. */
export function Tabs({ all, now, name }) {
  return html`<nav class="tabs" aria-label=${name}>${all.map(([href, label, is]) => html`<a href=${href} aria-current=${is === now ? "page" : undefined}>${label}</a>`)}</nav>`;
}

/** The page that is open, with the form that stands in its place. What its lists show is no other page. */
function opened() {
  const { do: form, name } = asked();
  return JSON.stringify([location.hash.split("?")[0], form, name]);
}

/** Whether one is still where this was asked: what comes late takes nobody along. */
export function staying() {
  const here = opened();
  return () => opened() === here;
}

/**
 * Asks before something that cannot be taken back; true if the answer is yes. Whoever leaves the
 * page has not said so. Without a `yes` it only tells. The browser's own dialogs are not to be had
 * in a frame of another site.
 */
export function ask(content, yes, danger) {
  const before = document.activeElement;
  const place = document.createElement("div");
  document.body.append(place);
  const leave = () => place.querySelector("dialog")?.close();
  if (yes) addEventListener("hashchange", leave);
  return new Promise((resolve) => {
    const close = (event) => {
      removeEventListener("hashchange", leave);
      resolve(event.target.returnValue === "yes");
      render(null, place);
      place.remove();
      if (before instanceof HTMLElement) before.focus();
    };
    const show = (dialog) => { if (dialog && !dialog.open) dialog.showModal(); };
    render(html`<dialog ref=${show} onClose=${close} aria-label=${yes ?? t("Close")}><form method="dialog">${content}
      <div class="side">${yes && html`<button value="" class=${danger ? "" : "quiet"} autofocus=${danger}>${t("Cancel")}</button>`}
      <button value="yes" autofocus=${!danger} class=${danger ? "danger main" : "main"}>${yes ?? t("Close")}</button></div></form></dialog>`, place);
  });
}

let quiet = 0;

/** Tells something for some seconds. */
export function say(text, bad = false) {
  const place = document.getElementById("notice");
  if (!place) return;
  place.textContent = text;
  place.className = bad ? "bad" : "good";
  clearTimeout(quiet);
  quiet = setTimeout(hush, bad ? 12_000 : 5_000);
}

/** Takes back what was said: the page that it is about was left. */
export function hush() {
  const place = document.getElementById("notice");
  if (place) place.textContent = "";
}

/** The part of the address that says what a list shows. */
export function asked() {
  return Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? ""));
}

/** Changes it in place: the address leads back to what is shown. */
export function askFor(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value);
  const [page] = location.hash.split("?");
  history.replaceState(history.state, "", set.length ? `${page}?${new URLSearchParams(set)}` : page);
  dispatchEvent(new Event("asked"));
}

/** Both, for a page: what is asked for, and how to ask for something else. */
export function useAsked() {
  const [now, set] = useState(asked());
  useEffect(() => {
    const look = () => set(asked());
    addEventListener("asked", look);
    addEventListener("hashchange", look);
    look();
    return () => {
      removeEventListener("asked", look);
      removeEventListener("hashchange", look);
    };
  }, []);
  return [now, (change) => askFor({ ...asked(), ...change })];
}

/**
 * Puts a value into a field when it changes, and not whenever the page is drawn: what somebody is
 * typing stays, also when the value is `said`, what the field itself had said a moment ago.
 * @param {string} [value] @param {{current: string | null}} [said]
 */
function useField(value, said) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    if (field.current && (value ?? "") !== said?.current) field.current.value = value ?? "";
    if (said) said.current = null;
  }, [value]);
  return field;
}

/** A search that is sent by Enter; emptied, it is over. A slash leads to it. */
export function Find({ value, find, name, placeholder }) {
  const field = useField(value);
  return html`<${Form} class="find" act=${(form) => find(form.elements[0].value.trim())}><input type="search" class="search" maxlength="256" ref=${field} aria-label=${name} placeholder=${`${placeholder}  /`}
    onInput=${(event) => { if (!event.target.value && value) find(""); }} /><//>`;
}

/** How many rows of a long table are shown at first, and with each "Show more". */
const MANY = 50;

/** The first of many rows, and what leads to the others. */
export function useFirst(rows) {
  const [most, set] = useState(MANY);
  const more = rows.length > most && html`<p><button type="button" onClick=${() => set(most + MANY)}>${t("Show more")}</button>
    ${" "}<span class="minor" role="status">${t("{n} of {most}", { n: most, most: rows.length })}</span></p>`;
  return [rows.slice(0, most), more];
}

/** That a script did not come. */
export const MISSING = () => t("This part of the page did not arrive. It may be older than the server.");

/** A page whose script is asked for when it is needed: `part` of what `load` answers. */
export function later(load, part) {
  /** Once a visit: made anew, it would be another page. @type {Promise<any> | null} */
  let asked = null;
  const ask = () => {
    asked ??= load();
    asked.catch(() => { asked = null; });
    return asked;
  };
  return (props) => {
    const data = useData(ask, []);
    if (data.error) return html`<${Failed} error=${new Error(MISSING())} again=${() => location.reload()} />`;
    return html`<${Loaded} of=${data}>${(script) => html`<${script[part]} ...${props} />`}<//>`;
  };
}

/** A field to search with; a slash leads to it. */
export function Search({ value, set, placeholder, name }) {
  const timer = useRef(0);
  const said = useRef(/** @type {string | null} */ (null));
  const field = useField(value, said);
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<input type="search" class="search" aria-label=${name ?? t("Search")} placeholder=${placeholder ?? `${t("Search")}  /`} ref=${field}
    onInput=${(event) => {
      const text = event.target.value;
      clearTimeout(timer.current);
      timer.current = setTimeout(() => {
        said.current = text;
        set(text);
      }, 200);
    }} />`;
}
