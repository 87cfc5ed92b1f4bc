// `sluice validate` and `sluice routes`, called as main.ts calls them, on real files.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OperatorError } from "../../../../src/base/errors.ts";
import type { Command } from "../../../../src/cli/command.ts";
import { routesCommand } from "../../../../src/cli/commands/routes.ts";
import { validateCommand } from "../../../../src/cli/commands/validate.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-commands-"));
  writeFileSync(
    join(folder, "good.yaml"),
    `version: 1
listeners: [{ address: 127.0.0.1:8080 }, { address: 127.0.0.1:8081, strict: true }]
upstreams:
  users: { targets: [{ url: http://a }, { url: http://b }] }
  next: { targets: [{ url: http://c }] }
  spare: { targets: [{ url: http://d }] }
routes:
  - { name: all, match: {}, to: users }
  - name: canary
    match: { hosts: [api.example.com], path: "/u/{id}", methods: [GET], headers: { x-v: "2", x-a: { present: true } }, query: { q: { prefix: a } }, client: mobile }
    weighted: [{ upstream: users, weight: 2 }, { upstream: next }]
    mirror: { upstream: next, percent: 10 }
    cors: { origins: ["*"] }
  - { name: gone, match: { path: /gone }, respond: { status: 410 } }
`,
  );
  writeFileSync(join(folder, "bad.yaml"), "version: 1\nlisteners: [{ address: 127.0.0.1 }]\nroutes: [{ name: a, match: {}, to: b }]\n");
  writeFileSync(
    join(folder, "fleet.yaml"),
    `version: 1
listeners: [{ address: 127.0.0.1:8080 }]
redis: { url: redis://:password@10.0.0.7 }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
tiers: { gold: { rate: 1000/s, burst: 2000, quota: 1000000/day } }
consumers: [{ id: a, tier: gold, keys: ["sha256:6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090"] }]
upstreams: { users: { targets: [{ url: http://a }] } }
routes:
  - name: a
    match: { path: /a }
    to: users
    auth: keys
    rateLimit:
      - { per: ip, rate: 3/s, burst: 3, mode: fleet }
      - { name: shared, per: route, rate: 60/min, burst: 5, cost: 5, mode: fleet }
      - { per: consumer, tier: true, rate: 10/s, mode: fleet }
      - { per: ip, rate: 1/s, mode: strict }
      - { per: ip, rate: 7/s }
  - { name: b, auth: none, match: { path: /b }, to: users, rateLimit: [{ per: gateway, quota: 500/month, mode: fleet }] }
`,
  );
  writeFileSync(
    join(folder, "versions.yaml"),
    `version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { users: { targets: [{ url: http://a }] } }
clients: { app: { headers: { x-app: "1" } }, bot: { userAgent: "*crawler*" } }
versioning: { from: [path, accept, header, query], path: "/api/v{version}", default: 1 }
routes:
  - { name: new, match: { path: /api/u, version: [2, 3], client: app }, to: users }
  - { name: old, match: { path: /api/u, version: 1 }, deprecation: { since: 2026-03-01 }, to: users }
  - { name: crawled, match: { path: /**, client: bot }, to: users }
`,
  );
  writeFileSync(
    join(folder, "sets.yaml"),
    `version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { users: { targets: [{ url: http://a }] } }
defaults: { headers: { request: { remove: [x-a] } } }
policySets:
  closed: { headers: { request: { set: { x-a: "1" } } } }
  open: { cors: { origins: ["*"] } }
routes: [{ name: a, match: {}, use: [closed, open], to: users, timeouts: { total: 1s } }]
`,
  );
  writeFileSync(join(folder, "size.yaml"), "redis: { fleetSize: 5, syncInterval: 1s }\n");
  writeFileSync(join(folder, "consumers.yaml"), "redis: { prefix: eu-1 }\nconsumersFrom: { redis: { every: 30s } }\n");
  writeFileSync(join(folder, "over.yaml"), "listeners: [{ address: 127.0.0.1:9 }]\n");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function* noInput(): AsyncGenerator<Uint8Array> {}

