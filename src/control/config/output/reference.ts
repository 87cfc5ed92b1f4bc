// Owns the reference docs (config/REFERENCE.md), written from the same schema that validates. Pure.

import { FEATURES } from "../schema/features.ts";
import { inputSchema, type JsonSchema } from "./json-schema.ts";
import { REFERENCE_EXAMPLES } from "./reference-examples.ts";

const VARIABLES: readonly (readonly [name: string, value: string])[] = [
  ["path.NAME", "a parameter of the route's path, as `{NAME}` too; `{**}` is what `**` matched"],
  ["query.NAME", "the first query parameter of that name"],
  ["header.NAME", "a request header"],
  ["claims.NAME", "a claim of the caller, dotted for one inside another; empty for nobody, and for lists and maps"],
  ["consumer.id", "who calls; empty for nobody"],
  ["consumer.tier", "the caller's tier; empty for none"],
  ["client.ip", "the caller's address, the real one behind `trustedProxies`"],
  ["host", "the request's host, lowercase, without port"],
  ["method", "the request's method"],
  ["scheme", "`http` or `https`, as the client came"],
  ["request.id", "the request's id, as in `x-request-id`"],
  ["request.path", "the request's path in its normal form"],
  ["route", "the route's name"],
];

const CONDITION_VARIABLES: readonly (readonly [name: string, value: string])[] = [
  ["method, scheme, host, route", "as in templates"],
  ["request.path, request.time", "the path in its normal form, percent-encoded; now, a timestamp in UTC"],
  ["client.ip", "the caller's address, the real one behind `trustedProxies`"],
  ['path.NAME, path["NAME"]', "a parameter of the route's path, decoded"],
  ['query.NAME, query["NAME"]', "a query parameter, decoded; not there when it is sent twice"],
  ['header["NAME"]', "a request header, name in lower case; not there when it is empty, sent twice, or sent in another spelling too"],
  [
    "consumer.id, .tier, .authenticator, .scopes, .roles, .groups",
    "the proven caller: texts, and lists of texts. Of nobody nothing can be evaluated",
  ],
  ["claims.NAME", "the caller's claims, as they came"],
  [
    'response.status, response.header["NAME"]',
    "only under `headers.response`: of the response before the first change; several lines of one name are joined by commas",
  ],
];

const INTRODUCTION = `# Configuration reference

Written from the schema by \`npm run generate\`; do not edit. Working files to start from stand beside it in this folder.

One YAML file (JSON is YAML too), or several: with \`-c base.yaml -c prod.yaml\` later files are laid over earlier ones. Maps merge key by key,
\`key: null\` takes a key away, everything else replaces (JSON Merge Patch, RFC 7396), but for lists whose entries have names:

- Lists of which every entry has a \`name\` (routes, named limits of a route) are changed entry by entry: an entry is laid over the one of its name, one with a
  new name is added, \`{ name: legacy, remove: true }\` takes one away.
- Targets likewise, by their \`url\`: \`targets: [{ url: http://10.0.0.1:9001, weight: 0 }]\` changes that target. A list that holds a new target replaces all those
  below it.
- Every other list is replaced whole.

| Form | Written as |
|---|---|
| duration | \`250ms\`, \`5s\`, \`1.5m\`, \`1h\`, \`1d\`, or \`0\` where none is possible: a number and \`ms\`, \`s\`, \`m\` (minutes), \`h\` or \`d\` (24 hours) |
| size | \`16KiB\`, \`10MiB\`, \`1GB\`, or a number of bytes: \`B\`, \`KiB\`, \`MiB\`, \`GiB\` (powers of 1024), \`KB\`, \`MB\`, \`GB\` (powers of 1000) |
| percentage | \`20%\`, or a number from 0 to 1 |
| rate | \`100/s\`, \`60/minute\`, \`5000/hour\`: a whole number of at least 1, \`/\`, and \`s\`, \`sec\`, \`second\`, \`m\`, \`min\`, \`minute\`, \`h\`, \`hour\`, \`d\`, \`day\`, \`week\` or \`month\` (30 days). The names may stand in the plural. A rate flows evenly: \`60/min\` lets one pass each second, and \`burst\` at once |
| quota | written as a rate, but counted in periods of UTC that begin anew: the minute, hour, day, week (Monday, 0:00), month of the calendar |
| statuses | a status (\`503\`), a range (\`500-599\`), or a list of both: \`[200-299, 302]\`. The same wherever statuses are named; a key may bound them |
| environment | \`\${VAR}\`, or \`\${VAR:-default}\` where VAR may be unset or empty; \`$\${\` for a literal \`\${\`. VAR unset without default is an error |
| secret | \`file:path\` reads it from a file |
| file | relative to the configuration file that names it |
| path | literal segments; \`{name}\` or \`*\` for one segment; \`a-{name}\`, \`{name}.json\` for a part of one; \`{name:[0-9]+}\`, \`{name:a|b}\` for what a regular expression matches whole (linear time: no look-around, no back references, at most 1,000 states); \`**\` at the end for any rest, also none: \`/x/**\` matches \`/x\`, \`/x/\` and \`/x/a/b\` |
| template | text with the variables below; \`{header.a ?? header.b ?? "text"}\` is the first that has a value; \`{{\` and \`}}\` for braces |

Unknown keys are errors. All errors are reported at once, each with file, line and column: \`sluice validate -c FILE\`.
Anchors, aliases and \`<<\` work; top-level keys that begin with \`x-\` are ignored, as a home for them. Inside \`{ }\`, YAML needs quotes around texts with braces; \`/users/{id}\` is understood without, here but not by other
YAML parsers.

## Variables in templates

| Variable | Value |
|---|---|
${VARIABLES.map(([name, meaning]) => `| \`{${name}}\` | ${meaning} |`).join("\n")}

