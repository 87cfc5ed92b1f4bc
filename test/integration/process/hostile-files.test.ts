// Files that are not what they should be, and surroundings that went away: the gateway goes on with what it has, and says so. Real processes.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { untilAsync } from "../../support/until.ts";

const config = (more = "", text = "here", admin = "127.0.0.1:0") => `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "${admin}" }
routes: [ { name: all, match: { path: /** }, respond: { body: ${text} } } ]
${more}`;

const answer = async (gateway: Gateway): Promise<string> => await (await fetch(`${gateway.url}/x`)).text();
const ready = async (gateway: Gateway): Promise<unknown> => (await gateway.admin("GET", "/readyz")).body;

test("a named pipe among the consumers' files is refused, and the primary goes on with all its work", async () => {
  await using gateway = await Gateway.start({ config: config() });
  const directory = join(gateway.directory, "consumers.d");
  mkdirSync(directory);
  gateway.writeConfig(config("consumersFrom: { directory: consumers.d }"));
  await gateway.said("reloaded");
  expect(spawnSync("mkfifo", [join(directory, "a.yaml")]).status).toBe(0);
  const refused = await gateway.said("reload refused: the old configuration stays in force");
  expect(JSON.stringify(refused)).toContain("it is a named pipe (FIFO), not a regular file");
  expect(await ready(gateway)).toMatchObject({ status: "ready", concerns: [expect.stringContaining("the last reload was refused")] });
  rmSync(join(directory, "a.yaml"));
  await gateway.said("reloaded", 2);
  expect(await ready(gateway)).toMatchObject({ concerns: [] });
  expect(await gateway.stop()).toBe(0);
});

test("while a huge file is read, and when it is refused, the admin listener answers", async () => {
  await using gateway = await Gateway.start({ config: config() });
  gateway.writeConfig(`version: 1\nroutes:\n${"  - { name: a, nope: 1, match: {}, to: nowhere }\n".repeat(10_000)}`);
  let over = false;
  const reload = gateway.admin("POST", "/reload").finally(() => {
    over = true;
  });
  let asked = 0;
  while (!over) {
    expect(await ready(gateway)).toMatchObject({ status: "ready" });
    asked++;
  }
  const { status, body } = await reload;
  expect([status, (body as { problems: unknown[] }).problems.length]).toEqual([422, 201]); // the first 200, and how many more
  expect(asked).toBeGreaterThan(10);
  expect(await answer(gateway)).toBe("here");
});

test("links at any level of the paths, and the file that a link given with `-c` leads to, are followed as they change", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-links-"));
  try {
    for (const release of ["1", "2"]) {
      mkdirSync(join(folder, "releases", release, "etc"), { recursive: true });
      writeFileSync(join(folder, "releases", release, "etc", "sluice.yaml"), config("", `release-${release}`));
    }
    symlinkSync("releases/1", join(folder, "current"));
    symlinkSync("current/etc/sluice.yaml", join(folder, "link.yaml"));
    await using gateway = await Gateway.start({ config: config(), args: ["-c", join(folder, "link.yaml")] });
    const inForce = (text: string): Promise<void> =>
      untilAsync(`${text} is in force`, async () => expect(await answer(gateway)).toBe(text));
    await inForce("release-1");
    writeFileSync(join(folder, "releases", "1", "etc", "sluice.yaml"), config("", "saved-in-place"));
    await inForce("saved-in-place");
    symlinkSync("releases/2", join(folder, "current.new"));
    renameSync(join(folder, "current.new"), join(folder, "current"));
    await inForce("release-2");
    writeFileSync(join(folder, "releases", "2", "etc", "sluice.yaml"), config("", "saved-again"));
    await inForce("saved-again");
    renameSync(join(folder, "releases", "2", "etc"), join(folder, "etc.old"));
    mkdirSync(join(folder, "releases", "2", "etc"));
    writeFileSync(join(folder, "releases", "2", "etc", "sluice.yaml"), config("", "made-anew"));
    await inForce("made-anew");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a primary that dies while somebody else holds the admin port is started again, serves without, and takes the port when it is free", async () => {
  await using gateway = await Gateway.start({ config: config() });
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo; // a TCP server that listens has one
  // The port is one that the next primary will want, and this one does not hold.
  gateway.writeConfig(config("", "here", `127.0.0.1:${port}`));
  await gateway.said("reloaded");
  expect(await ready(gateway)).toMatchObject({ concerns: [expect.stringMatching(/^admin\.address changed and waits for the next start/)] });
  process.kill(gateway.primaryPid, "SIGKILL");
  await gateway.said("ready again");
  const told = await gateway.said("the admin listener is not reachable: serving without it and trying again");
  expect(told).toMatchObject({ level: "error", reason: expect.stringContaining(`127.0.0.1:${port}`) });
  expect(await answer(gateway)).toBe("here");
  await new Promise((resolve) => other.close(resolve));
  await gateway.said("admin listens", 2);
  expect(gateway.adminUrl).toBe(`http://127.0.0.1:${port}`);
  expect(await ready(gateway)).toMatchObject({ status: "ready", concerns: [] });
});

