// Endpoints: the list, one of them, and the form that makes and changes them.

import { all, keySet, may, own, query } from "./api.js";
import { ask, badge, busy, button, field, growing, h, notice, table, tell, time, untell } from "./dom.js";
import { offer } from "./events.js";

/** How far back deliveries can be sent again, in hours. */
const SPANS = [["the last hour", 1], ["the last 24 hours", 24], ["the last 7 days", 168]];
/** What the steps of a check are. */
const STEPS = new Map([
  ["valid", "A well-made event"],
  ["duplicate", "The same again"],
  ["bad-signature", "One with a wrong signature"],
  ["old-timestamp", "One that is an hour old"],
]);
/** When a page that caused a delivery looks for it, in milliseconds. */
const LOOKS = [700, 2500];

/** The page of all endpoints. */
export async function endpoints() {
  const rows = (found) => table(
    ["Endpoint", "Events", "State"],
    found.map((endpoint) => [
      [link(endpoint), h("div", { className: "muted" }, endpoint.description)],
      chosen(endpoint),
      state(endpoint),
    ]),
    may("ManageEndpoint") ? "There is no endpoint yet. Add one to be told of events." : "There is no endpoint yet.",
  );
  return [
    h("div", { className: "bar" }, h("h1", null, "Endpoints"),
      may("ManageEndpoint") ? h("a", { href: "#/endpoints/new", className: "button main" }, "Add endpoint") : null),
    await growing((iterator) => own("GET", `/endpoint${query({ limit: 50, iterator })}`), rows),
  ];
}

/** The page of a new endpoint. */
export async function newEndpoint() {
  return [h("h1", null, "Add endpoint"), form({ url: "", description: "" }, await offer())];
}

/** The page that changes an endpoint. */
export async function editEndpoint(id) {
  const [endpoint, offered] = await Promise.all([own("GET", `/endpoint/${id}`), offer()]);
  return [h("h1", null, "Edit endpoint"), form(endpoint, offered)];
}

/** The page of one endpoint. */
export async function endpoint(id) {
  const path = `/endpoint/${id}`;
  const [shown, stats, offered, extra] = await Promise.all([
    own("GET", path), own("GET", `${path}/stats`), offer(), own("GET", `${path}/headers`),
  ]);
  const page = (iterator) => own("GET", `${path}/msg${query({ limit: 20, iterator })}`);
  const rows = (found) => table(
    ["Event", "State", "Sent", "Next try"],
    found.map((message) => [
      h("a", { href: `#/messages/${message.id}` }, message.eventType),
      badge(message.statusText), time(message.timestamp), time(message.nextAttempt),
    ]),
    "Nothing was sent to this endpoint yet.",
  );
  const log = h("div", null, await growing(page, rows));
  const numbers = h("div", null, counts(stats));
  const look = async () => {
    const [now, grown] = await Promise.all([own("GET", `${path}/stats`), growing(page, rows)]);
    numbers.replaceChildren(counts(now));
    log.replaceChildren(grown);
  };
  const soon = () => LOOKS.forEach((wait) => setTimeout(() => look().catch(() => {}), wait));
  return [
    h("div", { className: "bar" }, h("h1", { className: "url" }, shown.url), state(shown)),
    shown.description ? h("p", null, shown.description) : null,
    may("ManageEndpoint") ? h("div", { className: "bar left" },
      h("a", { href: `#/endpoints/${id}/edit`, className: "button" }, "Edit"),
      button(shown.disabled ? "Enable" : "Disable", async () => {
        await own("PATCH", path, { disabled: !shown.disabled });
        again();
      }),
      button("Delete", async () => {
        if (!(await ask(`Delete ${shown.url}? It will get no more events.`, "Delete"))) return;
        await own("DELETE", path);
        location.hash = "#/endpoints";
      }, "danger")) : null,
    h("section", null, h("h2", null, "Deliveries of the last 28 days"), numbers),
    h("section", null, h("h2", null, "Events"), h("p", null, chosen(shown, true))),
    h("section", null, h("h2", null, "Signing secret"), secret(shown, offered)),
    h("section", null, h("h2", null, "Headers"), headers(path, extra)),
    may("CreateAttempts") ? [
      h("section", null, h("h2", null, "Test endpoint"), verified(shown, offered),
        trial(path, offered.events, soon), isToken(shown, offered) ? null : check(path)),
      h("section", null, h("h2", null, "Send again"), recovery(path, soon)),
    ] : null,
    h("section", null,
      h("div", { className: "bar" }, h("h2", null, "Messages"), button("Refresh", look)), log),
  ];
}