## Conditions

Where a key is called \`when\`, it takes a condition in a bounded part of [CEL](https://cel.dev), at most 1,024 characters, such as \`header["x-tier"] == "gold" && method != "GET"\`:

| Variable | Value |
|---|---|
${CONDITION_VARIABLES.map(([name, meaning]) => `| \`${name}\` | ${meaning} |`).join("\n")}

Operators, \`in\`, \`has()\`, \`size()\`, \`int()\`, \`double()\`, \`string()\`, \`bool()\`, \`timestamp()\`, \`duration()\`, \`.contains()\`, \`.startsWith()\`, \`.endsWith()\`, \`.matches()\`, \`.size()\`, the parts of a time
(\`.getHours()\` and the like, in UTC) and, over lists, \`.all()\`, \`.exists()\`, \`.exists_one()\`. \`.matches()\` takes a regular expression of RE2's kind (classes, alternation, repetition; no look-around, no back references; at most 1,000 states), written out.
Regular expressions and everything else take linear time. A condition that does not compile, asks for a parameter that the path does not have, or reads a response where there is none yet, is an error at load.

What is not there makes the whole condition neither true nor false, unless another part decides it: it **cannot be evaluated**, and counts as false. \`has(claims.level) && claims.level > 3\` and \`"x-a" in header\` ask whether something is there.
It opens nothing: \`authorize\` refuses, and of a change what it takes away is taken away all the same.

## Which route wins

The order in the file never matters. Of the routes that match a request the most specific wins: exact host before \`*.\` host (longer first) before none; exact path
before parameters before \`**\`; then more literal characters; then, from the left, literal segments, parameters with literal text, constrained ones, free ones; then a listener
before none; then a scheme before none; then methods before none; then a version before none; then more header conditions, then more query
conditions; then a client type before none. Two routes that could tie are an error; constraints that no segment can meet both do not tie. Each of several \`paths\` has its
own place in this order.

A request that names a version takes no route without one in place of a more specific route that has other versions: it is refused, or takes a less specific route of its
version. A request that names none has the version \`versioning.default\`.
`;

interface Row {
  readonly key: string;
  readonly schema: JsonSchema;
  readonly required: boolean;
}

/** @returns the whole document as Markdown. */
export function referenceText(): string {
  const root = inputSchema();
  const parts = [INTRODUCTION];
  const simple = Object.entries(root.properties ?? {}).filter(([, schema]) => !hasKeys(schema));
  const top = table(simple.map(([key, schema]) => ({ key, schema, required: isRequired(root, key) })));
  parts.push(`## Top level\n\n${top}${example("Top level")}`);
  for (const [key, schema] of Object.entries(root.properties ?? {}))
    if (hasKeys(schema) && !EXPLAINED_ELSEWHERE.includes(key)) parts.push(section(key, schema));
  parts.push(
    `## upstreamDefaults\n\n${sentence(root.properties?.["upstreamDefaults"])} Takes every key of an upstream but \`targets\`.\n${example("upstreamDefaults")}`,
  );
  for (const key of UNDER_ROUTES)
    parts.push(
      `## ${key}\n\n${sentence(root.properties?.[key])} Takes every key of a route but \`name\`, \`match\`, \`use\`, \`to\`, \`weighted\`, \`stickyBy\` and \`mirror\`.\n${example(key)}`,
    );
  return parts.join("\n");
}

/** Layers of routes: their keys are explained where they are the keys of routes. */
const UNDER_ROUTES = ["defaults", "policySets"];
const EXPLAINED_ELSEWHERE = [...UNDER_ROUTES, "upstreamDefaults"];