async function run(command: Command, ...names: string[]) {
  let stdout = "";
  let stderr = "";
  const io = { stdout: (text: string) => void (stdout += text), stderr: (text: string) => void (stderr += text), env: {}, stdin: noInput };
  const code = await command(
    names.flatMap((name) => (name.startsWith("--") ? [name] : ["-c", join(folder, name)])),
    io,
  );
  return { code, stdout: stdout.replaceAll(`${folder}/`, ""), stderr: stderr.replaceAll(`${folder}/`, "") };
}

describe("validate", () => {
  it("prints what limits of a fleet may admit too much", async () => {
    const { stdout, stderr } = await run(validateCommand, "fleet.yaml");
    expect(stdout.split("2 routes, 1 upstream with 1 target\n")[1]).toBe(`redis: 10.0.0.7:6379, every 100ms
limits of the fleet, and what they may admit at worst beyond burst + rate x time, with 2 / 4 / 8 instances:
  a, ip: 3/s burst 3, fleet: 8 / 8 / 16
  a, shared: 60/min burst 5, fleet: 20 / 40 / 80
  a, consumer: tier gold, 1000/s burst 2000, fleet: 4000 / 4000 / 4000
  a, consumer: tier gold, quota 1000000/day, fleet: what was left two intervals before its end, and 4 / 8 / 16
  a, consumer: 10/s burst 10, fleet: 20 / 24 / 32
  a, ip-2: 1/s burst 1, strict: nothing
  b, gateway: quota 500/month, fleet: what was left two intervals before its end, and 4 / 8 / 16
`);
    expect(stderr).toBe("");
    expect((await run(validateCommand, "fleet.yaml", "size.yaml")).stdout).toContain(
      "with 5 instances:\n  a, ip: 3/s burst 3, fleet: 30\n",
    );
  });

  it("says where consumers of Redis are looked for, and that they are not checked", async () => {
    expect((await run(validateCommand, "fleet.yaml", "consumers.yaml")).stdout.split("\n").at(-2)).toBe(
      "consumers from Redis: eu-1:consumers, looked at every 30s; they count once {eu-1:consumers}:version is there, and are checked by the running gateway, not here",
    );
    expect((await run(validateCommand, "fleet.yaml")).stdout).not.toContain("consumers from Redis");
  });

  it("sums up a good configuration and warns", async () => {
    expect(await run(validateCommand, "good.yaml")).toEqual({
      code: 0,
      stdout: `good.yaml: valid
listeners:
  127.0.0.1:8080: engine uws, the default for plain HTTP/1.1
  127.0.0.1:8081: engine net, \`strict: true\`, which is written \`engine: net\` now
3 routes, 3 upstreams with 4 targets
`,
      stderr: "warning: good.yaml:6:10: upstreams.spare: no route uses this upstream; remove it, or send a route there\n",
    });
  });
  it("says which types of clients there are, and where versions are named", async () => {
    expect((await run(validateCommand, "versions.yaml")).stdout.split("\n").slice(4)).toEqual([
      "client types: app, bot, else a guess: mobile, desktop",
      "versions: 1, 2, 3, from the path /api/v{version}, the header api-version, accept (parameter version, vnd.*), the query parameter api-version; default 1",
      "",
    ]);
  });
  it("prints every mistake and fails", async () => {
    expect(await run(validateCommand, "bad.yaml")).toEqual({
      code: 1,
      stdout: "",
      stderr: `bad.yaml:2:24: listeners[0].address: expected host:port, [IPv6]:port or unix:/absolute/path; add the port: \`127.0.0.1:8080\`
bad.yaml:3:36: routes[0].to: there is no upstream named b; there are no upstreams
2 errors in bad.yaml
`,
    });
  });
  it("lays files over each other", async () => {
    const { code, stdout } = await run(validateCommand, "good.yaml", "over.yaml");
    expect([code, stdout.split("\n").slice(0, 3)]).toEqual([
      0,
      ["good.yaml, over.yaml: valid", "listeners:", "  127.0.0.1:9: engine uws, the default for plain HTTP/1.1"],
    ]);
  });
  it("a file that is not there is one clear line", async () => {
    expect(await run(validateCommand, "none.yaml")).toEqual({
      code: 1,
      stdout: "",
      stderr: "none.yaml:1:1: can't read the configuration: there is no such file; check the path after -c\n1 error in none.yaml\n",
    });
  });
  it("says where each setting of each route comes from", async () => {
    const { stdout } = await run(validateCommand, "sets.yaml", "--sources");
    expect(stdout.split("1 route, 1 upstream with 1 target\n")[1]).toBe(`route a uses closed, open
  headers.request.remove   defaults           sets.yaml:4:43
  headers.request.set.x-a  policySets.closed  sets.yaml:6:47
  cors.origins             policySets.open    sets.yaml:7:28
  timeouts.total           route              sets.yaml:8:83
`);
    const json: unknown = JSON.parse((await run(validateCommand, "sets.yaml", "--sources", "--json")).stdout);
    expect(json).toMatchObject({
      valid: true,
      settings: [
        {
          route: "a",
          use: ["closed", "open"],
          settings: expect.arrayContaining([
            expect.objectContaining({ path: "cors.origins", from: "policySets.open", line: 7, column: 28 }),
          ]),
        },
      ],
    });
    expect(JSON.parse((await run(validateCommand, "sets.yaml", "--json")).stdout)).not.toHaveProperty("settings");
  });
  it("refuses what it does not know", async () => {
    const io = { stdout: () => {}, stderr: () => {}, env: {}, stdin: noInput };
    const attempt = validateCommand(["--fast"], io);
    await expect(attempt).rejects.toThrow(OperatorError);
    await expect(attempt).rejects.toMatchObject({
      exitCode: 2,
      message: "unknown option '--fast'\n`sluice validate --help` explains the arguments",
    });
  });
});

