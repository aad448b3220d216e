// @ts-check
// Event types: what can be chosen.

import { all, asWritten, call, once, own, query } from "./api.js";
import { byName } from "./format.js";
import { sourceAt } from "./json.js";

/** The names of all event types, sorted; once a visit. */
export async function names() {
  return (await offer()).events.map((event) => event.name);
}

/**
 * What this application's endpoints can choose: what is described, and what the application's
 * profile brings along, without schemas; and what the profile asks of endpoints. Once a visit.
 */
export function offer() {
  return once("offer", async () => {
    const page = (iterator) => call("GET", `/event-type${query({ limit: 250, with_content: false, iterator })}`);
    const [described, profile, application] = await Promise.all([all(page), own("GET", "/profile"), own("GET", "")]);
    const granted = new Set(application.grantedEventTypes ?? []);
    const found = new Map();
    for (const event of profile.events) {
      found.set(event.type, {
        name: event.type,
        description: event.description,
        schema: read(event.schema),
        schemaText: event.schema,
        example: event.example || undefined,
        // Not sent unless it was asked for.
        asked: (profile.optIn ?? []).includes(event.type) && !granted.has(event.type),
      });
    }
    for (const event of described) {
      const old = found.get(event.name);
      found.set(event.name, {
        ...old,
        name: event.name,
        description: event.description || old?.description || "",
        group: event.groupName,
        deprecated: event.deprecated,
        described: true,
      });
    }
    return {
      events: [...found.values()].sort((one, other) => byName(one.name, other.name)),
      profile: profile.name,
      /** Whether an endpoint has to take an example before it gets other events. */
      verifiedFirst: Boolean(profile.endpoints?.verifiedFirst) && !application.sandbox,
      /** Whether secrets are shown when they are made and never again. */
      secretShownOnce: Boolean(profile.endpoints?.secretShownOnce),
      /** The families of headers that events are signed in, where it is not both. */
      signatureHeaders: profile.signatureHeaders,
      /** Whether events can be sent as signed tokens. */
      tokens: Boolean(profile.jwt),
      /** What events are sent as, where the endpoint does not say. */
      format: profile.delivery?.format,
    };
  });
}

/** An event type's schema, and the texts of it and of its example. */
export async function content(event) {
  if (!event.described) return event;
  const whole = await once(`type ${event.name}`, () => call("GET", `/event-type/${encodeURIComponent(event.name)}`));
  const version = latestOf(whole.schemas);
  const text = version && asWritten(whole, "schemas", version);
  const example = text && sourceAt(text, ["examples", "0"]);
  return { schema: text ? whole.schemas[version] : event.schema, schemaText: text ?? event.schemaText, example: example ?? event.example };
}

function read(text) {
  return text ? JSON.parse(text) : undefined;
}

/** The highest version of these schemas, if there is one. @param {any} schemas */
export function latestOf(schemas) {
  return Object.keys(schemas ?? {}).sort((one, other) => Number(other) - Number(one))[0];
}