test("a primary that dies when the access log's directory is gone is started again, says so, and writes there when it is back", async () => {
  const logs = mkdtempSync(join(tmpdir(), "sluice-logs-"));
  await using gateway = await Gateway.start({ config: config(`log: { file: ${join(logs, "access.log")} }`) });
  rmSync(logs, { recursive: true });
  process.kill(gateway.primaryPid, "SIGKILL");
  await gateway.said("ready again");
  expect(await answer(gateway)).toBe("here");
  await gateway.said("the access log cannot be written: lines are dropped");
  expect(JSON.stringify(await ready(gateway))).toContain("the access log cannot be written: cannot open the log file");
  mkdirSync(logs);
  await gateway.said("the access log can be written again");
  expect(await answer(gateway)).toBe("here");
});

test("settings that wait for a restart are a concern until they are taken back, which is no warning", async () => {
  await using gateway = await Gateway.start({ config: config() });
  const reload = async (workers: number): Promise<unknown> => {
    gateway.writeConfig(config().replace("workers: 2", `workers: ${workers}`));
    return (await gateway.admin("POST", "/reload")).body;
  };
  expect(await reload(1)).toMatchObject({ warnings: [expect.stringMatching(/^workers changed: .*next start/)] });
  expect(await ready(gateway)).toMatchObject({ concerns: [expect.stringMatching(/^workers changed and waits for the next start/)] });
  expect(await reload(2)).toMatchObject({ warnings: [] });
  expect(await ready(gateway)).toMatchObject({ concerns: [] });
});

test("an upstream of which no target answers its checks, and an open breaker, are concerns while they last", async () => {
  await using origin = await Origin.start("one");
  const text = `
version: 1
workers: 1
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
upstreams:
  users:
    targets: [ { url: "${origin.url}" } ]
    health: { active: { path: /, interval: 50ms, timeout: 1s, healthyAfter: 1, unhealthyAfter: 1 } }
    breaker: {}
routes: [ { name: all, match: { path: /** }, to: users } ]
`;
  await using gateway = await Gateway.start({ config: text });
  expect(await answer(gateway)).toBe("one");
  expect(await ready(gateway)).toMatchObject({ concerns: [] });
  await gateway.admin("POST", "/breakers/users/open");
  expect(await ready(gateway)).toMatchObject({ status: "ready", concerns: ["open circuit breakers: users"] });
  await gateway.admin("POST", "/breakers/users/auto");
  await origin[Symbol.asyncDispose]();
  await gateway.said("target is unhealthy");
  expect(await ready(gateway)).toMatchObject({ status: "ready", concerns: ["no target can be used of upstream users"] });
});
