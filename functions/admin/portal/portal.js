// Where to go: the fragment names the page, the token was in the link.

import { enter, forget, leave, may, own, redeem } from "./api.js";
import { h, notice } from "./dom.js";
import { editEndpoint, endpoint, endpoints, newEndpoint } from "./endpoints.js";
import { eventTypes } from "./events.js";
import { message, messages } from "./messages.js";

/** Pages, and what one needs that not every visitor may do. */
const ROUTES = [
  [/^#\/endpoints$/, endpoints],
  [/^#\/endpoints\/new$/, newEndpoint, "ManageEndpoint"],
  [/^#\/endpoints\/(ep_\w+)$/, endpoint],
  [/^#\/endpoints\/(ep_\w+)\/edit$/, editEndpoint, "ManageEndpoint"],
  [/^#\/messages$/, messages],
  [/^#\/messages\/(msg_\w+)$/, message],
  [/^#\/events$/, eventTypes],
];

const view = document.getElementById("view");
const nav = document.querySelector("nav");
/** Counts pages, so that a slow one does not replace the one after it. */
let turn = 0;

async function show() {
  await redeem();
  // Another link, opened in this tab.
  if (new URLSearchParams(location.hash.slice(1)).has("key")) {
    if (!enter()) return expired();
    await greet();
  }
  const mine = ++turn;
  const found = ROUTES.filter(([, , needed]) => !needed || may(needed))
    .map(([pattern, page]) => [location.hash.match(pattern), page])
    .find(([matched]) => matched);
  if (!found) return location.replace("#/endpoints");
  const [[, ...parts], page] = found;
  for (const link of nav.querySelectorAll("a")) {
    const here = location.hash.startsWith(link.getAttribute("href"));
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view.setAttribute("aria-busy", "true");
  let made;
  try {
    made = await page(...parts);
  } catch (error) {
    if (error.status === 401) return expired();
    const said = error.status === 404 ? "There is nothing here any more." : error.message;
    made = [h("h1", null, "That did not work"), h("p", null, said)];
  }
  if (mine !== turn) return;
  view.replaceChildren(...made.flat(Infinity).filter((part) => part));
  view.removeAttribute("aria-busy");
  view.focus();
}

/** Whose portal it is, and what its owner has to be told. */
async function greet() {
  nav.hidden = false;
  const application = await own("GET", "").catch(() => null);
  if (!application) return;
  document.getElementById("application").textContent = application.name;
  document.title = `${application.name}: webhooks`;
  document.getElementById("deprecation")?.remove();
  const deprecation = application.deprecation;
  if (deprecation) {
    const end = deprecation.ends ? ` It ends on ${deprecation.ends}.` : "";
    view.before(h("p", { id: "deprecation", role: "note" }, deprecation.notice + end));
  }
}

function expired() {
  turn += 1;
  forget();
  nav.hidden = true;
  view.replaceChildren(h("h1", null, "Link expired"),
    h("p", null, "Go back to where you came from and open the webhooks page again."));
}

addEventListener("hashchange", show);
addEventListener("expired", expired);
document.getElementById("leave").onclick = async () => {
  await leave().catch((error) => notice(error.message, true));
  expired();
};

await redeem();
if (enter()) {
  await greet();
  await show();
} else {
  expired();
}
