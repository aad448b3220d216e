// @ts-check
// The operator's console: the pages that an organisation's token opens.

import { html } from "./vendor/preact.js";
import { call, query } from "./api.js";
import { Applications, Application } from "./applications.js";
import { Kinds } from "./kinds.js";
import { Form, staying } from "./parts.js";
import { Parked, Tasks } from "./parked.js";
import { Settings } from "./settings.js";
import { Source, Sources } from "./sources.js";
import { Today } from "./today.js";
import { openAs } from "./openas.js";
import { t } from "./text.js";

/** Pages of the operator. */
export function consoleRoutes() {
  return [
    [/^\/today$/, Today],
    [/^\/apps$/, Applications],
    [/^\/apps\/(?<id>app_\w+)$/, Application],
    [/^\/kinds$/, Kinds],
    [/^\/sources$/, Sources],
    [/^\/sources\/(?<id>src_\w+)$/, Source],
    [/^\/parked$/, Parked],
    [/^\/tasks$/, Tasks],
    [/^\/settings$/, Settings],
    [/^\/settings\/(?<tab>\w+)$/, Settings],
  ];
}

/** Where one can go. */
export function ConsoleNav({ now }) {
  const link = (to, label) => html`<a href=${`#${to}`} aria-current=${now.startsWith(to) ? "page" : undefined}>${label}</a>`;
  return html`${link("/today", t("Today"))}${link("/apps", t("Applications"))}${link("/kinds", t("Event types"))}${link("/sources", t("Sources"))}
    ${link("/parked", t("Parked"))}${link("/tasks", t("Tasks"))}${link("/settings", t("Settings"))}`;
}

/** Finds a message by its id, and applications by id, uid or name. */
export function Anything() {
  const find = async (form) => {
    const wanted = form.elements[0].value.trim();
    if (!wanted) return undefined;
    await lead(wanted);
    return form.reset();
  };
  const lead = async (wanted) => {
    const here = staying();
    if (/^msg_\w+$/.test(wanted)) {
      const found = await call("GET", `/operator/msg/${wanted}`).catch((error) => {
        throw error.status === 404 ? new Error(t("There is no message of this id, or no longer.")) : error;
      });
      return openAs(found.appId, `/messages/${found.id}`);
    }
    if (/^app_\w+$/.test(wanted)) {
      location.hash = `#/apps/${wanted}`;
      return undefined;
    }
    if (/^ep_\w+$/.test(wanted)) throw new Error(t("To find an endpoint, search for its application."));
    try {
      const found = await call("GET", `/app/${encodeURIComponent(wanted)}`);
      if (here()) location.hash = `#/apps/${found.id}`;
    } catch (error) {
      if (error.status !== 404 && error.status !== 422) throw error;
      if (here()) location.hash = `#/apps${query({ q: wanted })}`;
    }
    return undefined;
  };
  return html`<${Form} class="anything" act=${find}><input type="search" class="search" aria-label=${t("Message id, customer's id or name")} placeholder=${`${t("Message, customer …")}  /`} /><//>`;
}