describe("routes", () => {
  it("marks policies that come from below the route with the layers that they come from", async () => {
    expect((await run(routesCommand, "sets.yaml")).stdout.split("\n")[1]).toMatch(/ users {2}cors@open,headers@defaults\+closed$/);
  });
  it("prints the table in match order, aligned", async () => {
    const { code, stdout } = await run(routesCommand, "good.yaml");
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
      ["#", "NAME", "HOST", "PATH", "METHODS", "CONDITIONS", "TO", "POLICIES"],
      [
        "0",
        "canary",
        "api.example.com",
        "/u/{id}",
        "GET",
        "x-v=2 x-a ?q^=a client mobile",
        "users 66.7%, next 33.3% (mirror next 10%)",
        "cors",
      ],
      ["1", "gone", "*", "/gone", "*", "-", "(respond)", "-"],
      ["2", "all", "*", "/**", "*", "-", "users", "-"],
    ]);
    const starts = (line: string) => [...line.matchAll(/(?<=^| {2})\S/g)].map((match) => match.index);
    expect(new Set(lines.map((line) => starts(line).join())).size).toBe(1);
  });
  it("prints client types and versions among the conditions, and that a route is deprecated", async () => {
    const { stdout } = await run(routesCommand, "versions.yaml");
    const cells = stdout.split("\n").map((line) => line.split(/ {2,}/));
    expect(cells.slice(1, 4).map((line) => [line[1], line[5], line[7]])).toEqual([
      ["new", "client app version 2,3", "-"],
      ["old", "version 1", "deprecation"],
      ["crawled", "client bot", "-"],
    ]);
  });
  it("names the upstream of the service that authorizes a route's requests", async () => {
    writeFileSync(
      join(folder, "forward-auth.yaml"),
      `version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { users: { targets: [{ url: http://a }] } }
routes: [{ name: shop, match: {}, forwardAuth: { url: http://auth/verify }, to: users }]
`,
    );
    expect((await run(routesCommand, "forward-auth.yaml")).stdout).toMatch(/ users +forwardAuth \(forwardAuth:shop\)$/m);
    expect((await run(validateCommand, "forward-auth.yaml")).stdout).toContain("1 route, 2 upstreams with 2 targets\n");
  });
  it("prints mistakes and fails", async () => {
    const { code, stdout, stderr } = await run(routesCommand, "bad.yaml");
    expect([code, stdout, stderr.split("\n").length]).toEqual([1, "", 3]);
  });
});