function section(key: string, schema: JsonSchema): string {
  const { node, suffix } = innermost(schema);
  const policies = new Map(key === "routes" ? FEATURES.map((policy) => [policy.key, node.properties?.[policy.key]]) : []);
  const own = hasNamedEntries(schema) ? rows(ownKeysOf(schema), "") : [];
  const plain = [...own, ...rows(node, own.length === 0 ? "" : "NAME.")].filter((row) => !policies.has(row.key.split(/[.[]/)[0] ?? ""));
  const title = `## ${key}\n\n${sentence(schema)}${suffix === "" || own.length > 0 ? "" : ` Keys of each entry:`}\n\n${table(plain)}${example(key)}`;
  const features = [...policies].map(
    ([name, policy]) =>
      `### ${key}: ${name}\n\n${sentence(policy)}\n\n${table(rows(innermost(policy ?? {}).node, ""))}${example(`${key}: ${name}`)}`,
  );
  return [title, ...features].join("\n");
}

const example = (key: string): string => `\n\`\`\`yaml\n${REFERENCE_EXAMPLES[key] ?? ""}\n\`\`\`\n`;

const sentence = (schema: JsonSchema | undefined): string => schema?.description ?? "";

/** Through lists, named entries and `false | map` to what has keys. */
function innermost(schema: JsonSchema): { readonly node: JsonSchema; readonly suffix: string } {
  if (schema.items !== undefined && hasKeys(schema.items)) return { node: innermost(schema.items).node, suffix: "[]" };
  const { additionalProperties } = schema;
  if (typeof additionalProperties === "object" && hasKeys(additionalProperties))
    return { node: innermost(additionalProperties).node, suffix: ".NAME" };
  const branch = schema.anyOf?.find(hasKeys);
  return branch === undefined ? { node: schema, suffix: "" } : innermost(branch);
}

function hasKeys(schema: JsonSchema): boolean {
  if (schema.properties !== undefined) return true;
  if (schema.items !== undefined) return hasKeys(schema.items);
  if (typeof schema.additionalProperties === "object") return hasKeys(schema.additionalProperties);
  return schema.anyOf?.some(hasKeys) ?? false;
}

function rows(node: JsonSchema, prefix: string): Row[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, schema]) => {
    const name = `${prefix}${key}`;
    const row = { key: name, schema, required: isRequired(node, key) };
    const below = alternatives(schema).flatMap((branch) => {
      const inner = innermost(branch);
      if (hasNamedEntries(branch)) return [...rows(ownKeysOf(branch), `${name}.`), ...rows(inner.node, `${name}${inner.suffix}.`)];
      return inner.node.properties === undefined ? [] : rows(inner.node, `${name}${inner.suffix}.`);
    });
    const plain = below.map((each) => each.key.replaceAll("[]", "")); // one entry and a list of them are explained once
    return [row, ...below.filter((_, i) => plain.indexOf(plain[i] ?? "") === i)];
  });
}

/** A map with keys of its own beside those that its author names. */
const hasNamedEntries = ({ properties, additionalProperties }: JsonSchema): boolean =>
  properties !== undefined && typeof additionalProperties === "object";

const ownKeysOf = ({ properties = {} }: JsonSchema): JsonSchema => ({ properties });

/** A value may be one of several maps, also as the entry of a list. */
function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}

const isRequired = (node: JsonSchema, key: string): boolean =>
  (node.required?.includes(key) ?? false) && node.properties?.[key]?.default === undefined;

function table(list: readonly Row[]): string {
  const lines = list.map(
    (row) => `| \`${row.key}\` | ${cell(typeText(row.schema))} | ${cell(defaultText(row))} | ${cell(describe(row.schema))} |`,
  );
  return `| Key | Type | Default | Meaning |\n|---|---|---|---|\n${lines.join("\n")}\n`;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function describe(schema: JsonSchema): string {
  const examples = (schema.examples ?? []).map((example) => code(example)).join(", ");
  return `${sentence(schema)}${examples === "" || schema.unit !== undefined ? "" : ` Example: ${examples}`}`;
}

const code = (value: unknown): string => `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;

function typeText(schema: JsonSchema): string {
  if (schema.unit !== undefined) return schema.unit;
  const definition = schema.$ref ?? schema.allOf?.[0]?.$ref;
  if (definition !== undefined) return DEFINITIONS[definition] ?? "any value";
  if (schema.enum !== undefined) return schema.enum.map(code).join(" or ");
  if (schema.const !== undefined) return code(schema.const);
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeText))].join(" or ");
  if (schema.items !== undefined) return `list of ${typeText(schema.items)}`;
  if (typeof schema.additionalProperties === "object") return `map of name to ${typeText(schema.additionalProperties)}`;
  if (schema.properties !== undefined) return "map";
  const bounds =
    schema["minimum"] !== undefined && schema["maximum"] !== undefined
      ? ` ${String(schema["minimum"])} to ${String(schema["maximum"])}`
      : "";
  return `${TYPE_NAMES[String(schema.type)] ?? "any value"}${bounds}`;
}

/** What holds itself stands apart in the JSON Schema. */
const DEFINITIONS: Readonly<Record<string, string>> = { "#/definitions/authTree": "authenticator, or any / all / optional" };

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: "text",
  integer: "number",
  number: "number",
  boolean: "true or false",
  object: "map",
};

function defaultText({ schema, required }: Row): string {
  const preset = schema.default;
  if (required) return "required";
  if (preset === undefined || preset === null) return "";
  if (typeof preset === "object" && !Array.isArray(preset) && hasKeys(schema)) return "";
  return preset === "" ? "empty" : code(preset);
}
