// Keys of consumers that are no hashes, weak hashes of passwords, and users of files: what is taken, what is refused, and what is said.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} in configuration files is meant
import { hash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../../../../src/control/config/load.ts";
import { redactConfig } from "../../../../../src/control/config/output/redact.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { BASE, check, good } from "../../../../support/config-text.ts";

const KEY = "a-key-as-people-have-it";
const BCRYPT = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";
const APR1 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/";
const NO_HASH =
  "expected `sha256:` or `hmac-sha256:` and 64 hexadecimal digits, as `sluice key create` prints them; a key itself, of 8 to 512 visible ASCII characters, comes from the environment or a file";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-keys-"));
  writeFileSync(join(folder, "key"), `${KEY}\n`);
  writeFileSync(join(folder, "short"), "short");
  writeFileSync(join(folder, "lines"), `${KEY}\n${KEY}\n`);
  writeFileSync(join(folder, "users"), `ann:${BCRYPT}\nben:${APR1}\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function load(sections: string, env: Readonly<Record<string, string>> = {}) {
  writeFileSync(join(folder, "c.yaml"), `${BASE}defaults: { auth: none }\n${sections}`);
  return loadConfig({ files: [join(folder, "c.yaml")], env });
}
const problems = (sections: string, env?: Readonly<Record<string, string>>): string[] => {
  const result = load(sections, env);
  return result.ok ? [] : result.problems.map((each) => formatProblem(each).replaceAll(`${folder}/`, ""));
};

describe("a key that is no hash", () => {
  const DIGEST = `sha256:${hash("sha256", KEY)}`;
  it("comes from the environment or a file, is hashed at once, and one warning counts them", () => {
    const result = load('consumers: [{ id: a, keys: ["${KEY}", file:key] }, { id: b, keys: ["x-${KEY}"] }]\n', { KEY });
    expect(result).toMatchObject({ ok: false }); // the two of a are the same key
    const others = load('consumers: [{ id: a, keys: ["${KEY}"] }, { id: b, keys: ["x-${KEY}"] }]\n', { KEY });
    if (!others.ok) throw new Error(others.problems.map(formatProblem).join("\n"));
    expect(others.config.consumers.map(({ keys }) => keys)).toEqual([[DIGEST], [`sha256:${hash("sha256", `x-${KEY}`)}`]]);
    expect(others.warnings.filter(({ path }) => path.startsWith("consumers")).map(formatProblem)).toEqual([
      `${folder}/c.yaml:7:29: consumers[0].keys[0]: the key itself stands there (and 1 more like it), and is hashed when it is loaded: whoever reads the file or the environment has it; store its hash, which \`sluice key hash\` prints`,
    ]);
    const file = load("consumers: [{ id: a, keys: [file:key] }]\n");
    expect(file.ok && file.config.consumers[0]?.keys).toEqual([DIGEST]);
    expect(JSON.stringify([others, file])).not.toContain(KEY);
  });

  it("a hash from the environment is a hash, without a warning", () => {
    const result = load('consumers: [{ id: a, keys: ["${HASH}"] }]\n', { HASH: DIGEST });
    expect(result.ok && [result.config.consumers[0]?.keys, result.warnings]).toEqual([[DIGEST], []]);
  });

  it.each<[string, string, string]>([
    ["in the configuration itself", KEY, NO_HASH],
    ["that is short", "file:short", NO_HASH],
    ["that is short, from the environment", '"${SHORT}"', NO_HASH],
    ["with blanks", '"${BLANKS}"', NO_HASH],
    ["that is empty", '"${EMPTY}"', NO_HASH],
    ["that looks like a hash and is none", '"${BROKEN}"', NO_HASH],
    ["in a file with two lines", "file:lines", "can't use lines: it holds more than one line; leave the secret alone in it"],
    [
      "in a file that is not there",
      "file:nowhere",
      "can't read nowhere: there is no such file; paths are relative to the configuration file",
    ],
  ])("%s is refused", (_, key, message) => {
    const env = { SHORT: "abc", BLANKS: "a key of words", EMPTY: "", BROKEN: "sha256:abcdef" };
    expect(problems(`consumers: [{ id: a, keys: [${key}] }]\n`, env)).toEqual([`c.yaml:7:29: consumers[0].keys[0]: ${message}`]);
  });
});

describe("weak hashes of passwords", () => {
  const consumers = (mark: string) => `consumers: [{ id: ann, password: "${BCRYPT}" }, { id: ben, password: ${mark}"${APR1}" }]\n`;
  const weak = (options: string) => `${BASE}defaults: { auth: none }\nauth: { old: { basic: { ${options} } } }\n`;
  check(
    "are refused at the consumer",
    weak("") + consumers("‸"),
    "consumers[1].password: apr1 and {SHA} are weak: whoever gets the hash finds most passwords; hash the password anew with `sluice password hash`; `insecure: [weak-hashes]` under auth.old.basic lets them in",
  );
  check("are taken where that is written", weak("insecure: [weak-hashes]") + consumers(""));
  check("are nobody's business where no authenticator looks at them", `${BASE}${consumers("")}`);
  check(
    "are refused by the one that has not written it",
    `${weak("insecure: [weak-hashes]").replace("old:", "new: { basic: {} }, old:")}${consumers("‸")}`,
    "consumers[1].password: apr1 and {SHA} are weak: whoever gets the hash finds most passwords; hash the password anew with `sluice password hash`; `insecure: [weak-hashes]` under auth.new.basic lets them in",
  );
});