/** The name of every endpoint by its id, for pages about messages. */
export async function names() {
  const page = (iterator) => own("GET", `/endpoint${query({ limit: 250, iterator })}`);
  return new Map((await all(page)).map((found) => [found.id, found.url]));
}

function link(shown) {
  return h("a", { href: `#/endpoints/${shown.id}`, className: "url" }, shown.url);
}

function state(shown) {
  return badge(shown.disabled ? "disabled" : "active");
}

function chosen(shown, whole = false) {
  const types = shown.eventTypes ?? [];
  if (types.length === 0) return "All events";
  if (whole || types.length === 1) return types.map((name) => [h("code", null, name), " "]);
  return `${types.length} event types`;
}

function counts(stats) {
  const part = ([label, key]) => h("div", null, h("dd", null, String(stats[key])), h("dt", null, label));
  return h("dl", { className: "counts" }, [
    ["delivered", "success"], ["failed", "fail"], ["waiting", "pending"], ["under way", "sending"],
  ].map(part));
}

/** Whether it gets tokens, as far as a visitor can know. */
function isToken(shown, offered) {
  const own = !shown.profile || shown.profile === offered.profile;
  return (shown.format ?? (own ? offered.format : null)) === "jwt";
}

function secret(shown, offered) {
  if (isToken(shown, offered)) {
    return h("p", null, "Events are sent as signed tokens. Their keys are at ",
      h("a", { href: keySet() }, "jwks.json"), ".");
  }
  const path = `/endpoint/${shown.id}/secret`;
  const place = h("output", { className: "secret" }, "••••••••••••••••");
  const read = async () => (await own("GET", path)).key;
  const rotate = !may("ManageEndpointSecret") ? null : button("Rotate", async () => {
    if (!(await ask("Make a new secret? The old one signs along for 24 hours.", "Rotate"))) return;
    place.textContent = (await own("POST", `${path}/rotate`, {})).key;
    notice("This is the new secret. The old one signs along for 24 hours.");
  });
  if (!may("ViewEndpointSecret")) return h("p", { className: "muted" }, "This link does not show it.");
  if (offered.secretShownOnce) {
    return h("div", { className: "bar left" }, place, rotate,
      h("small", null, "It was shown when it was made; whoever lost it makes a new one."));
  }
  return h("div", { className: "bar left" }, place,
    button("Show", async () => (place.textContent = await read())),
    button("Copy", async () => {
      await navigator.clipboard.writeText(await read());
      notice("Copied.");
    }),
    rotate);
}

function trial(path, events, soon) {
  const usable = events.filter((event) => event.example !== undefined);
  if (usable.length === 0) return h("p", { className: "empty" }, "No event type has an example to send.");
  const choice = h("select", { "aria-label": "Event type" }, usable.map((event) => h("option", null, event.name)));
  return h("div", { className: "bar left" }, choice, button("Send example", async () => {
    await own("POST", `${path}/send-example`, { eventType: choice.value });
    notice("Sent. It will be among the messages below in a moment.");
    soon();
  }));
}

function verified(shown, { verifiedFirst }) {
  if (shown.verifiedAt) return h("p", { className: "muted" }, "It has taken an example: ", time(shown.verifiedAt));
  return verifiedFirst ? h("p", null, badge("not verified"), " It gets events once it has taken an example.") : null;
}

/** Tells whether the endpoint is a good receiver. */
function check(path) {
  const report = h("div", { "aria-live": "polite" });
  const line = (step) => [
    STEPS.get(step.name) ?? step.name,
    step.status ? `HTTP ${step.status} after ${step.durationMs} ms` : "no answer",
    badge(step.ok ? "good" : "not good"),
    step.advice ?? "",
  ];
  return h("div", null,
    h("div", { className: "bar left" }, button("Check the receiver", async () => {
      report.replaceChildren(h("p", null, "Sending four requests…"));
      try {
        const { steps } = await own("POST", `${path}/check`, {});
        report.replaceChildren(table(["Sent", "Answer", "", "Advice"], steps.map(line), ""));
      } catch (refused) {
        report.replaceChildren();
        throw refused;
      }
    }), h("small", null, "Sends a good event twice, a forged one and an old one, and tells what your endpoint made of them.")),
    report);
}

