// Owns which fields are files or secrets: fills in `file:` secrets and makes paths absolute, in the located tree, before the schema sees it.
import { hash } from "node:crypto";
import { UNREADABLE } from "../../../base/schema.ts";
import { decodeUtf8 } from "../../../base/utf8.ts";
import type { ConfigFiles } from "./files.ts";
import { type Located, type LocatedMap, type LocatedScalar, replaceAt } from "./located.ts";
import { type ConfigProblem, formatPath, type PathPart, type Position } from "./problem.ts";
import { type SecretKind, secretOf } from "./secret-file.ts";

/** Fields whose value is a secret: `file:path` reads it from a file. */
const SECRET_FIELDS: Readonly<Record<SecretKind, readonly (readonly string[])[]>> = {
  text: [
    ["admin", "token"],
    ["cache", "debug", "token"],
    ["upstreams", "*", "sticky", "secret"],
    ["upstreams", "*", "health", "active", "headers", "*"],
    ["upstreamDefaults", "health", "active", "headers", "*"],
    ["upstreamDefaults", "sticky", "secret"],
    ["redis", "url"],
    ["redis", "password"],
    ["redis", "secret"],
    ["redis", "sentinel", "password"],
    ["auth", "*", "apiKey", "pepper"],
    ["auth", "*", "introspection", "clientSecret"],
    ["consumers", "*", "password"],
    // Of policies of the user's own: any text there.
    ["routes", "*", "policies", "*", "with", "*"],
    ["defaults", "policies", "*", "with", "*"],
    ["policySets", "*", "policies", "*", "with", "*"],
  ],
  key: [
    ["identity", "internalToken", "key"],
    ["auth", "*", "jwt", "secret"],
    ["auth", "*", "jwt", "providers", "*", "secret"],
    ["consumers", "*", "signingSecrets", "*", "secret"],
  ],
};

/** Fields that name a file: made absolute, relative to the configuration file they stand in. A `file:` in front is accepted. */
const PATH_FIELDS: readonly (readonly string[])[] = [
  ["listeners", "*", "tls", "certificates", "*", "cert"],
  ["listeners", "*", "tls", "certificates", "*", "key"],
  ["listeners", "*", "tls", "clientCa"],
  ["consumersFrom", "directory"],
  ...[["errorPages"], ["defaults", "errorPages"], ["policySets", "*", "errorPages"]].flatMap(pageFields),
];

/** On routes: looked for only where one has pages. */
const ROUTE_PATH_FIELDS: readonly (readonly string[])[] = pageFields(["routes", "*", "errorPages"]);

/** Of a page in one form, and of one in several. */
function pageFields(place: readonly string[]): (readonly string[])[] {
  return [
    [...place, "*", "file"],
    [...place, "*", "*", "file"],
  ];
}

function haveErrorPages(routes: Located | undefined): boolean {
  return routes?.kind === "list" && routes.items.some((route) => route.kind === "map" && route.entries.has("errorPages"));
}

/** Fields that name a PEM file whose text goes into the plan; a PEM text itself is accepted too. */
const PEM_FIELDS: readonly (readonly string[])[] = [
  ...["ca", "cert", "key"].flatMap((field) => [
    ["upstreams", "*", "tls", field],
    ["upstreamDefaults", "tls", field],
  ]),
  ...["ca", "cert", "key"].map((field) => ["redis", "tls", field]),
  ["auth", "*", "introspection", "ca"],
  ["auth", "*", "forwardAuth", "ca"],
  ["routes", "*", "forwardAuth", "ca"],
  ["defaults", "forwardAuth", "ca"],
  ["policySets", "*", "forwardAuth", "ca"],
  ["auth", "*", "jwt", "keyFetch", "ca"],
  ["auth", "*", "jwt", "providers", "*", "keyFetch", "ca"],
];

/** Fields that hold a text, or name the file that does with a `file:` in front. */
const TEXT_FIELDS: readonly (readonly string[])[] = [
  ["auth", "*", "jwt", "keys"],
  ["auth", "*", "jwt", "providers", "*", "keys"],
  ["auth", "*", "basic", "htpasswd"],
  ["cache", "warm", "urls"],
];

