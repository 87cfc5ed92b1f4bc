// A process that may open few files: it takes as many connections as it has files for, closes the others at once, and says so.
import { execFileSync } from "node:child_process";
import net from "node:net";
import { expect, test } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { until } from "../../support/until.ts";

const FILES = 200;
/** FILES without the gateway's own (64 + 16 + 1) and the pool's four. */
const FITTING = 115;
const CLIENTS = 150;

/** A connection that asks once and stays. */
class Client {
  answered = false;
  closed = false;
  readonly socket: net.Socket;

  constructor(port: number) {
    this.socket = net.connect(port, "127.0.0.1", () => this.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    this.socket.on("data", () => {
      this.answered = true;
    });
    this.socket.on("error", () => {}); // "close" follows
    this.socket.on("close", () => {
      this.closed = true;
    });
  }
}

test.each(["", ", engine: net"])(
  "few files, listener {%s}: as many clients as there is room for, the others are closed at once",
  async (listener) => {
    await using origin = await Origin.start("one");
    const config = `version: 1
workers: 1
listeners: [ { address: "127.0.0.1:0"${listener} } ]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${origin.url}" } ], pool: { connections: 4 } } }
routes: [ { name: all, match: { path: /** }, to: origin } ]
`;
    await using gateway = await Gateway.start({ config });
    // The limit is inherited: the supervisor's next primary has it.
    execFileSync("prlimit", ["--pid", String(gateway.pid), `--nofile=${FILES}:${FILES}`]);
    process.kill(gateway.primaryPid, "SIGKILL");
    await gateway.said("ready again");
    const warnings = () => gateway.lines().filter((line) => line.message?.includes(`may open ${FILES} files only`));
    expect(warnings()).toMatchObject([{ level: "warn", message: expect.stringContaining(`at most ${FITTING} connections are taken`) }]);

    const clients = Array.from({ length: CLIENTS }, () => new Client(gateway.port));
    await until("every client is answered or closed", () => clients.every((each) => each.answered || each.closed), 15_000);
    const held = clients.filter((each) => !each.closed);
    expect(held.length).toBe(FITTING);
    expect(held.every((each) => each.answered)).toBe(true);

    for (const each of clients) each.socket.destroy();
    const later = async (): Promise<boolean> =>
      (await fetch(gateway.url, { headers: { connection: "close" } }).catch(() => null))?.ok ?? false;
    let served = false;
    void (async () => {
      while (!served) served = await later();
    })();
    await until("there is room again", () => served, 10_000);
  },
);
