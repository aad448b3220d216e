// @ts-check
// Where to go: the fragment names the page, the token was in the link and says which pages there
// are.

import { html, render, useEffect, useState } from "./vendor/preact.js";
import { css } from "./portal.css";
import { call, enter, forget, may, own, redeem, visit } from "./api.js";
import { AllDeliveries } from "./deliveries.js";
import { Endpoint } from "./endpoint.js";
import { Endpoints } from "./endpoints.js";
import { named } from "./json.js";
import { arrive, cameBack } from "./list.js";
import { dress, speakToFrame, tellFrame } from "./look.js";
import { Message } from "./message.js";
import { Act, broken, Failed, Guarded, hush, later, MISSING, nameVisit } from "./parts.js";
import { speak, t } from "./text.js";

const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
document.adoptedStyleSheets = [sheet];

/** The form of an endpoint, which most visits do without. */
const form = () => import("./form.js");
const Unlinked = later(() => import("./unlinked.js"), "Unlinked");

/** Pages of a customer, and what one needs that not every visitor may do. */
const ROUTES = [
  [/^\/endpoints$/, Endpoints],
  [/^\/endpoints\/new$/, later(form, "NewEndpoint"), "ManageEndpoint"],
  [/^\/endpoints\/(?<id>ep_\w+)$/, Endpoint],
  [/^\/endpoints\/(?<id>ep_\w+)\/(?<tab>test|settings)$/, Endpoint],
  [/^\/endpoints\/(?<id>ep_\w+)\/edit$/, later(form, "EditEndpoint"), "ManageEndpoint"],
  [/^\/messages$/, AllDeliveries],
  [/^\/messages\/(?<id>msg_\w+)$/, Message],
  [/^\/events$/, later(() => import("./shape.js"), "EventTypes")],
];

const path = () => location.hash.slice(1).split("?")[0];
/** How long a portal goes without its name before it is asked for again, in milliseconds. */
const NAMELESS_MS = 5_000;
/** Where each page was scrolled to, for whoever comes back. */
const places = new Map();

/** The page that the address names, now and whenever it changes. */
function usePath() {
  const [now, set] = useState(path());
  useEffect(() => {
    const go = () => set(path());
    addEventListener("hashchange", go);
    // It may have changed since the page was drawn.
    go();
    return () => removeEventListener("hashchange", go);
  }, []);
  return now;
}

/** The page that the address names. */
function Page() {
  const now = usePath();
  const routes = visit.console ? operator.consoleRoutes() : ROUTES;
  const found = routes.filter(([, , needed]) => !needed || may(needed))
    .map(([pattern, page]) => [now.match(pattern), page]).find(([matched]) => matched);
  useEffect(() => {
    const y = (cameBack() && places.get(location.hash)) || 0;
    const main = document.getElementById("view");
    main?.focus({ preventScroll: true });
    // On a phone there is more in a bar than one sees of it.
    for (const one of document.querySelectorAll("nav [aria-current]")) one.scrollIntoView({ block: "nearest", inline: "nearest" });
    scrollTo(0, y);
    if (!y) return undefined;
    // What is loaded makes the page as long as it was.
    const later = setTimeout(() => scrollTo(0, y), 100);
    return () => clearTimeout(later);
  }, [now]);
  useEffect(() => {
    if (!found) location.replace(`#${visit.console ? "/today" : "/endpoints"}`);
  }, [now]);
  if (!found) return null;
  const [matched, Shown] = found;
  const key = now.split("/").slice(0, 3).join("/");
  return html`<${Guarded} key=${key} title=${t("This page cannot be shown")}><${Shown} key=${key} ...${matched.groups ?? {}} /><//>`;
}

function Nav({ now }) {
  const link = (to, label) => html`<a href=${`#${to}`} aria-current=${now.startsWith(to) ? "page" : undefined}>${label}</a>`;
  return html`${link("/endpoints", t("Endpoints"))}${link("/messages", t("Deliveries"))}${link("/events", t("Event types"))}`;
}

