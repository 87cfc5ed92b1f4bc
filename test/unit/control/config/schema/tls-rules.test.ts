// What versions, cipher suites and curves of TLS may be written, and which engine keeps them.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { loadConfig } from "../../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { makeCertificate } from "../../../../support/certificates.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-tls-rules-"));
  makeCertificate(folder, "ec", ["ec.test"]);
  const rsa = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=rsa.test"];
  execFileSync("openssl", [...rsa, "-keyout", join(folder, "rsa.key"), "-out", join(folder, "rsa.pem")], { stdio: "pipe" });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @param more of the listener, beside `tls` */
const load = (listener: string, upstream = "", certificate = "ec", more = "") => {
  const file = join(folder, "c.yaml");
  writeFileSync(
    file,
    `version: 1
listeners: [{ address: 127.0.0.1:0, tls: { certificates: [{ cert: ${certificate}.pem, key: ${certificate}.key }], ${listener} }${more} }]
upstreams: { a: { targets: [{ url: https://a }], tls: { ${upstream} } } }
routes: [{ name: r, match: {}, to: a }]
`,
  );
  return loadConfig({ files: [file], env: {} });
};
const problems = (...parts: Parameters<typeof load>): string[] => {
  const result = load(...parts);
  return result.ok ? [] : result.problems.map((each) => formatProblem(each).replace(/^.*?c\.yaml:\d+:\d+: /, ""));
};
const planOf = (...parts: Parameters<typeof load>) => {
  const result = load(...parts);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  return compilePlan(result.config, { version: 1, metricSlot: () => 0 });
};

const OF_13 = "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256";

describe("what is written reaches the plan", () => {
  it("of a listener and of an upstream", () => {
    const { listeners, upstreams } = planOf(
      "minVersion: TLSv1.3, ciphers: [TLS_AES_256_GCM_SHA384], curves: [X25519, P-256]",
      "maxVersion: TLSv1.2, ciphers: [ECDHE-RSA-AES128-GCM-SHA256, ECDHE-RSA-AES128-GCM-SHA256]",
    );
    expect(listeners[0]?.tls?.rules).toEqual({
      ...{ minVersion: "TLSv1.3", maxVersion: "TLSv1.3" },
      ...{ ciphers: ["TLS_AES_256_GCM_SHA384"], curves: ["X25519", "P-256"] },
    });
    expect(upstreams[0]?.tls?.rules).toEqual({
      ...{ minVersion: "TLSv1.2", maxVersion: "TLSv1.2" },
      ...{ ciphers: ["ECDHE-RSA-AES128-GCM-SHA256"], curves: [] },
    });
  });
  it("nothing is narrowed by what is the default anyway", () => {
    const { listeners, upstreams } = planOf("minVersion: TLSv1.2, maxVersion: TLSv1.3");
    expect([listeners[0]?.tls?.rules, upstreams[0]?.tls?.rules]).toEqual([null, null]);
  });
  it("a listener whose rules change is another one, an upstream's connections are made anew", () => {
    const prints = (rules: string) => {
      const { listeners, upstreams } = planOf(rules, rules);
      return [listeners[0]?.tls?.fingerprint, upstreams[0]?.fingerprint];
    };
    const before = prints("curves: [X25519]");
    for (const [i, print] of prints("curves: [P-256]").entries()) expect(print).not.toBe(before[i]);
    expect(prints("curves: [X25519]")).toEqual(before);
  });
});

describe("the engine of a listener", () => {
  const TLS = "`tls`: HTTP/2, and sessions that every worker resumes";
  const engine = (rules: string, expected: string, reason: string) =>
    it(rules === "" ? "nothing" : rules, () => {
      const [listener] = planOf(rules).listeners;
      expect([listener?.engine, listener?.engineReason]).toEqual([expected, reason]);
    });
  engine("", "net", TLS);
  engine("minVersion: TLSv1.3", "net", TLS);
  it("without HTTP/2", () => {
    const [listener] = planOf("", "", "ec", ", http2: false").listeners;
    expect([listener?.http2, listener?.engineReason]).toEqual([false, "`tls`: sessions that every worker resumes"]);
  });

  const chosen = (rules: string, objection: string | null) =>
    it(`\`engine: uws\` with ${rules === "" ? "nothing" : rules}`, () => {
      const told = problems(rules, "", "ec", ", engine: uws");
      expect(told).toEqual(
        objection === null
          ? []
          : [`listeners[0].engine: the uws engine has no ${objection}; write \`engine: net\`, or remove what needs it`],
      );
    });
  chosen("", null);
  chosen("minVersion: TLSv1.2", null);
  chosen("minVersion: TLSv1.3", "`tls.minVersion: TLSv1.3`");
  chosen("maxVersion: TLSv1.2", "`tls.maxVersion: TLSv1.2`");
  chosen("curves: [X25519]", "`tls.curves`");
  chosen(`ciphers: [${OF_13}, ECDHE-ECDSA-AES128-GCM-SHA256]`, null);
  chosen("ciphers: [TLS_AES_128_GCM_SHA256, ECDHE-ECDSA-AES128-GCM-SHA256]", "`tls.ciphers` without all of TLS 1.3's three usual ones");
  chosen(`ciphers: [${OF_13}, ECDHE-ECDSA-AES256-SHA384]`, "`tls.ciphers` with ECDHE-ECDSA-AES256-SHA384");
});

