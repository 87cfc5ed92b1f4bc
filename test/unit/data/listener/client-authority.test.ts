// Whether the authorities of today vouch for a certificate that was verified against those of yesterday.
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { authoritiesOf, isVouchedFor } from "../../../../src/data/listener/client-authority.ts";
import { Authority } from "../../../support/authority.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-vouched-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const root = new Authority(folder, "root");
const other = new Authority(folder, "other");
const namesake = new Authority(mkdtempSync(join(folder, "namesake-")), "root");
const intermediate = root.subordinate("intermediate");
const client = new X509Certificate(readFileSync(root.issue("client", ["client.test"]).cert));
const deep = new X509Certificate(readFileSync(intermediate.issue("deep", ["deep.test"]).cert));
const notAnAuthority = root.issue("leaf", ["leaf.test"]);

const files = (...paths: readonly string[]) => authoritiesOf(paths.map((each) => readFileSync(each, "utf8")).join("\n"));

it.each<[string, X509Certificate, readonly string[], boolean]>([
  ["its own root", client, [root.ca], true],
  ["its root among others", client, [other.ca, root.ca], true],
  ["another root", client, [other.ca], false],
  ["another root of the same name", client, [namesake.ca], false],
  ["nobody", client, [], false],
  ["a root over an intermediate that is there", deep, [intermediate.ca, root.ca], true],
  ["an intermediate without its root", deep, [intermediate.ca], false],
  ["a root without the intermediate, which the client did not send", deep, [root.ca], false],
  ["a certificate that is no authority's", deep, [notAnAuthority.cert, root.ca], false],
])("%s", (_, certificate, paths, expected) => expect(isVouchedFor(certificate, files(...paths))).toBe(expected));

it("a text without certificates holds no authorities, and a broken one is an error", () => {
  expect(authoritiesOf("nothing here")).toEqual([]);
  expect(() => authoritiesOf("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")).toThrow();
});
