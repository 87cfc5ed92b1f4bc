// The arguments of `sluice bench`, its bounds, and the rule that load stays on this machine.
import { describe, expect, it } from "vitest";
import { OperatorError } from "../../../../src/base/errors.ts";
import { parseBenchArguments } from "../../../../src/cli/bench/bench-arguments.ts";
import { isLoopback, refuseRemote, remoteHosts } from "../../../../src/cli/bench/loopback.ts";
import { commandHelp } from "../../../../src/cli/commands/help.ts";
import { planOf } from "./plan-of.ts";

describe("parseBenchArguments", () => {
  it("is bounded by default", () => {
    expect(parseBenchArguments([])).toEqual({
      files: ["config/sluice.yaml"],
      urls: [],
      target: null,
      pid: null,
      rate: null,
      connections: 64,
      durationSeconds: 10,
      headers: [],
      body: "",
      allowRemote: false,
      json: false,
    });
  });
  it("takes everything it explains", () => {
    const argv = [
      "-c",
      "a.yaml",
      "--config",
      "b.yaml",
      "--url",
      "/a",
      "--url",
      "POST /b",
      "--rate",
      "100",
      "--connections=8",
      "--duration",
      "3s",
    ];
    const more = [
      "--header",
      "Authorization: Bearer x:y",
      "--body",
      "{}",
      "--target",
      "http://127.0.0.1:8080",
      "--pid",
      "7",
      "--allow-remote",
      "--json",
    ];
    expect(parseBenchArguments([...argv, ...more])).toMatchObject({
      files: ["a.yaml", "b.yaml"],
      urls: ["/a", "POST /b"],
      rate: 100,
      connections: 8,
      durationSeconds: 3,
      headers: ["authorization", "Bearer x:y"],
      body: "{}",
      pid: 7,
      allowRemote: true,
      json: true,
    });
    for (const option of [...argv, ...more].filter((each) => each.startsWith("--")))
      expect(commandHelp("bench")).toContain(option.split("=")[0]);
  });
  it.each<[string[], RegExp]>([
    [["--rate", "0"], /--rate: expected a whole number from 1 to 100000/],
    [["--rate", "1e9"], /--rate/],
    [["--connections", "2001"], /from 1 to 2000/],
    [["--duration", "301"], /from 1 to 300/],
    [["--target", "127.0.0.1:80"], /--target/],
    [["--target", "ftp://127.0.0.1"], /--target/],
    [["--pid", "7"], /--pid goes with --target/],
    [["--header", "no colon"], /--header/],
    [["--header", "a b: c"], /--header/],
    [["--header", "a: b\r\nc: d"], /--header/],
    [["--header", "Content-Length: 5"], /content-length is the generator's own/],
    [["--fast"], /--fast/],
  ])("refuses %j, explaining its options", (argv, message) => {
    const attempt = () => parseBenchArguments(argv);
    expect(attempt).toThrow(OperatorError);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(/`sluice bench --help` explains the arguments$/);
  });
});

describe("loopback", () => {
  it.each(["127.0.0.1", "127.8.9.10", "localhost", "LOCALHOST", "[::1]", "::1"])("%s is this machine", (host) => {
    expect(isLoopback(host)).toBe(true);
  });
  it.each(["10.0.0.1", "0.0.0.0", "localhost.example.com", "127.0.0.1.example.com", "example.com", "[::2]", "", "1270.0.0.1"])(
    "%s is not",
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );

  const plan = planOf(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  near: { targets: [{ url: "http://127.0.0.1:9001" }, { url: "http://localhost:9002" }] }
  far: { targets: [{ url: "http://127.0.0.1:9001" }, { url: "https://api.example.com" }] }
  named: { targets: [{ url: "http+srv://_http._tcp.localhost" }] }
routes:
  - { name: near, match: { path: /near }, to: near }
  - { name: far, match: { path: /far }, to: far }
  - { name: mirrored, match: { path: /mirrored }, to: near, mirror: { upstream: far, percent: 1 } }
  - { name: split, match: { path: /split }, weighted: [{ upstream: near }, { upstream: named }] }
  - { name: answered, match: { path: /answered }, respond: { status: 204 } }
`);
  it.each<[string, readonly string[]]>([
    ["near", []],
    ["far", ["api.example.com"]],
    ["mirrored", ["api.example.com"]],
    ["split", ["http+srv://_http._tcp.localhost"]],
    ["answered", []],
  ])("the load of route %s would reach %j", (route, hosts) => {
    expect(remoteHosts(plan, new Set([route]), null)).toEqual(hosts);
  });
  it("a target elsewhere is refused whatever its routes are, and the message says what to do", () => {
    const hosts = remoteHosts(plan, new Set(["near"]), new URL("http://10.0.0.7:8080"));
    expect(() => refuseRemote(hosts)).toThrow(/10\.0\.0\.7.*--allow-remote/);
    expect(() => refuseRemote([])).not.toThrow();
  });
});