describe("refused, with what to write instead:", () => {
  const refuses = (rules: string, key: string, message: string | RegExp) => {
    for (const [place, told] of [
      ["listeners[0].tls", () => problems(rules)],
      ["upstreams.a.tls", () => problems("", rules)],
    ] as const)
      it(`${rules} of ${place}`, () => {
        const [first, ...more] = told();
        expect(more).toEqual([]);
        if (typeof message === "string") expect(first).toBe(`${place}${key}: ${message}`);
        else expect(first?.startsWith(`${place}${key}: `) && first).toMatch(message);
      });
  };
  const older = /: expected TLSv1.2 or TLSv1.3: older versions are never spoken \(RFC 8996\)/;
  refuses("minVersion: TLSv1.1", ".minVersion", older);
  refuses("minVersion: TLSv1", ".minVersion", older);
  refuses("maxVersion: TLSv1.0", ".maxVersion", older);
  refuses("minVersion: SSLv3", ".minVersion", older);
  refuses("minVersion: 1.3", ".minVersion", "expected TLSv1.2 or TLSv1.3: write `TLSv1.3`");
  refuses("minVersion: VersionTLS12", ".minVersion", "expected TLSv1.2 or TLSv1.3: write `TLSv1.2`");
  refuses("minVersion: newest", ".minVersion", "expected TLSv1.2 or TLSv1.3");
  refuses(
    "minVersion: TLSv1.3, maxVersion: TLSv1.2",
    ".minVersion",
    "TLSv1.3 to TLSv1.2 is no version at all; swap `minVersion` and `maxVersion`",
  );
  refuses(
    "ciphers: [NONSENSE]",
    ".ciphers[0]",
    /^\S+ OpenSSL \d\S+ has no cipher suite NONSENSE; it has .*ECDHE-RSA-AES128-GCM-SHA256.*TLS_AES_128_GCM_SHA256/,
  );
  refuses('ciphers: ["HIGH:!aNULL"]', ".ciphers[0]", /has no cipher suite HIGH:!aNULL; it has /);
  refuses("ciphers: [PSK-AES128-GCM-SHA256]", ".ciphers[0]", /has no cipher suite PSK-AES128-GCM-SHA256; it has (?!.*PSK)/);
  const meant = (written: string, name: string) =>
    refuses(`ciphers: [${written}]`, ".ciphers[0]", new RegExp(`has no cipher suite ${written}; did you mean \`${name}\`\\?$`));
  meant("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256");
  meant("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "ECDHE-ECDSA-AES256-SHA384");
  meant("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305");
  meant("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256");
  meant("ecdhe-rsa-aes128-gcm-sha256", "ECDHE-RSA-AES128-GCM-SHA256");
  refuses("ciphers: []", ".ciphers", "expected at least 1 entry");
  refuses(
    "ciphers: [ECDHE-ECDSA-AES128-GCM-SHA256]",
    ".ciphers",
    "none of these is a cipher suite of TLSv1.3; add TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256, or write `maxVersion: TLSv1.2`",
  );
  refuses(
    "ciphers: [TLS_AES_128_GCM_SHA256]",
    ".ciphers",
    "none of these is a cipher suite of TLSv1.2; add some, such as ECDHE-ECDSA-AES128-GCM-SHA256, or write `minVersion: TLSv1.3`",
  );
  refuses("curves: [P-192]", ".curves[0]", /has no curve P-192; it has .*X25519.*P-256.*P-384/);
  refuses("curves: [auto]", ".curves[0]", /has no curve auto; it has /);
  refuses("curves: [p-256]", ".curves[0]", /has no curve p-256; did you mean `P-256`\?$/);

  it("suites of TLS 1.2 that no certificate of the listener can be used with", () => {
    const rsaOnly = `ciphers: [${OF_13}, ECDHE-RSA-AES128-GCM-SHA256]`;
    const ecOnly = `ciphers: [${OF_13}, ECDHE-ECDSA-AES128-GCM-SHA256]`;
    const said = (kind: string, key: string) =>
      `listeners[0].tls.certificates[0]: none of \`ciphers\` is for a key of its kind (${key}): nobody could speak TLSv1.2 with it; add one such as ECDHE-${kind}-AES128-GCM-SHA256, or write \`minVersion: TLSv1.3\``;
    expect(problems(rsaOnly, "", "ec")).toEqual([said("ECDSA", "ec")]);
    expect(problems(ecOnly, "", "rsa")).toEqual([said("RSA", "rsa")]);
    expect([problems(rsaOnly, "", "rsa"), problems(ecOnly, "", "ec")]).toEqual([[], []]);
    expect(problems("minVersion: TLSv1.3, ciphers: [TLS_AES_128_GCM_SHA256]", "", "rsa")).toEqual([]);
  });
});
