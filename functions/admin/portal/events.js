// Event types: what can be chosen, and what it looks like.

import { all, call, own, query } from "./api.js";
import { badge, code, h } from "./dom.js";

/**
 * What this application's endpoints can choose: what is described, and what the application's
 * profile brings along. Each has a `name`, a `description`, and maybe a `schema` and an `example`.
 */
export async function choices() {
  return (await offer()).events;
}

/** The same `events`, and what the application's profile asks of its endpoints. */
export async function offer() {
  const page = (iterator) =>
    call("GET", `/event-type${query({ limit: 250, with_content: true, iterator })}`);
  const [described, profile, application] =
    await Promise.all([all(page), own("GET", "/profile"), own("GET", "")]);
  const granted = new Set(application.grantedEventTypes ?? []);
  const found = new Map();
  for (const event of profile.events) {
    found.set(event.type, {
      name: event.type,
      description: event.description,
      schema: read(event.schema),
      example: read(event.example),
      // Not sent unless it was asked for.
      asked: (profile.optIn ?? []).includes(event.type) && !granted.has(event.type),
    });
  }
  for (const event of described) {
    const schema = latest(event.schemas);
    const old = found.get(event.name);
    found.set(event.name, {
      ...old,
      name: event.name,
      description: event.description || old?.description || "",
      group: event.groupName,
      deprecated: event.deprecated,
      schema: schema ?? old?.schema,
      example: schema?.examples?.[0] ?? old?.example,
    });
  }
  const events = [...found.values()].sort((one, other) => one.name.localeCompare(other.name));
  const asks = profile.endpoints ?? {};
  return {
    events,
    profile: profile.name,
    /** Whether an endpoint has to take an example before it gets other events. */
    verifiedFirst: Boolean(asks.verifiedFirst) && !application.sandbox,
    /** Whether secrets are shown when they are made and never again. */
    secretShownOnce: Boolean(asks.secretShownOnce),
    /** Whether events can be sent as signed tokens. */
    tokens: Boolean(profile.jwt),
    /** What events are sent as, where the endpoint does not say. */
    format: profile.delivery?.format,
  };
}

/** The page of all event types. */
export async function eventTypes() {
  const events = await choices();
  const show = (event) => h("details", { className: "event" },
    h("summary", null, h("code", null, event.name), " ",
      event.deprecated ? [badge("deprecated"), " "] : null,
      event.asked ? [badge("on request"), " "] : null,
      h("span", { className: "muted" }, event.description)),
    event.example === undefined ? null : [h("h3", null, "Example"), code(event.example)],
    event.schema === undefined ? null : [h("h3", null, "Schema"), code(event.schema)]);
  return [
    h("h1", null, "Event types"),
    h("p", null, "What you can be told of. An endpoint gets all of these, or those that you choose for it."),
    events.length ? events.map(show) : h("p", { className: "empty" }, "No event types are described yet."),
  ];
}

function read(text) {
  return text ? JSON.parse(text) : undefined;
}

/** The schema with the highest version. */
function latest(schemas) {
  const versions = Object.keys(schemas ?? {}).sort((one, other) => other - one);
  return versions.length ? schemas[versions[0]] : undefined;
}
