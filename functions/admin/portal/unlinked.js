// @ts-check
// What the pages are, and how they open, for whoever comes without a link.

import { html } from "./vendor/preact.js";
import { visit } from "./api.js";
import { t } from "./text.js";

/** Instead of any page. */
export function Unlinked() {
  return html`<main id="view"><h1>${t("This page opens with a link")}</h1>${visit.console
    ? html`<p>${t("It is the operator's console: what was delivered, what fails, and whose it is.")}</p><p>${t("Open the console with the link that `posthorn console` prints.")}</p>`
    : html`<p>${t("It shows the webhooks that an application sends you: your endpoints, and what was delivered to them. The link is in that application, where it has webhooks in its settings; if you do not find it, ask its support.")}</p>
      <p class="minor">${t("If you operate it: `posthorn portal --app NAME` prints a link for a customer.")}</p>`}</main><p id="notice" role="status" />`;
}
