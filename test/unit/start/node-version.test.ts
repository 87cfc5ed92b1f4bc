// The least version of Node, wherever it is named.
import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { NODE_VERSION_MIN, nodeTooOld } from "../../../src/start/node-version.ts";

const root = path.join(import.meta.dirname, "../../..");

test("package.json, the entry and the program `sluice` name the same version", () => {
  const { engines } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  expect(engines.node).toBe(`>=${NODE_VERSION_MIN}`);
  expect(fs.readFileSync(path.join(root, "src/start/sluice.sh"), "utf8")).toContain(`\nneeds=${NODE_VERSION_MIN}\n`);
});

test.each(["v12.22.9", "v18.19.0", "v20.19.2", "v22.21.0", "v24.0.0", "v24.11.1"])(
  "%s is too old, and what to do is said in one line",
  (version) => {
    const line = nodeTooOld(version, "/usr/bin/node");
    expect(line).toMatch(/^sluice: needs Node >= 24\.12, found \S+ at \/usr\/bin\/node; [^\n]+$/);
    expect(line).toContain(version);
  },
);

test.each(["v24.12.0", "v24.21.0", "v25.0.0", process.version])("%s is new enough", (version) => {
  expect(nodeTooOld(version, "/usr/bin/node")).toBeNull();
});
