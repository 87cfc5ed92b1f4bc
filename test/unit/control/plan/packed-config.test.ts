// Holds the packed form to: what comes out is what went in, the bytes of files included.
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../../src/control/config/load.ts";
import type { Config } from "../../../../src/control/config/schema.ts";
import { packConfig, unpackConfig } from "../../../../src/control/plan/packed-config.ts";

const CONFIG = resolve(import.meta.dirname, "../../../../config");
const ENV = { DEMO_PORT: "1", DEMO_ADMIN_PORT: "2", DEMO_ACCESS_LOG: "/tmp/a.log" };
const demo = ["USERS_A", "USERS_B", "STABLE", "CANARY", "LAB"].map((name, i) => [`DEMO_${name}`, `http://127.0.0.1:${3 + i}`]);

function load(file: string): Config {
  const result = loadConfig({ files: [file], env: { ...ENV, ...Object.fromEntries(demo) } });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

describe("a packed configuration", () => {
  const examples = readdirSync(CONFIG).filter((name) => name.endsWith(".yaml") && name !== "tls-sni.yaml"); // needs certificates
  it.each(examples)("is the same again: %s", (name) => {
    const config = load(join(CONFIG, name));
    expect(unpackConfig(packConfig(config))).toEqual(config);
  });

  it("keeps the bytes of files", () => {
    const directory = mkdtempSync(join(tmpdir(), "sluice-packed-"));
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    writeFileSync(join(directory, "answer.bin"), bytes);
    const file = join(directory, "sluice.yaml");
    const text = `version: 1
listeners: [ { address: "127.0.0.1:0" } ]
routes:
  - { name: r, match: { path: / }, respond: { file: answer.bin, headers: { $bytes: "x" } } }
`;
    writeFileSync(file, text);
    const config = load(file);
    const again = unpackConfig(packConfig(config));
    expect(again).toEqual(config);
    expect(again.routes[0]?.policies[0]?.config).toMatchObject({ body: new Uint8Array(bytes), headers: { $bytes: "x" } });
  });
});
