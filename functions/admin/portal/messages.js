// Messages: the list, and one of them with all that was done to deliver it.

import { may, own, query } from "./api.js";
import { badge, button, code, growing, h, notice, table, time } from "./dom.js";
import { names } from "./endpoints.js";
import { choices } from "./events.js";

/** When a message that is sent again is looked at, in milliseconds. */
const LOOKS = [700, 2500];
/** Why an attempt was made. */
const CAUSES = new Map([[0, "on schedule"], [1, "by hand"]]);

/** The page of all messages. */
export async function messages() {
  const events = await choices();
  const place = h("div");
  const choice = h("select", { "aria-label": "Event type" },
    h("option", { value: "" }, "All event types"), events.map((event) => h("option", null, event.name)));
  const rows = (found) => table(
    ["Event", "Message", "Published"],
    found.map((message) => [
      h("a", { href: `#/messages/${message.id}` }, message.eventType),
      h("code", null, message.eventId ?? message.id), time(message.timestamp),
    ]),
    "Nothing was published yet.",
  );
  const show = async () => {
    const asked = { limit: 50, with_content: false, event_types: choice.value };
    const page = (iterator) => own("GET", `/msg${query({ ...asked, iterator })}`);
    place.replaceChildren(await growing(page, rows));
  };
  choice.onchange = () => show().catch((error) => notice(error.message, true));
  await show();
  return [
    h("h1", null, "Messages"),
    h("div", { className: "bar left" }, choice, button("Refresh", show)),
    place,
  ];
}

/** The page of one message. */
export async function message(id) {
  const path = `/msg/${id}`;
  const [shown, urls] = await Promise.all([own("GET", path), names()]);
  const deliveries = h("div");
  const attempts = h("div");
  const look = async () => {
    const [page, log] = await Promise.all([
      growing((iterator) => own("GET", `${path}/endpoint${query({ limit: 50, iterator })}`), destinations),
      growing((iterator) => own("GET", `/attempt${path}${query({ limit: 50, iterator })}`), tries),
    ]);
    deliveries.replaceChildren(page);
    attempts.replaceChildren(log);
  };
  const destinations = (found) => table(
    ["Endpoint", "State", "Next try", ""],
    found.map((endpoint) => [
      h("a", { href: `#/endpoints/${endpoint.id}`, className: "url" }, endpoint.url),
      badge(endpoint.statusText), time(endpoint.nextAttempt),
      !may("CreateAttempts") ? "" : button("Send again", async () => {
        await own("POST", `${path}/endpoint/${endpoint.id}/resend`, {});
        notice("Sent again.");
        LOOKS.forEach((wait) => setTimeout(() => look().catch(() => {}), wait));
      }),
    ]),
    "No endpoint asked for this event.",
  );
  const tries = (found) => found.length ? h("div", null, found.map((attempt) => trial(attempt, urls)))
    : h("p", { className: "empty" }, "Nothing was tried yet.");
  await look();
  return [
    h("h1", null, shown.eventType),
    h("dl", null,
      pair("Message", h("code", null, shown.id)),
      shown.eventId ? pair("Event", h("code", null, shown.eventId)) : null,
      pair("Published", time(shown.timestamp)),
      shown.tags?.length ? pair("Tags", shown.tags.join(", ")) : null),
    h("section", null, h("h2", null, "Endpoints"), deliveries),
    h("section", null,
      h("div", { className: "bar" }, h("h2", null, "Attempts"), button("Refresh", look)), attempts),
    h("section", null, h("h2", null, "Payload"), code(shown.rawPayload ?? shown.payload)),
  ];
}

function trial(attempt, urls) {
  const answer = attempt.responseStatusCode > 0 ? `HTTP ${attempt.responseStatusCode}` : "no answer";
  return h("details", { className: "event" },
    h("summary", null, badge(attempt.statusText), " ", time(attempt.timestamp), " ",
      h("span", { className: "url" }, urls.get(attempt.endpointId) ?? attempt.url), " ",
      h("span", { className: "muted" },
        `${answer} after ${attempt.responseDurationMs} ms, ${CAUSES.get(attempt.triggerType) ?? ""}`)),
    h("h3", null, "What the endpoint answered"),
    attempt.response ? code(attempt.response) : h("p", { className: "empty" }, "Nothing."));
}

function pair(name, value) {
  return [h("dt", null, name), h("dd", null, value)];
}
