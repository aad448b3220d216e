// @ts-check
// The first visit: three steps to the first webhook.

import { html } from "./vendor/preact.js";
import { keySet, may } from "./api.js";
import { offer } from "./events.js";
import { isTokenKind } from "./kind.js";
import { Loaded, later, useData } from "./parts.js";
import { t } from "./text.js";

/** How to verify what is sent: most visits do without. */
export const Verify = later(() => import("./verify.js"), "Verify");

/** What there is to do while there is no endpoint. */
export function FirstVisit() {
  const offered = useData(offer, []);
  if (!may("ManageEndpoint")) return html`<p class="empty">${t("There is no endpoint yet.")}</p>`;
  return html`<ol class="steps">
    <li><h2>${t("Add your URL")}</h2><p>${t("There is no endpoint yet. Add one to be told of events.")}</p><a class="button main" href="#/endpoints/new">${t("Add endpoint")}</a></li>
    <li><h2>${t("Verify in your language")}</h2><${Loaded} of=${offered}>${(offered) => (isTokenKind({}, offered)
      ? html`<p>${t("Events are sent as signed tokens. Their keys are at")} <a href=${keySet()}>jwks.json</a>.</p>`
      : html`<p>${t("Every request is signed. The secret is filled in once there is an endpoint.")}</p><${Verify} endpoint=${null} offered=${offered} />`)}<//></li>
    <li><h2>${t("Send a test")}</h2><p>${t("An example of each event can be sent, and a check tells whether your receiver looks at signatures.")}</p></li></ol>`;
}
