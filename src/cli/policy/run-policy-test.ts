// Owns `sluice policy test`: a gateway with one route that has the policy, the requests of a test through it, and what of it is not as expected.
import { hash, randomBytes } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { compilePlan } from "../../control/config/compile/compile.ts";
import { loadConfig } from "../../control/config/load.ts";
import { keyPositionAt, type LocatedMap, positionAt } from "../../control/config/source/located.ts";
import { NOT_PIPED } from "../../control/config/source/piped.ts";
import { type ConfigProblem, formatProblem, type PathPart } from "../../control/config/source/problem.ts";
import { BenchGateway } from "../bench/bench-gateway.ts";
import type { CommandIo } from "../command.ts";
import { type Answered, differences } from "./policy-differences.ts";
import { MAIN_UPSTREAM, type PolicyCase, type PolicyTest, readPolicyTest } from "./policy-test-file.ts";
import { TestUpstreams } from "./test-upstream.ts";

/** Longest wait (ms) for one answer. */
const ANSWER_MS_MAX = 30_000;
const KEY_HEADER = "x-sluice-test-key";

interface Run {
  /** The program to run as a gateway: main.js or main.ts. */
  readonly entry: string;
  readonly io: CommandIo;
}

/** @returns how many cases were not as expected, 1 for a test that cannot be run */
export async function runPolicyTest(file: string, { entry, io }: Run): Promise<number> {
  const read = readPolicyTest(file, io.env);
  const refuse = (problems: readonly ConfigProblem[]): number => {
    for (const problem of problems) io.stderr(`${formatProblem(problem)}\n`);
    return 1;
  };
  if (!read.ok) return refuse(read.problems);
  const { test, root } = read;
  await using upstreams = new TestUpstreams();
  const urls = await upstreams.start([MAIN_UPSTREAM, ...test.upstreams]);
  const callers = new Map(
    test.cases.flatMap(({ request: { caller } }) => (caller === undefined ? [] : [[JSON.stringify(caller), caller]])),
  );
  const keys = new Map([...callers.keys()].map((caller) => [caller, `slk_${randomBytes(16).toString("hex")}`]));
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-policy-test-"));
  try {
    const config = path.join(directory, "policy-test.yaml");
    fs.writeFileSync(config, JSON.stringify(configOf(test, path.dirname(file), { urls, keys })));
    const loaded = loadConfig({ files: [config], env: {} });
    if (!loaded.ok) return refuse(loaded.problems.map((problem) => inTest(problem, root)));
    const plan = compilePlan(loaded.config, { version: 1, metricSlot: () => 0 });
    await using gateway = await BenchGateway.start(plan, { files: [config], piped: NOT_PIPED }, entry);
    let failed = 0;
    for (const each of test.cases) {
      upstreams.answer = each.upstream;
      upstreams.asked.length = 0;
      const said = gateway.logBytes;
      const answered = await ask(gateway.url, each, keys.get(JSON.stringify(each.request.caller)) ?? null);
      const wrong = differences(each.expect, answered, upstreams.asked);
      if (wrong.length > 0) failed++;
      io.stdout(`${wrong.length === 0 ? "ok" : "not ok"}  ${each.name}\n${wrong.map((line) => `        ${line}\n`).join("")}`);
      if (wrong.length > 0) io.stdout(gateway.logSince(said).replace(/^(?=.)/gm, "        gateway: "));
    }
    io.stdout(`${file}: ${test.cases.length - failed} of ${test.cases.length} as expected\n`);
    return failed;
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** One route for requests without a caller, one for those with. */
function configOf(
  { module, with: settings, path: pattern, upstreams }: PolicyTest,
  directory: string,
  {
    urls,
    keys,
  }: { readonly urls: Readonly<Record<string, string>> /** Of each caller, as JSON. */; readonly keys: ReadonlyMap<string, string> },
): object {
  const policies = [
    { module: path.resolve(directory, module), ...(settings === undefined ? {} : { with: absolute(settings, directory) }) },
  ];
  const consumers = [...keys].map(([caller, key]) => {
    const { consumer, ...rest } = JSON.parse(caller) as { readonly consumer: string }; // a case's caller
    return { id: consumer, ...rest, keys: [`sha256:${hash("sha256", key)}`] };
  });
  return {
    version: 1,
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 1,
    upstreams: Object.fromEntries(
      [MAIN_UPSTREAM, ...upstreams].map((name) => [
        name,
        { targets: [{ url: urls[name] }], retry: { attempts: 0 }, health: { passive: false } },
      ]),
    ),
    ...(keys.size === 0 ? {} : { auth: { test: { apiKey: { in: "header", name: KEY_HEADER } } }, consumers }),
    routes: [
      { name: "policy", match: { path: pattern }, ...(keys.size === 0 ? {} : { auth: "none" }), to: MAIN_UPSTREAM, policies },
      ...(keys.size === 0
        ? []
        : [
            {
              name: "policy-with-caller",
              match: { path: pattern, headers: { [KEY_HEADER]: { present: true } } },
              auth: "test",
              to: MAIN_UPSTREAM,
              policies,
            },
          ]),
    ],
  };
}

/** Files of secrets are relative to the test. */
function absolute(settings: unknown, directory: string): unknown {
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) return settings;
  const entries = Object.entries(settings).map(([key, value]) => [
    key,
    typeof value === "string" && value.startsWith("file:") ? `file:${path.resolve(directory, value.slice("file:".length))}` : value,
  ]);
  return Object.fromEntries(entries);
}

/** What is wrong with the configuration that was made of a test stands in the test. */
function inTest(problem: ConfigProblem, root: LocatedMap): ConfigProblem {
  const below = /^routes\[\d+\]\.policies\[0\]\.?(.*)$/.exec(problem.path)?.[1];
  if (below === undefined) return problem;
  const parts = [...below.matchAll(/\[(\d+)\]|\["([^"]+)"\]|([\w-]+)/g)].map(
    ([, index, quoted, key]): PathPart => (index === undefined ? (quoted ?? key ?? "") : Number(index)),
  );
  const place = problem.message.startsWith("unknown key") ? keyPositionAt : positionAt;
  const isGenerated = problem.at.file.endsWith("policy-test.yaml");
  return { ...problem, path: below, at: isGenerated ? place(root, parts) : problem.at };
}

function ask(gateway: URL, { request: { method, url, headers, body } }: PolicyCase, key: string | null): Promise<Answered> {
  const target = new URL(url, "http://policy.test");
  const host = url.startsWith("/") ? {} : { host: target.host };
  return new Promise((resolve, reject) => {
    const sent = http.request(
      {
        host: gateway.hostname,
        port: gateway.port,
        method,
        path: url.startsWith("/") ? url : target.pathname + target.search,
        headers: { ...host, ...headers, ...(key === null ? {} : { [KEY_HEADER]: key }) },
        timeout: ANSWER_MS_MAX,
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", reject).on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      },
    );
    sent.on("timeout", () => sent.destroy(new Error(`no answer within ${ANSWER_MS_MAX / 1000} s`)));
    sent.on("error", (error) => resolve({ status: 0, headers: {}, body: error.message }));
    sent.end(body);
  });
}
