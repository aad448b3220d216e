// @ts-check
// Looking at an application as its customer does.

import { html } from "./vendor/preact.js";
import { call } from "./api.js";
import { ask } from "./parts.js";
import { t } from "./text.js";

/** How long such a look may last, in seconds. */
const LOOK_S = 3_600;

/** Opens an application's portal in another tab, read only. @param {string} app @param {string} [next] */
export async function openAs(app, next = "/endpoints") {
  // At once: a browser opens no tab for what comes seconds after a click.
  const tab = open("about:blank", "_blank");
  if (tab) tab.opener = null;
  try {
    const access = await call("POST", `/auth/app-portal-access/${app}`, { readOnly: true, expiry: LOOK_S });
    const url = new URL(access.url);
    // The console may be reached under another name than the API says.
    const link = `${location.origin}${url.pathname}${url.hash}&next=${encodeURIComponent(next)}`;
    if (tab) tab.location.replace(link);
    else await ask(html`<p><a href=${link} target="_blank" rel="noopener">${t("Open as customer")}</a></p>`);
  } catch (error) {
    tab?.close();
    throw error;
  }
}
