// The types of the API's answers, of its description, for the type check of the pages: what a page
// reads of an answer has to be in it. usage: types.mjs DESCRIPTION > api.d.ts

import { readFileSync } from "node:fs";

const { paths, components } = JSON.parse(readFileSync(process.argv[2], "utf8"));

const named = (name) => `Api[${JSON.stringify(name)}]`;

/** What a schema allows, as TypeScript writes it. */
function typeOf(schema) {
  if (schema === true || schema === undefined) return "any";
  if (schema.$ref) return named(schema.$ref.split("/").pop());
  const some = schema.anyOf ?? schema.oneOf;
  if (some) return some.map(typeOf).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type })).join(" | ");
  switch (schema.type) {
    case "string": case "boolean": case "null":
      return schema.type;
    case "integer": case "number":
      return "number";
    case "array":
      return `(${typeOf(schema.items)})[]`;
    case "object": {
      if (!schema.properties) return `Record<string, ${typeOf(schema.additionalProperties || true)}>`;
      const always = new Set(schema.required ?? []);
      const fields = Object.entries(schema.properties).map(([name, part]) => `${JSON.stringify(name)}${always.has(name) ? "" : "?"}: ${typeOf(part)}`);
      return `{ ${fields.join("; ")} }`;
    }
    default:
      return "any";
  }
}

/** What an operation answers where it succeeds. */
function answered({ responses }) {
  const good = Object.entries(responses).filter(([status]) => status.startsWith("2")).map(([, answer]) => answer.content?.["application/json"]?.schema);
  return [...new Set(good.map((schema) => (schema ? typeOf(schema) : "null")))].join(" | ");
}

/** How much of a path is given: of two that fit, the one with more of it is meant. */
const given = (path) => path.split("/").length * 1_000 + path.replace(/\{[^}]*\}/g, "").length;

const operations = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({
  path: path.replace(/^\/api\/v1/, ""), method: method.toUpperCase(), type: answered(operation),
})));
operations.sort((one, other) => given(other.path) - given(one.path));

console.log("interface Api {");
for (const [name, schema] of Object.entries(components.schemas)) console.log(`  ${JSON.stringify(name)}: ${typeOf(schema)};`);
console.log("}\n/** What a call answers: `any` for what only a platform on one machine has. */\ntype Answer<M extends string, P extends string> = P extends unknown ?");
for (const { path, method, type } of operations) {
  console.log(`  [M, P] extends ["${method}", \`${path.replace(/\{[^}]*\}/g, "${string}")}\${string}\`] ? ${type} :`);
}
console.log("  any : never;");
