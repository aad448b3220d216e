// @ts-check
// Looking at an application as its customer does.

import { call } from "./api.js";

/** How long such a look may last, in seconds. */
const LOOK_S = 3_600;

/** Opens an application's portal in another tab, read only. @param {string} app @param {string} [next] */
export async function openAs(app, next = "/endpoints") {
  const access = await call("POST", `/auth/app-portal-access/${app}`, { readOnly: true, expiry: LOOK_S });
  const url = new URL(access.url);
  // The console may be reached under another name than the API says.
  open(`${location.origin}${url.pathname}${url.hash}&next=${encodeURIComponent(next)}`, "_blank", "noopener");
}