/** Headers that go out with every event of the endpoint. */
function headers(path, { headers: plain, sensitive }) {
  const remove = (name) => !may("ManageEndpoint") ? "" : button("Remove", async () => {
    await own("PATCH", `${path}/headers`, { headers: {}, deleteHeaders: [name] });
    again();
  });
  const rows = Object.entries(plain).map(([name, value]) => [h("code", null, name), h("code", null, value), remove(name)]);
  // What may be a password is not shown again.
  rows.push(...sensitive.map((name) => [h("code", null, name), "••••••••", remove(name)]));
  const name = h("input", { "aria-label": "Header name", placeholder: "x-api-key", required: true });
  const value = h("input", { "aria-label": "Header value", placeholder: "value" });
  const add = h("button", null, "Set header");
  const form = h("form", { className: "bar left" }, name, value, add);
  form.onsubmit = (event) => {
    event.preventDefault();
    busy(add, async () => {
      await own("PATCH", `${path}/headers`, { headers: { [name.value.trim()]: value.value } });
      again();
    });
  };
  return [table(["Name", "Value", ""], rows, "No headers of your own are sent along."),
    may("ManageEndpoint") ? form : null];
}

function recovery(path, soon) {
  const choice = h("select", { "aria-label": "Since" }, SPANS.map(([label, hours]) => h("option", { value: hours }, label)));
  const since = () => new Date(Date.now() - choice.value * 3_600_000).toISOString();
  const start = (what, told) => async () => {
    await own("POST", `${path}/${what}`, { since: since() });
    notice(told);
    soon();
  };
  return h("div", { className: "bar left" }, choice,
    button("Recover failed", start("recover", "What failed is being sent again.")),
    button("Replay missing", start("replay-missing", "What was never sent is being sent.")));
}

/** The form of an endpoint; without an id it is a new one. */
function form(shown, offered) {
  const { events } = offered;
  const url = h("input", { name: "url", type: "url", required: true, value: shown.url, placeholder: "https://example.com/webhooks" });
  const description = h("input", { name: "description", value: shown.description, maxLength: 1024 });
  const now = new Set(shown.eventTypes ?? []);
  // What the endpoint has and nobody describes any more stays a choice.
  const names = [...new Set([...events.map((event) => event.name), ...now])];
  const told = new Map(events.map((event) => [event.name, event]));
  const boxes = names.map((name) => h("input", { type: "checkbox", name: "eventType", value: name, checked: now.has(name) }));
  const every = h("input", { type: "checkbox", name: "every", checked: now.size === 0 });
  const list = h("div", { className: "choices", hidden: now.size === 0 }, names.map((name, at) =>
    h("label", null, boxes[at], " ", h("code", null, name), " ",
      told.get(name)?.asked ? [badge("on request"), " "] : null,
      h("span", { className: "muted" }, told.get(name)?.description ?? ""))));
  every.onchange = () => (list.hidden = every.checked);
  const format = h("select", { name: "format" },
    h("option", { value: "json" }, "signed JSON"), h("option", { value: "jwt" }, "signed tokens (JWT)"));
  format.value = isToken(shown, offered) ? "jwt" : "json";
  const save = h("button", { className: "main" }, shown.id ? "Save" : "Add endpoint");
  const made = h("form", { noValidate: true },
    field("URL", url, "Where events are posted to."),
    field("Description", description, "For you; optional."),
    offered.tokens ? field("Sent as", format, "Can be changed at any time.") : null,
    h("fieldset", { className: "field", name: "eventTypes" }, h("legend", null, "Events"),
      h("label", null, every, " All events, those of the future as well"), list,
      h("em", { role: "alert" })),
    h("div", { className: "bar left" }, save,
      h("a", { href: shown.id ? `#/endpoints/${shown.id}` : "#/endpoints", className: "button" }, "Cancel")));
  made.onsubmit = (event) => {
    event.preventDefault();
    untell(made);
    busy(save, async () => {
      const types = boxes.filter((box) => box.checked).map((box) => box.value);
      if (!every.checked && types.length === 0) {
        return notice("Choose an event type, or all events.", true);
      }
      const said = {
        url: url.value.trim(),
        description: description.value,
        eventTypes: every.checked ? null : types,
      };
      if (offered.tokens) said.format = format.value;
      try {
        const saved = shown.id
          ? await own("PATCH", `/endpoint/${shown.id}`, said)
          : await own("POST", "/endpoint", said);
        if (saved.secret) {
          await ask([h("p", null, "This secret is shown only now:"), h("code", null, saved.secret)]);
        }
        location.hash = `#/endpoints/${saved.id}`;
      } catch (refused) {
        if (refused.status === 401) throw refused;
        tell(made, refused);
      }
    });
  };
  return made;
}

/** Shows this page anew. */
function again() {
  dispatchEvent(new Event("hashchange"));
}
