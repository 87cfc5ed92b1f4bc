// What files of a configuration may hold, and what they may be: every file it names goes one way.
import { spawnSync } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../src/control/config/source/problem.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-files-"));
  mkdirSync(join(folder, "d"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, content: string | Buffer): void => writeFileSync(join(folder, name), content);
const load = (...files: string[]) => loadConfig({ files: files.map((name) => join(folder, name)), env: {} });
const problems = (...files: string[]): string[] => {
  const result = load(...files);
  return result.ok ? [] : result.problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ""));
};

const BASE = "version: 1\nlisteners: [{ address: 127.0.0.1:0 }]\n";
const ROUTE = "routes: [{ name: all, match: {}, respond: {} }]\n";
const JWT = "auth: { partner: { jwt: { issuer: https://id.example, audience: api, algorithms: [HS256], secret: file:jwt.key } } }\n";
const GUARDED = "routes: [{ name: all, match: {}, auth: partner, respond: {} }]\n";
const CERTIFICATES = "listeners: [{ address: 127.0.0.1:0, tls: { certificates: [{ cert: pipe, key: pipe }] } }]\n";

describe("a named pipe in place of a file is an error, not a wait:", () => {
  const PLACES: Readonly<Record<string, string>> = {
    "a static answer": `${BASE}routes: [{ name: all, match: {}, respond: { file: pipe } }]\n`,
    "a token": `${BASE}${ROUTE}admin: { address: 127.0.0.1:0, token: file:pipe }\n`,
    "a certificate": `version: 1\n${CERTIFICATES}${ROUTE}`,
    "a shared secret": `${BASE}${GUARDED}${JWT.replace("jwt.key", "pipe")}`,
    "a key set": `${BASE}${GUARDED}${JWT.replace("HS256", "RS256").replace("secret: file:jwt.key", "keys: file:pipe")}`,
    "an authority": `${BASE}${ROUTE}upstreams: { a: { targets: [{ url: https://10.0.0.1 }], tls: { ca: pipe } } }\n`,
    "a directory of consumers": `${BASE}${ROUTE}consumersFrom: { directory: pipe }\n`,
    "a consumer": `${BASE}${ROUTE}consumersFrom: { directory: d }\n`,
    "a password": `${BASE}${ROUTE}consumers: [{ id: acme, password: file:pipe }]\n`,
  };
  it.each(Object.keys(PLACES))("%s", (place) => {
    for (const pipe of ["pipe", "d/a.yaml"]) expect(spawnSync("mkfifo", [join(folder, pipe)]).status).toBe(0);
    write("c.yaml", PLACES[place] ?? "");
    const found = problems("c.yaml");
    expect(found.length).toBeGreaterThan(0);
    const wanted = place === "a directory of consumers" ? "it is not a directory" : "it is a named pipe (FIFO), not a regular file";
    for (const problem of found) expect(problem).toContain(wanted);
  });

  it("the configuration and an overlay", () => {
    expect(spawnSync("mkfifo", [join(folder, "pipe")]).status).toBe(0);
    write("c.yaml", BASE + ROUTE);
    expect(problems("c.yaml", "pipe")).toEqual([
      "pipe:1:1: can't read the configuration: it is a named pipe (FIFO), not a regular file; check the path after -c",
    ]);
  });
});

describe("bytes that are no text", () => {
  it("in a configuration file are an error with its place; a byte order mark is none", () => {
    write("latin1.yaml", Buffer.from(`${BASE}# J\u00fcrgen\n${ROUTE}`, "latin1"));
    write("utf16.yaml", Buffer.from(`\ufeff${BASE}${ROUTE}`, "utf16le"));
    write("bom.yaml", `\ufeff${BASE}# Jürgen\n${ROUTE}`);
    expect(problems("latin1.yaml")).toEqual(["latin1.yaml:3:4: the byte 0xfc is not UTF-8; save the file as UTF-8"]);
    expect(problems("utf16.yaml")).toEqual(["utf16.yaml:1:1: this is UTF-16; save the file as UTF-8"]);
    expect(problems("bom.yaml")).toEqual([]);
  });

  it("in a consumer's file are an error with its place", () => {
    write("c.yaml", `${BASE}${ROUTE}consumersFrom: { directory: d }\n`);
    write("d/a.yaml", Buffer.from("id: a\n# \u00fc\n", "latin1"));
    expect(problems("c.yaml")).toEqual(["d/a.yaml:2:3: the byte 0xfc is not UTF-8; save the file as UTF-8"]);
  });

  it("are a key as they are, of which nothing is dropped, not even a line end", () => {
    write("c.yaml", BASE + GUARDED + JWT);
    for (const key of [Buffer.concat([Buffer.from([0xff]), randomBytes(46), Buffer.from("\n")]), Buffer.from(`${"k".repeat(31)}\0`)]) {
      write("jwt.key", key);
      expect(secretInForce()).toEqual(key);
    }
  });

  it.each(["admin: { address: 127.0.0.1:0, token: file:secret }", "redis: { url: file:secret }"])("cannot be a text: %s", (section) => {
    write("c.yaml", `${BASE}${ROUTE}${section}\n`);
    write("secret", Buffer.concat([Buffer.from("abc"), Buffer.from([0xff, 0xfe])]));
    expect(problems("c.yaml")[0]).toMatch(
      /can't use secret: it is not text \(byte 4\); write a text, such as `openssl rand -base64 48` makes$/,
    );
    write("secret", "abc\0def");
    expect(problems("c.yaml")[0]).toMatch(/can't use secret: it holds control characters; /);
    write("secret", "one\ntwo\n");
    expect(problems("c.yaml")[0]).toMatch(/can't use secret: it holds more than one line; leave the secret alone in it$/);
  });

  it("where PEM is wanted are called DER, with the way out", () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    write("keys.der", publicKey.export({ type: "spki", format: "der" }));
    write("c.yaml", `${BASE}${GUARDED}${JWT.replace("HS256", "RS256").replace("secret: file:jwt.key", "keys: file:keys.der")}`);
    expect(problems("c.yaml")[0]).toMatch(/can't use keys.der: it is binary \(DER\), and PEM is wanted; convert it with openssl$/);
  });
});

it("a text secret loses its byte order mark and one line end, and `base64:` is the form of bytes", () => {
  write("c.yaml", BASE + GUARDED + JWT);
  const text = "a shared secret of at least 32 bytes, ü";
  for (const [content, key] of [
    [text, text],
    [`\ufeff${text}\r\n`, text],
    [`${text}\n\n`, `${text}\n`],
    [`base64:${Buffer.from(text).toString("base64")}\n`, text],
  ] as const) {
    write("jwt.key", content);
    expect(secretInForce()?.toString()).toBe(key);
  }
  write("jwt.key", "base64:no base64 at all, and long enough\n");
  expect(problems("c.yaml")).toEqual([
    "c.yaml:4:99: auth.partner.jwt.secret: has something else than base64 behind `base64:`; make one with `openssl rand -hex 32`",
  ]);
});

function secretInForce(): Buffer | null {
  const result = load("c.yaml");
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  const text = JSON.stringify(result.config.auth);
  const secret = /"k":"([^"]+)"/.exec(text)?.[1];
  return secret === undefined ? null : Buffer.from(secret, "base64url");
}