check(
  "a hash that costs too much is refused, with what to do",
  `${BASE}consumers: [{ id: ann, password: ‸"${BCRYPT.replace("$05$", "$13$")}" }]\n`,
  "consumers[0].password: bcrypt of cost 13 takes too long for each check: at most 12; hash the password anew: `sluice password hash`",
);

describe("htpasswd", () => {
  const file = (options: string) => `auth: { old: { basic: { ${options} } } }\n`;
  const ANEW =
    "hash the password anew with `sluice password hash`, or `htpasswd -B -C 10`; `insecure: [weak-hashes]` lets apr1 and {SHA} in";
  it("is read from a file, relative to the configuration, and shown without its hashes", () => {
    const result = load(file("htpasswd: file:users, insecure: [weak-hashes]"));
    if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
    expect(result.config.auth[0]?.config).toMatchObject({
      users: [
        { username: "ann", password: BCRYPT },
        { username: "ben", password: APR1 },
      ],
    });
    expect(result.files).toContain(join(folder, "users"));
    const shown = JSON.stringify(redactConfig(result.config));
    expect(shown).toContain("ann");
    for (const secret of [BCRYPT, APR1]) expect(shown).not.toContain(secret);
  });
  it.each<[string, string, readonly string[]]>([
    ["a weak hash", "htpasswd: file:users", [`line 2: ben: apr1 and {SHA} are weak: whoever gets the hash finds most passwords; ${ANEW}`]],
    [
      "a path without `file:`",
      "htpasswd: users",
      ["expected `file:` and a path, or lines of a user name, a colon and a hash; write `file:` before the path"],
    ],
    [
      "a file that is not there",
      "htpasswd: file:nowhere",
      ["can't read nowhere: there is no such file; paths are relative to the configuration file"],
    ],
  ])("with %s is refused", (_, options, messages) =>
    expect(problems(file(options))).toEqual(
      messages.map((message) =>
        expect.stringMatching(new RegExp(`^c.yaml:7:\\d+: auth.old.basic.htpasswd: ${message.replace(/[[\]{}().$]/g, "\\$&")}$`)),
      ),
    ),
  );

  const users = (auth: string, rest = "") =>
    `${BASE}defaults: { auth: none }\nauth: { old: { basic: { htpasswd: ‸"partner-1:${BCRYPT}" } }${auth} }\n${rest}`;
  const mtls = ', partners: { jwt: { issuer: x, audience: y, jwks: "https://x/", algorithms: [RS256], consumerPrefix: partner- } }';
  check(
    "must not name the callers of another authenticator's prefix",
    users(mtls),
    "auth.old.basic.htpasswd: the user partner-1 has an id of those that a consumerPrefix keeps for another authenticator; give it another name, or a consumer with this `username` and an id of its own",
  );
  check(
    "may name one whom the operator has made a consumer",
    users(mtls, "consumers: [{ id: one, username: partner-1 }]\n").replace("‸", ""),
  );

  it("its users and their consumers are known to `authorize`", () => {
    const route = (authorize: string) =>
      `version: 1\nlisteners: [{ address: 127.0.0.1:0 }]\nupstreams: { users: { targets: [{ url: http://10.0.0.1 }] } }
routes: [{ name: all, match: {}, to: users, auth: old, authorize: { ${authorize} } }]
auth: { old: { basic: { htpasswd: "ann:${BCRYPT}\\nrobert:${BCRYPT}" } } }
consumers: [{ id: bob, username: robert, roles: [admin] }, { id: eve, roles: [root] }]\n`;
    expect(good([route("consumers: [ann, bob]")]).warnings).toEqual([]);
    expect(good([route("roles: { any: [admin] }")]).warnings).toEqual([]);
    expect(good([route("roles: { any: [root] }")]).warnings.map(({ path }) => path)).toEqual(["routes[0].authorize.roles.any[0]"]);
    expect(good([route("consumers: [nobody]")]).warnings.map(({ path }) => path)).toEqual(["routes[0].authorize.consumers[0]"]);
  });
});

check(
  "a user name that two consumers have is refused, also without passwords",
  `${BASE}consumers: [{ id: a, username: u }, { id: b, username: ‸u }]\n`,
  "consumers[1].username: the user name is the same as consumers[0].username at c.yaml:6:32; it must lead to one consumer: change or remove one of them",
);
