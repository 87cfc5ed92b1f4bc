// Every row of docs/porting.md against running gateways, on both engines: what a route takes, what the service gets, what the client gets.
// Cases that have settings of the whole instance have a gateway each; all others share one.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { dump } from "js-yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bothListeners, ENGINES } from "../../support/both-engines.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient, type RawResponse } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { RecordingService } from "../../support/recording-service.ts";
import { until } from "../../support/until.ts";
import { CALLERS, CONSUMERS, FILES } from "./callers.ts";
import { CASES } from "./cases.ts";
import { type Ask, hostOf, ownPart, type PortingCase, together } from "./porting-case.ts";

const SHARED = CASES.filter(({ alone, asks }) => alone === undefined && asks.length > 0);
const ALONE = CASES.filter(({ alone }) => alone === true);

let folder = "";
let tls = { cert: "", key: "" };
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-porting-"));
  const files = makeCertificate(folder, "service", ["127.0.0.1"]);
  tls = { cert: fs.readFileSync(files.cert, "utf8"), key: fs.readFileSync(files.key, "utf8") };
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** The services of a case, and what its names end in. */
class Stage implements AsyncDisposable {
  readonly each: PortingCase;
  readonly id: string;
  readonly services: readonly RecordingService[];

  private constructor(each: PortingCase, id: string, services: readonly RecordingService[]) {
    this.each = each;
    this.id = id;
    this.services = services;
  }

  static async of(each: PortingCase, id: string): Promise<Stage> {
    const secure = each.config.includes("ORIGIN3") ? [await RecordingService.start(tls)] : [];
    return new Stage(each, id, [await RecordingService.start(), await RecordingService.start(), ...secure]);
  }

  get part(): Record<string, unknown> {
    return ownPart(
      this.each,
      this.id,
      this.services.map(({ url }) => url),
    );
  }

  service(number: 1 | 2): RecordingService {
    const service = this.services[number - 1];
    if (service === undefined) throw new Error(`no service ${number}`);
    return service;
  }

  /** Sends the requests in order and holds what comes of each to what is written. */
  async prove(gateway: Gateway, listener: number): Promise<void> {
    const port = Number(new URL(gateway.urls[listener] ?? "").port);
    for (const ask of this.each.asks) if ((ask.listener ?? listener) === listener) await this.#prove(port, ask);
    const [first, second] = [this.service(1), this.service(2)];
    await until("what the services get besides", () => this.each.eventually?.(first, second) ?? true, 20_000);
  }