interface ResolvedFiles {
  readonly root: LocatedMap;
  readonly problems: readonly ConfigProblem[];
  readonly unread: readonly Position[];
  /** Where keys of consumers stood that were plain, and are hashed now. */
  readonly plainKeys: readonly (readonly PathPart[])[];
}

/** Keys of consumers: a hash, or the key itself in a file or a variable, which is hashed. */
const KEY_FIELD = ["consumers", "*", "keys", "*"];
/** As clients can send it. A shorter one could be guessed; the longest is what an authenticator looks at. */
const PLAIN_KEY = /^[\x21-\x7e]{8,512}$/;

/** What is no hash, and came from where plain keys may stand. */
const isPlainKey = (fromEnv: boolean, value: string): boolean => fromEnv && PLAIN_KEY.test(value) && !/^(hmac-)?sha256:/.test(value);

/** @returns the tree with files read; what can't be read is reported where it is named, and `unread` says where: nothing else need be said of it. */
export function resolveFiles(root: LocatedMap, files: ConfigFiles): ResolvedFiles {
  const problems: ConfigProblem[] = [];
  const plainKeys: (readonly PathPart[])[] = [];
  const content = (node: LocatedScalar, written: string, path: readonly PathPart[], read: (bytes: Buffer) => string | Error): Located => {
    const found = files.read(files.resolve(node.at.file, written));
    const value = found instanceof Error ? found : read(found);
    if (typeof value === "string") return { ...node, value, fromEnv: true };
    const [message, remedy] =
      found instanceof Error
        ? [`can't read ${written}: ${found.message}`, "paths are relative to the configuration file"]
        : [`can't use ${written}: ${value.message}`, ""];
    problems.push({ at: node.at, path: formatPath(path), message, remedy });
    return { ...node, value: UNREADABLE };
  };
  const change = (
    fields: readonly (readonly string[])[],
    how: (node: LocatedScalar, text: string, path: readonly PathPart[]) => Located,
  ): void => {
    for (const field of fields) {
      result = replaceAt(result, field, (node, path) =>
        node.kind === "scalar" && typeof node.value === "string" && node.value !== "" ? how(node, node.value, path) : node,
      );
    }
  };
  let result: Located = root;
  for (const kind of ["text", "key"] as const)
    change(SECRET_FIELDS[kind], (node, text, path) =>
      text.startsWith("file:") ? content(node, text.slice(5), path, (bytes) => secretOf(bytes, kind)) : node,
    );
  change([KEY_FIELD], (node, text, path) => {
    const read = text.startsWith("file:") ? content(node, text.slice(5), path, (bytes) => secretOf(bytes, "text")) : node;
    if (read.kind !== "scalar" || typeof read.value !== "string" || !isPlainKey(read.fromEnv, read.value)) return read;
    plainKeys.push(path);
    return { ...read, value: `sha256:${hash("sha256", read.value)}` };
  });
  change(TEXT_FIELDS, (node, text, path) => (text.startsWith("file:") ? content(node, text.slice(5), path, plainText) : node));
  change([["log", "file"]], (node, text) => (text === "stdout" ? node : { ...node, value: files.resolve(node.at.file, text) }));
  const pathFields = haveErrorPages(root.entries.get("routes")?.node) ? [...PATH_FIELDS, ...ROUTE_PATH_FIELDS] : PATH_FIELDS;
  change(pathFields, (node, text) => ({ ...node, value: files.resolve(node.at.file, text.replace(/^file:/, "")) }));
  change(PEM_FIELDS, (node, text, path) =>
    text.startsWith("-----BEGIN ") ? node : content(node, text.replace(/^file:/, ""), path, plainText),
  );
  return { root: result.kind === "map" ? result : root, problems, plainKeys, unread: problems.map((problem) => problem.at) };
}

/** PEM or JSON. */
function plainText(bytes: Buffer): string | Error {
  const text = decodeUtf8(bytes);
  if (typeof text === "string") return text;
  const { what, line, column } = text;
  // ASN.1 DER: a SEQUENCE with its length in two bytes
  if (bytes[0] === 0x30 && bytes[1] === 0x82) return new Error("it is binary (DER), and PEM is wanted; convert it with openssl");
  return new Error(`${what} (line ${line}, column ${column}); save it as UTF-8`);
}
