// Holds the packed form to: what comes out is what went in, the bytes of files included. examples.test.ts asks the same of every example.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadConfig } from "../../../../src/control/config/load.ts";
import { packConfig, unpackConfig } from "../../../../src/control/plan/packed-config.ts";

it("keeps the bytes of files, and names that look like a marker", () => {
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
  const result = loadConfig({ files: [file], env: {} });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  const again = unpackConfig(packConfig(result.config));
  expect(again).toEqual(result.config);
  expect(again.routes[0]?.policies[0]?.config).toMatchObject({ body: new Uint8Array(bytes), headers: { $bytes: "x" } });
});
