// When the kernel is asked who is connected.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConnectionCensus } from "../../../../src/control/connections/census.ts";
import { createLog } from "../../../../src/observe/log.ts";
import type { Plan } from "../../../../src/plan/plan.ts";
import { AddressBucket } from "../../../../src/shared/address-bucket.ts";
import { CONNECTION_TABLE_BYTES, ConnectionTable } from "../../../../src/shared/connection-table.ts";

const PORT = 8080;
/** As proc_net_tcp.txt has it, from 203.0.113.7. */
const LINE = (i: number): string =>
  `   ${i}: 017100CB:1F90 077100CB:${(0x8000 + i).toString(16).toUpperCase()} 01 00000000:00000000 00:00000000 00000000 0 0 ${i} 1\n`;

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-census-"));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

test("connections of somebody who had many are not counted on when they have been closed, though nobody connects", async () => {
  const file = path.join(directory, "tcp");
  const connected = (count: number): void => fs.writeFileSync(file, `  sl\n${Array.from({ length: count }, (_, i) => LINE(i)).join("")}`);
  const table = new ConnectionTable(new SharedArrayBuffer(CONNECTION_TABLE_BYTES));
  const buckets = new AddressBucket(new Uint8Array(16));
  const census = new ConnectionCensus({ table, buckets, log: createLog({ output: { write: () => {} } }), files: [file] });
  const plan = {
    limits: { connectionsPerAddress: 10 },
    listeners: [{ unixPath: null, proxyProtocol: false, port: PORT }],
    trustedProxies: [],
  };
  connected(10);
  await census.follow(plan as unknown as Plan); // all of it that is looked at
  const bucket = buckets.of("203.0.113.7");
  expect(table.listed(bucket)).toBe(10);
  expect(table.wanted).toBe(false);
  connected(0);
  await expect.poll(() => table.listed(bucket), { timeout: 10_000 }).toBe(0);
  expect(table.opened(bucket, 10)).toBe(true);
  census.stop();
});
