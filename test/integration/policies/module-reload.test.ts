// What operators see of policies of their own: reloads by a changed file, refusals, metrics, and which one holds a worker.
import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { moduleWith } from "../../support/module-folder.ts";
import { Origin } from "../../support/origin.ts";
import { until, untilAsync } from "../../support/until.ts";

const config = (upstream: string, policies: string, rest = "") => `version: 1
workers: 2
listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [{ url: "${upstream}" }] } }
routes: [{ name: all, to: origin, policies: ${policies} }]
${rest}`;

const WORD = (word: string): string => `export const word: string = "${word}";\n`;
const ANSWERS = `import { word } from "./word.ts";\n${moduleWith("return { onRequest: () => ({ status: 200, body: word }) };", 'name: "answers", phase: "edge"')}`;

const write = (gateway: Gateway, name: string, text: string): void => fs.writeFileSync(path.join(gateway.directory, name), text);
const ask = async (gateway: Gateway): Promise<string> => await (await fetch(gateway.url, { headers: { connection: "close" } })).text();

test("a changed module, or what it imports, is a reload; a broken one is refused whole and the old one serves on", async () => {
  await using origin = await Origin.start("origin");
  await using gateway = await Gateway.start({
    config: config(origin.url, "[{ module: ./p.ts }]"),
    files: { "p.ts": ANSWERS, "word.ts": WORD("one") },
  });
  expect(await ask(gateway)).toBe("one");
  write(gateway, "word.ts", WORD("two"));
  expect(await gateway.said("reloaded")).toMatchObject({
    changes: ["route changed: all"],
    reasons: [expect.stringMatching(/changed: .*word\.ts$/)],
  });
  expect(await ask(gateway)).toBe("two");

  write(gateway, "word.ts", "export const word: string = ;\n");
  const refused = await gateway.said("reload refused: the old configuration stays in force");
  expect(refused["problems"]).toEqual([
    expect.stringMatching(/word\.ts:1:29: routes\[0\]\.policies\[0\]\.module: it cannot be read: Expression expected$/),
  ]);
  expect(await ask(gateway)).toBe("two");

  write(gateway, "word.ts", WORD("three"));
  await gateway.said("reloaded", 2);
  expect(await ask(gateway)).toBe("three");
  expect(origin.requests).toBe(0);
});

test("a module that workers cannot make, though the check could, is refused whole and named", async () => {
  await using origin = await Origin.start("origin");
  await using gateway = await Gateway.start({
    config: config(origin.url, "[{ module: ./p.ts }]"),
    files: { "p.ts": ANSWERS, "word.ts": WORD("one") },
  });
  const onlyThere = 'if (!process.execArgv.includes("--experimental-vm-modules")) throw new Error("not here"); return {};';
  write(gateway, "p.ts", moduleWith(onlyThere, 'name: "fragile", phase: "edge"'));
  const refused = await gateway.said("reload refused: the old configuration stays in force");
  expect(String(refused["problems"])).toMatch(/route all: policy fragile \(\.\/p\.ts\): not here/);
  expect(await ask(gateway)).toBe("one");
});

test("a gateway does not start with a broken module, and says where it is", async () => {
  await using gateway = Gateway.spawn({
    config: config("http://127.0.0.1:1", "[{ module: ./p.ts }]"),
    files: { "p.ts": "let a;\nlet a;\n" },
  });
  expect(await gateway.exited).toMatchObject({ code: 1 });
  expect(gateway.output).toMatch(
    /p\.ts:2:5: routes\[0\]\.policies\[0\]\.module: it cannot be read: Identifier 'a' has already been declared/,
  );
});

test("calls, time and failures of each policy are metrics, and a target is given back when one fails on the way to it", async () => {
  await using origin = await Origin.start("origin");
  const busy = "const end = performance.now() + 5; while (performance.now() < end);";
  await using gateway = await Gateway.start({
    config: config(origin.url, "[{ module: ./busy.ts }, { module: ./waits.ts }, { module: ./throws.ts }]"),
    files: {
      "busy.ts": moduleWith(`return { onRequest() { ${busy} } };`, 'name: "busy", phase: "origin"'),
      "waits.ts": moduleWith("return { onRequest: () => new Promise((done) => setTimeout(done, 30)) };", 'name: "waits", phase: "origin"'),
      "throws.ts": moduleWith('return { onUpstreamRequest() { throw new Error("x"); } };', 'name: "throws", phase: "origin"'),
    },
  });
  for (let i = 0; i < 4; i++) expect((await fetch(gateway.url)).status).toBe(500);
  const page = async (): Promise<string> => String((await gateway.admin("GET", "/metrics")).body);
  await untilAsync("the requests are counted", async () =>
    expect(await page()).toContain('sluice_policy_failures_total{policy="throws"} 4'),
  );
  const text = await page();
  const value = (name: string): number => Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (\\S+)$`, "m").exec(text)?.[1]);
  expect(value('sluice_policy_calls_total{policy="busy"}')).toBeGreaterThanOrEqual(4);
  expect(value('sluice_policy_seconds_total{policy="busy"}')).toBeGreaterThanOrEqual(0.02);
  expect(value('sluice_policy_wait_seconds_total{policy="waits"}')).toBeGreaterThanOrEqual(0.1);
  expect(value('sluice_policy_failures_total{policy="busy"}')).toBe(0);
  expect(text).toMatch(/^sluice_target_in_flight\{.*\} 0$/m);
  expect(origin.requests).toBe(0);
});

test("the watchdog names the policy that holds a worker", async () => {
  await using origin = await Origin.start("origin");
  await using gateway = await Gateway.start({
    config: config(origin.url, "[{ module: ./loop.ts }]", "watchdog: { timeout: 1s, replaceAfter: 0s }\n"),
    files: {
      "loop.ts": moduleWith(
        "return { onRequest() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500); } };",
        'name: "loop", phase: "origin"',
      ),
    },
  });
  const asked = fetch(gateway.url);
  expect(await gateway.said("a worker is blocked: its event loop does not turn")).toMatchObject({ policy: "loop" });
  expect((await asked).status).toBe(200);
});

test("what a policy leaves behind, a timer that throws or a promise that nobody looks at, is told and ends no worker", async () => {
  await using origin = await Origin.start("origin");
  await using gateway = await Gateway.start({
    config: config(origin.url, "[{ module: ./strays.ts }]"),
    files: {
      "strays.ts": moduleWith(
        'return { onRequest() { setTimeout(() => { throw new Error("late"); }); Promise.reject(new Error("lost")); } };',
        'name: "strays", phase: "origin"',
      ),
    },
  });
  for (let i = 0; i < 3; i++) expect((await fetch(gateway.url)).status).toBe(200);
  const strays = (): string[] =>
    gateway
      .lines()
      .map(({ message }) => String(message))
      .filter((each) => each.startsWith("a policy of the user's own failed outside"));
  await until("both are told", () => ["late", "lost"].every((what) => strays().some((each) => each.includes(what))));
  expect((await gateway.admin("GET", "/status")).body).toMatchObject({ workers: [{ restarts: 0 }, { restarts: 0 }] });
});