/** Everything: whose it is, where one can go, and the page. */
function Shell({ settings, application }) {
  const now = usePath();
  const bare = visit.look.chrome === "none";
  const name = named(application?.name, "");
  const deprecation = application?.deprecation;
  return html`<header>${!bare && html`<strong id="application">${settings.logo && html`<img src=${settings.logo} alt="" />`}<span title=${name}>${visit.console ? "Posthorn" : name}</span></strong>`}
      <nav aria-label=${t("Main")}>${visit.console ? html`<${operator.ConsoleNav} now=${now} />` : html`<${Nav} now=${now} />`}</nav>${visit.console && html`<${operator.Anything} />`}
      ${!bare && html`<span class="side">${settings.supportUrl && html`<a href=${settings.supportUrl} target="_blank" rel="noopener">${t("Help")}</a>`}
        <${Act} quiet act=${out}>${t("Log out")}<//></span>`}</header>
    ${deprecation && html`<p class="banner wait" role="note">${deprecation.notice}${deprecation.ends && ` ${t("It ends on {day}.", { day: deprecation.ends })}`}</p>`}
    <main id="view" tabindex="-1"><${Page} /></main><p id="notice" role="status" />`;
}

/** Nothing opens any more. `title`: why. */
function Closed({ title }) {
  return html`<main id="view"><h1>${title}</h1><p>${visit.console ? t("Open the console with the link that `posthorn console` prints.") : t("Go back to where you came from and open the webhooks page again.")}</p>
    ${settings.backUrl && html`<p><a class="button main" href=${settings.backUrl} target="_top">${t("Go back")}</a></p>`}</main><p id="notice" role="status" />`;
}

/** Nothing opens yet. */
function Unopened({ error }) {
  return html`<main id="view"><h1>${t("This page could not be opened")}</h1><${Failed} error=${error} again=${begin} /></main><p id="notice" role="status" />`;
}

/** Whether a link was opened at this address: it has its key or code, or what that leaves. */
function isLinked() {
  const [asked, given] = [location.search, location.hash.slice(1)].map((part) => new URLSearchParams(part));
  return asked.has("app") || given.has("key") || given.has("code") || (location.pathname.startsWith("/console") && given.size > 0);
}

/** The operator's pages, once they are needed. @type {any} */
let operator = null;
/** What the organisation says about its portal, as far as it is known. */
let settings = {};

/** Ends the visit; where the server does not, it goes on, and so does the token. */
async function out() {
  try {
    await call("POST", "/auth/logout");
  } catch (error) {
    // It was over already, and that is shown.
    if (error.status === 401) return;
    throw broken(t("You are still logged in"), error);
  }
  close(html`<${Closed} title=${t("You are logged out")} />`);
}

function expired() {
  close(html`<${Closed} title=${t("Link expired")} />`);
}

/** Ends the visit, and says why. */
function close(why) {
  forget();
  tellFrame({ expired: true });
  render(why, document.body);
}

/** The pages, or why they do not open. */
async function begin() {
  // Pages of one visit; another link, opened in this tab, begins another one.
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("key") || given.has("code")) render(null, document.body);
  try {
    await enterPages();
  } catch (error) {
    await chooseLanguage(given.get("lang"));
    render(html`<${Unopened} error=${error} />`, document.body);
  }
}

async function chooseLanguage(wanted) {
  document.documentElement.lang = await speak(wanted ?? visit.look.lang ?? navigator.language);
}

/** Whose pages these are, then the pages. */
async function enterPages() {
  const linked = isLinked();
  await redeem();
  const entered = enter();
  await chooseLanguage(null);
  dress({});
  if (!entered) return linked ? expired() : close(html`<${Unlinked} />`);
  arrive();
  if (!visit.console) return showPortal();
  operator = await import("./console.js").catch(() => { throw new Error(MISSING()); });
  nameVisit("Posthorn");
  return render(html`<${Shell} settings=${settings} application=${null} />`, document.body);
}

/** The portal, with its name and looks as soon as they are known. */
async function showPortal() {
  const { token } = visit;
  const application = await own("GET", "/portal").catch((error) => {
    // There is no such application any more: no page could show anything.
    if (error.status === 403 || error.status === 404) expired();
    return null;
  });
  // Meanwhile it may be over, or another one.
  if (visit.token !== token) return;
  settings = application ?? {};
  dress(settings);
  const name = named(application?.name, "");
  nameVisit(name ? `${name}: ${t("webhooks")}` : t("Webhooks"));
  render(html`<${Shell} settings=${settings} application=${application} />`, document.body);
  if (!application) setTimeout(() => { if (visit.token === token) showPortal(); }, NAMELESS_MS);
}

history.scrollRestoration = "manual";
addEventListener("scroll", () => places.set(location.hash, scrollY), { passive: true });
addEventListener("hashchange", () => {
  hush();
  arrive();
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("key") || given.has("code")) begin();
});
addEventListener("expired", expired);
// A slash leads to the search, j and k from row to row; Enter follows the link that has the focus.
addEventListener("keydown", (event) => {
  const inField = event.target instanceof Element && event.target.closest("input, select, textarea, dialog");
  if (inField || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const search = document.querySelector(".search");
    if (search instanceof HTMLElement) {
      event.preventDefault();
      search.focus();
    }
  } else if (event.key === "j" || event.key === "k") {
    const links = [...document.querySelectorAll("[data-row] .name a")];
    const at = links.indexOf(/** @type {Element} */ (document.activeElement));
    const next = links[event.key === "j" ? at + 1 : Math.max(0, at - 1)];
    if (next instanceof HTMLElement) next.focus();
  }
});

speakToFrame();
begin();