  async #prove(port: number, ask: Ask): Promise<void> {
    const service = this.service(ask.by ?? 1);
    const before = this.services.map(({ requests }) => requests.length);
    service.statuses.splice(0, Infinity, ...(ask.statuses ?? []));
    const response = await this.#send(port, ask, service);
    service.statuses.splice(0);
    const status = response?.status ?? 0;
    expect([ask.send, status, status === ask.status ? "" : response?.body.toString().slice(0, 300)]).toEqual([ask.send, ask.status, ""]);
    const got = service.requests.slice(before[(ask.by ?? 1) - 1]).filter(({ target }) => target !== "/status");
    if (ask.served !== undefined) expect([ask.send, lineOf(got.at(-1))]).toEqual([ask.send, this.#own(ask.served)]);
    for (const [name, value] of Object.entries(ask.sent ?? {})) this.#holdTo(ask, name, got.at(-1)?.headers[name], value);
    for (const [name, value] of Object.entries(ask.answer ?? {}))
      this.#holdTo(ask, name, response === null ? undefined : valuesOf(response, name).join(", ") || undefined, value);
    if (ask.text !== undefined) expect(response?.body.toString()).toMatch(ask.text);
    if (ask.copy !== undefined) await until(`a copy of ${ask.send}`, () => lineOf(this.service(2).requests.at(-1)) === ask.copy);
  }

  #holdTo(ask: Ask, name: string, got: string | readonly string[] | undefined, wanted: string | RegExp | null): void {
    const value = got === undefined ? null : String(got);
    if (wanted instanceof RegExp) expect([ask.send, name, value]).toEqual([ask.send, name, expect.stringMatching(wanted)]);
    else expect([ask.send, name, value]).toEqual([ask.send, name, this.#own(wanted)]);
  }

  #own<T extends string | null>(text: T): T {
    return (text === null ? null : text.replaceAll("@", this.id)) as T; // a text stays one
  }

  /** @returns null when the connection was closed instead */
  async #send(port: number, ask: Ask, service: RecordingService): Promise<RawResponse | null> {
    const [, method = "", host = "", target = ""] = /^(\S+) ([^/ ]*)(\S+)$/.exec(this.#own(ask.send)) ?? [];
    const length = ask.body === undefined ? [] : [`Content-Length: ${ask.body.length}`];
    const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host || hostOf(this.id)}`, ...length, ...(ask.fields ?? [])];
    await using client = await RawClient.connect(port);
    const gate = ask.held || ask.meanwhile !== undefined ? Promise.withResolvers<void>() : null;
    service.hold = gate?.promise ?? null;
    const before = service.requests.length;
    if (ask.prologue !== undefined) client.send(ask.prologue);
    client.send(`${lines.join("\r\n")}\r\n\r\n${ask.body ?? ""}`);
    try {
      if (ask.meanwhile !== undefined) {
        await until(`${ask.send} is at the service`, () => service.requests.length > before);
        await using second = await RawClient.connect(port);
        const [, other = ""] = ask.meanwhile.send.split(" ");
        second.send(`GET ${other} HTTP/1.1\r\nHost: ${hostOf(this.id)}\r\n\r\n`);
        const refused = await second.response();
        expect([ask.meanwhile.send, refused.status]).toEqual([ask.meanwhile.send, ask.meanwhile.status]);
        if (ask.meanwhile.text !== undefined) expect(refused.body.toString()).toMatch(ask.meanwhile.text);
        gate?.resolve();
      }
      if (ask.status === 0) {
        await client.closes();
        return null;
      }
      return await client.response(method === "HEAD");
    } finally {
      gate?.resolve();
      service.hold = null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of this.services) await service[Symbol.asyncDispose]();
  }
}

const lineOf = (request: { readonly method: string; readonly target: string } | undefined): string | null =>
  request === undefined ? null : `${request.method} ${request.target}`;

const start = (parts: readonly Record<string, unknown>[], listeners?: string): Promise<Gateway> =>
  Gateway.start({
    config: `${listeners === undefined ? bothListeners : `version: 1\nworkers: 1\nadmin: false\nlisteners: ${listeners}\n`}${dump(together(parts))}`,
    files: FILES,
    env: { JWT_SECRET: CALLERS.jwtSecret },
  });

describe("in one gateway", () => {
  let gateway: Gateway;
  const stages = new Map<PortingCase, Stage>();

  beforeAll(async () => {
    for (const [i, each] of SHARED.entries()) stages.set(each, await Stage.of(each, `-n${i}`));
    gateway = await start([{ consumers: CONSUMERS }, ...[...stages.values()].map(({ part }) => part)]);
  });
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    for (const stage of stages.values()) await stage[Symbol.asyncDispose]();
  });

  describe.each(ENGINES)("%s", (engine) => {
    it.each(SHARED.filter(({ once }) => engine === "uws" || once === undefined))("$here", async (each) => {
      await stages.get(each)?.prove(gateway, ENGINES.indexOf(engine));
    });
  });
});

describe("in gateways of their own", () => {
  it.each(ALONE)("$here", async (each) => {
    await using stage = await Stage.of(each, "-own");
    await using gateway = await start([{ consumers: CONSUMERS }, stage.part], each.listeners);
    for (const i of gateway.urls.keys()) await stage.prove(gateway, i);
  });
});
