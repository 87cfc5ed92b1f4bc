// `tls.clientCa` and the authenticators that depend on it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compilePlan } from "../../../../src/control/config/compile/compile.ts";
import { loadConfig } from "../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../src/control/config/source/problem.ts";
import { Authority } from "../../../support/authority.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-client-ca-"));
  const authority = new Authority(folder, "ca");
  authority.issue("api", ["api.test"]);
  writeFileSync(join(folder, "text.pem"), "hello");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const load = (listeners: string, auth = "{}") => {
  const file = join(folder, "c.yaml");
  const use = auth === "{}" ? "" : "defaults: { auth: mesh }\n";
  writeFileSync(
    file,
    `version: 1\nlisteners: [${listeners}]\nauth: ${auth}\nroutes: [{ name: r, match: {}, respond: { status: 204 } }]\n${use}`,
  );
  return loadConfig({ files: [file], env: {} });
};

/** Problems, or else warnings. */
const said = (listeners: string, auth?: string): string[] => {
  const result = load(listeners, auth);
  return (result.ok ? result.warnings : result.problems).map((problem) =>
    formatProblem(problem)
      .replaceAll(`${folder}/`, "")
      .replace(/^c\.yaml:\d+:\d+: /, ""),
  );
};

const listener = (tls: string, port = 1) =>
  `{ address: "127.0.0.1:${port}", tls: { certificates: [{ cert: api.pem, key: api.key }]${tls} } }`;
const PLAIN = '{ address: "127.0.0.1:9" }';
const MESH = "{ mesh: { mtls: { consumerFrom: san } } }";

describe("clientCa", () => {
  const check = (name: string, listeners: string, auth: string | undefined, ...expected: string[]) =>
    it(name, () => expect(said(listeners, auth)).toEqual(expected));
  check("good", listener(", clientCa: ca.pem"), undefined);
  check("optional", listener(", clientCa: ca.pem, clientCertificates: optional"), MESH);
  check(
    "no file",
    listener(", clientCa: none.pem"),
    undefined,
    "listeners[0].tls.clientCa: can't read none.pem: there is no such file; paths are relative to the configuration file",
  );
  check(
    "no certificate",
    listener(", clientCa: text.pem"),
    undefined,
    "listeners[0].tls.clientCa: there is no PEM certificate in this file; use a file that holds -----BEGIN CERTIFICATE-----",
  );
  check(
    "no authority's",
    listener(", clientCa: api.pem"),
    undefined,
    "listeners[0].tls.clientCa: the certificate is not that of an authority; name the one that signs the clients' certificates",
  );
  check(
    "optional without",
    listener(", clientCertificates: optional"),
    undefined,
    "listeners[0].tls.clientCertificates: clientCertificates needs clientCa",
  );
  check(
    "mtls, and nobody asks",
    `${listener("")}, ${PLAIN}`,
    MESH,
    "auth.mesh: no listener asks clients for certificates; add `tls.clientCa` to the listeners",
  );
  check(
    "mtls, and one of the TLS listeners does not ask",
    `${listener(", clientCa: ca.pem")}, ${PLAIN}, ${listener("", 2)}`,
    MESH,
    "listeners[2].tls: mesh can't prove who calls here: clients are not asked for certificates; add `clientCa`, with `clientCertificates: optional` where others call too",
  );
  check("mtls beside a listener without TLS: nobody is proven there", `${listener(", clientCa: ca.pem")}, ${PLAIN}`, MESH);
});

it("takes the net engine, and is taken up anew when the authority's file changes", () => {
  const compiled = () => {
    const result = load(listener(", clientCa: ca.pem"));
    if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
    expect(result.files).toContain(join(folder, "ca.pem"));
    return compilePlan(result.config, { version: 1, metricSlot: () => 0 }).listeners[0];
  };
  const before = compiled();
  expect(before).toMatchObject({
    engine: "net",
    engineReason: "`tls.clientCa`: client certificates, verified",
    tls: { clientAuth: { caPath: join(folder, "ca.pem"), required: true } },
  });
  expect(compiled()).toEqual(before);
  new Authority(folder, "ca");
  expect(compiled()?.tls?.fingerprint).not.toBe(before?.tls?.fingerprint);
});
