// The examples of docs/porting.md as whole files: each runs as it is, with its listeners and targets moved to this machine by an overlay, and is asked what
// the constructs in it are for: open, guarded and blocked places, prefixes, hosts, listeners, expressions, allow-lists, what services and clients get.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import { dump, load } from "js-yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { signingKey, token } from "../../support/jwt.ts";
import { KeyServer } from "../../support/key-server.ts";
import { RecordingService } from "../../support/recording-service.ts";

const CONFIG = path.join(import.meta.dirname, "../../../config");
type Map = Record<string, unknown>;

let folder = "";
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-porting-"));
  makeCertificate(folder, "shop", ["shop.example"]);
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

interface Request {
  readonly method?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly listener?: number;
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** The upstream that was asked, with method and target as it got them; '' when none was. */
  readonly served: string;
  /** What it got. */
  readonly sent: http.IncomingHttpHeaders;
}

/** A listener of an example, on a free port of loopback and with a certificate that is there. */
function onThisMachine(listener: Map): Map {
  const tls = { certificates: [{ cert: path.join(folder, "shop.pem"), key: path.join(folder, "shop.key") }] };
  return { ...listener, address: "127.0.0.1:0", ...("tls" in listener ? { tls } : {}) };
}

/** An example that runs. */
class Running implements AsyncDisposable {
  readonly #gateway: Gateway;
  readonly #services: ReadonlyMap<string, RecordingService>;

  private constructor(gateway: Gateway, services: ReadonlyMap<string, RecordingService>) {
    this.#gateway = gateway;
    this.#services = services;
  }

  /** @param over more of the overlay */
  static async start(name: string, over: Map = {}): Promise<Running> {
    const text = fs.readFileSync(path.join(CONFIG, name), "utf8");
    const config = load(text) as { readonly listeners: readonly Map[]; readonly upstreams: Map }; // an example loads, which another test holds
    const services = new Map<string, RecordingService>();
    for (const upstream of Object.keys(config.upstreams)) services.set(upstream, await RecordingService.start());
    const overlay = {
      workers: 1,
      listeners: config.listeners.map((listener) => onThisMachine(listener)),
      upstreams: Object.fromEntries([...services].map(([upstream, { url }]) => [upstream, { targets: [{ url }] }])),
      ...over,
    };
    const above = path.join(folder, name);
    fs.writeFileSync(above, dump(overlay));
    const files = { "legacy.htpasswd": fs.readFileSync(path.join(CONFIG, "legacy.htpasswd")) };
    return new Running(await Gateway.start({ config: `${text}admin: false\n`, files, args: ["-c", above] }), services);
  }

  service(name: string): RecordingService {
    const service = this.#services.get(name);
    if (service === undefined) throw new Error(`no service ${name}`);
    return service;
  }

  async ask(
    target: string,
    { method = "GET", host = "any.example", headers = {}, body = "", listener = 0 }: Request = {},
  ): Promise<Answer> {
    const before = new Map([...this.#services].map(([name, { requests }]) => [name, requests.length]));
    const { protocol, port } = new URL(this.#gateway.urls[listener] ?? "");
    const answer = await new Promise<Pick<Answer, "status" | "headers" | "body">>((resolve, reject) => {
      const options = { host: "127.0.0.1", port, path: target, method, headers: { host, ...headers }, rejectUnauthorized: false };
      const request = (protocol === "https:" ? https : http).request({ ...options, servername: "shop.example" }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      });
      request.on("error", reject);
      request.end(body);
    });
    const [name, got] = [...this.#services]
      .map(([each, { requests }]) => [each, requests.slice(before.get(each))] as const)
      .find(([, list]) => list.length > 0) ?? ["", []];
    const last = got.at(-1);
    return { ...answer, served: last === undefined ? "" : `${name} ${last.method} ${last.target}`, sent: last?.headers ?? {} };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gateway[Symbol.asyncDispose]();
    for (const service of this.#services.values()) await service[Symbol.asyncDispose]();
  }
}

describe("config/porting-keys.yaml", () => {
  let running: Running;
  beforeAll(async () => {
    running = await Running.start("porting-keys.yaml");
  });
  afterAll(() => running[Symbol.asyncDispose]());
  const anon = { apikey: "demo-anon-key" };
  const service = { apikey: "demo-service-key" };

  it("open places need no key, and lose the prefix where they have it", async () => {
    expect((await running.ask("/auth/v1/verify?token=1")).served).toBe("accounts GET /verify?token=1");
    expect((await running.ask("/auth/v1/keys.json")).served).toBe("accounts GET /keys.json");
    expect((await running.ask("/.well-known/auth-server")).served).toBe("accounts GET /.well-known/auth-server");
  });

  it("all others of the same service need one, in either place but not in both", async () => {
    expect((await running.ask("/auth/v1/user")).status).toBe(401);
    expect((await running.ask("/auth/v1/user", { headers: anon })).served).toBe("accounts GET /user");
    expect((await running.ask("/auth/v1/user?apikey=demo-anon-key")).served).toBe("accounts GET /user?apikey=demo-anon-key");
    expect((await running.ask("/auth/v1/user?apikey=demo-anon-key", { headers: anon })).status).toBe(401);
  });

  it("services get the key where they look for it, and a token of the user's own instead", async () => {
    expect((await running.ask("/rest/v1/todos", { headers: anon })).sent).toMatchObject({
      authorization: "demo-anon-key",
      apikey: "demo-anon-key",
    });
    expect((await running.ask("/rest/v1/todos", { headers: { ...anon, authorization: "Bearer user" } })).sent.authorization).toBe(
      "Bearer user",
    );
    expect((await running.ask("/files/v1/signed?token=x")).sent.authorization).toBeUndefined();
  });

  it("a prefix becomes another one, and a header is added only where there is none", async () => {
    const graph = await running.ask("/graph/v1", { method: "POST", headers: anon, body: "{}" });
    expect([graph.served, graph.sent["content-profile"]]).toEqual(["data POST /rpc/graph", "public"]);
    const own = await running.ask("/graph/v1", { method: "POST", headers: { ...anon, "content-profile": "mine" }, body: "{}" });
    expect(own.sent["content-profile"]).toBe("mine");
    expect((await running.ask("/events/v1/feed?apikey=demo-anon-key")).sent["x-api-key"]).toBe("demo-anon-key");
  });

  it("what is blocked stays so, whoever asks", async () => {
    const blocked = await running.ask("/events/v1/api/tenants/1", { headers: service });
    expect([blocked.status, blocked.body, blocked.served]).toEqual([403, '{"message":"Access is forbidden."}', ""]);
    expect((await running.ask("/events/v1/x/../api/tenants/1", { headers: service })).status).toBe(403);
  });

  it("groups decide, and passwords of an htpasswd file open the rest", async () => {
    expect((await running.ask("/meta/tables", { headers: anon })).status).toBe(403);
    expect((await running.ask("/meta/tables", { headers: service })).served).toBe("data GET /tables");
    expect((await running.ask("/project/1")).status).toBe(401);
    const ben = `Basic ${Buffer.from("ben:myPassword").toString("base64")}`;
    const studio = await running.ask("/project/1", { headers: { authorization: ben } });
    expect([studio.served, studio.sent.authorization, studio.sent["x-consumer-id"]]).toEqual(["studio GET /project/1", undefined, "ben"]);
  });
});

describe("config/porting-site.yaml", () => {
  const [PLAIN, PUBLIC, METRICS] = [0, 1, 2];
  const host = "shop.example";
  let running: Running;
  beforeAll(async () => {
    running = await Running.start("porting-site.yaml", { trustedProxies: ["10.0.0.0/8", "127.0.0.1"] });
  });
  afterAll(() => running[Symbol.asyncDispose]());

  it("plain HTTP only redirects", async () => {
    const { status, headers, served } = await running.ask("/x?y=1", { host, listener: PLAIN });
    expect([status, headers.location, served]).toEqual([308, "https://shop.example:8443/x?y=1", ""]);
  });

  it("expressions, prefixes and the rest go where they belong, whatever stands first", async () => {
    const served = async (target: string) => (await running.ask(target, { host, listener: PUBLIC })).served;
    expect(await served("/api/store/")).toBe("ingest GET /api/store/");
    expect(await served("/api/42/envelope/")).toBe("ingest GET /api/42/envelope/");
    expect(await served("/api/042/envelope/")).toBe("web GET /api/042/envelope/");
    expect(await served("/api/0/relays/x")).toBe("ingest GET /api/0/relays/x");
    expect(await served("/api/0/projects/")).toBe("web GET /api/0/projects/");
    expect(await served("/_assets/app.js")).toBe("web GET /_static/dist/app.js");
    expect(await served("/_assets/..%2fapi/42/x")).toBe("");
  });

  it("services get the client's Host and the address that the balancers name", async () => {
    const headers = { "x-forwarded-for": "192.0.2.1, 203.0.113.9, 10.0.0.1" };
    const { sent } = await running.ask("/", { host: "shop.example:8443", listener: PUBLIC, headers });
    expect([sent.host, sent["x-real-ip"], sent["x-forwarded-proto"]]).toEqual(["shop.example:8443", "203.0.113.9", "https"]);
  });

  it("answers have the headers of the set, errors too", async () => {
    const { headers } = await running.ask("/", { host, listener: PUBLIC });
    expect([headers["x-frame-options"], headers["strict-transport-security"]]).toEqual(["DENY", "max-age=31536000; includeSubDomains"]);
    const gone = await running.ask("/v1/search", { host: "registry.shop.example", listener: PUBLIC });
    expect([gone.status, gone.headers["x-frame-options"], gone.served]).toEqual([404, "DENY", ""]);
  });

  it("cookies get the flags that services forget, and redirects lose the inner name", async () => {
    const { headers } = await running.ask("/moved", { host, listener: PUBLIC });
    expect([headers.location, headers["set-cookie"]]).toEqual([
      "/next",
      ["sid=1; Path=/app; Secure; HttpOnly", "csrf=2; Path=/c; Secure; HttpOnly"],
    ]);
  });

  it("a route's own headers stand beside those of its sets", async () => {
    const { headers } = await running.ask("/_assets/a.css", { host, listener: PUBLIC, headers: { "accept-encoding": "gzip" } });
    expect([headers["cache-control"], headers["x-frame-options"], headers["content-encoding"]]).toEqual(["max-age=86400", "DENY", "gzip"]);
  });

  it("hosts that nobody has written, and listeners that a route is not for, are 404", async () => {
    expect((await running.ask("/", { host: "other.example", listener: PUBLIC })).status).toBe(404);
    expect((await running.ask("/metrics?comp=core", { host, listener: PUBLIC })).served).toBe("web GET /metrics?comp=core");
    expect((await running.ask("/", { host, listener: METRICS })).status).toBe(404);
  });

  it("a parameter chooses the service, unless it is there twice", async () => {
    const ask = (query: string) => running.ask(`/metrics?${query}`, { listener: METRICS });
    expect((await ask("comp=core")).served).toBe("core-metrics GET /metrics?comp=core");
    expect((await ask("comp=jobs")).served).toBe("jobs-metrics GET /metrics?comp=jobs");
    expect((await ask("comp=core&comp=jobs")).status).toBe(404);
  });

  it("uploads beyond the usual bound pass where it is raised, for all or for a route", async () => {
    const upload = (name: string, target: string) =>
      running.ask(target, { host: name, method: "PUT", listener: PUBLIC, body: "x".repeat(11 * 1024 * 1024) });
    expect((await upload("registry.shop.example", "/v2/blobs/1")).served).toBe("registry PUT /v2/blobs/1");
    expect((await upload(host, "/files/1")).served).toBe("web PUT /files/1");
  });
});

describe("config/porting-read-api.yaml", () => {
  let running: Running;
  let provider: KeyServer;
  const key = signingKey("RS256", "k1");
  beforeAll(async () => {
    provider = await KeyServer.start();
    provider.keys = [key.jwk];
    running = await Running.start("porting-read-api.yaml", {
      auth: { provider: { jwt: { jwks: provider.jwks, insecure: ["any-issuer"] } } },
    });
  });
  afterAll(async () => {
    await running[Symbol.asyncDispose]();
    await provider[Symbol.asyncDispose]();
  });

  it("exactly what is listed goes out", async () => {
    expect((await running.ask("/v3/public/cards")).served).toBe("catalog GET /v3/public/cards");
    expect((await running.ask("/v3/public/cards/7/relationships/rulings")).served).toBe(
      "catalog GET /v3/public/cards/7/relationships/rulings",
    );
    for (const other of ["/v3/public/players", "/v3/public/cards/7/sets", "/v3/public/cards/", "/v3/admin"])
      expect([other, (await running.ask(other)).status]).toEqual([other, 404]);
    expect((await running.ask("/v3/public/cards/7", { method: "DELETE" })).status).toBe(405);
  });

  it("of headers and parameters only those of the lists go upstream", async () => {
    const headers = { cookie: "a=1", "x-other": "1", "accept-language": "de" };
    const { served, sent } = await running.ask("/v3/public/cards?page=2&filter_set=1&debug=1", { headers });
    expect([served, sent.cookie, sent["x-other"], sent["accept-language"]]).toEqual([
      "catalog GET /v3/public/cards?page=2&filter_set=1",
      undefined,
      undefined,
      "de",
    ]);
    expect((await running.ask("/?page=1")).served).toBe("catalog GET /api/docs");
  });

  it("tokens of any issuer open what is private, if the provider has signed them, and go on", async () => {
    expect((await running.ask("/v3/private/decks")).status).toBe(401);
    const mine = `Bearer ${token(key, { iss: "https://anything.example", aud: "whatever" })}`;
    const decks = await running.ask("/v3/private/decks/7", { method: "PUT", headers: { authorization: mine }, body: "{}" });
    expect([decks.served, decks.sent.authorization]).toEqual(["catalog PUT /v3/private/decks/7", mine]);
    const forged = `Bearer ${token(signingKey("RS256", "k1"))}`;
    expect((await running.ask("/v3/private/decks", { headers: { authorization: forged } })).status).toBe(401);
  });

  it("answers may be kept by caches, errors of the service and the gateway's own refusals may not", async () => {
    expect((await running.ask("/v3/public/cards")).headers["cache-control"]).toBe("public, max-age=3600");
    running.service("catalog").statuses.push(404);
    const missing = await running.ask("/v3/public/cards/0");
    expect([missing.status, missing.headers["cache-control"]]).toEqual([404, undefined]);
    expect((await running.ask("/v3/public/cards/7", { method: "PUT", body: "x" })).headers["cache-control"]).toBe("no-store");
  });

  it("pages of every origin may read them, without credentials", async () => {
    const headers = {
      origin: "https://any.example",
      "access-control-request-method": "PATCH",
      "access-control-request-headers": "authorization",
    };
    const { status, headers: allowed } = await running.ask("/v3/private/decks/7", { method: "OPTIONS", headers });
    expect([status, allowed["access-control-allow-origin"], allowed["access-control-allow-credentials"]]).toEqual([204, "*", undefined]);
  });
});
