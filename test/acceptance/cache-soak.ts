// Random requests of many callers against one gateway whose store is too small, while an operator purges, reloads and has workers die. Every byte is judged
// (test/support/soak-origin.ts). One round of the acceptance run `npm run acceptance:cache`. Must never judge by time.
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { SOAK_HOST, type SoakAnswer, type SoakClient, SoakHttp1, SoakHttp2, type SoakRequest } from "../support/soak-client.ts";
import { natureOf, SLOW_PATHS, SOAK_PATHS, SoakOrigin, TOLD, verdict } from "../support/soak-origin.ts";
import { until } from "../support/until.ts";
import { seededRandom } from "../support/upstreams.ts";

const PORTS = { uws: 19_310, net: 19_311, admin: 19_312 };
/** Clients at once of each kind; those of the slow kind ask for several at once and rest before they read. */
const CLIENTS = { uws: 20, net: 16, h2: 12, slow: 4 };
const SLOW_IN_LINE = 24;
/** Requests between two doings of the operator. */
const PURGE_EVERY = 150;
const RELOAD_EVERY = 4000;
const CRASH_EVERY = 25_000;
/** Requests for what was just purged. */
const RUSH = 12;
/** Faults of which one is told. */
const FAULTS_TOLD = 20;

const KEYS = { acme: "key-of-acme-0123456789abcdef", bolt: "key-of-bolt-0123456789abcdef" } as const;
const hashOf = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;

/** @param turn what differs from one reload to the next: what is stored of `own` is left behind each second time, of the others never */
const configuration = (origin: number, turn: number): string => `version: 1
workers: 2
admin: { address: 127.0.0.1:${PORTS.admin} }
listeners:
  - { address: 127.0.0.1:${PORTS.uws}, engine: uws }
  - { address: 127.0.0.1:${PORTS.net}, engine: net, h2c: true }
cache: { memory: 8MiB, maxObject: 160KiB }
defaults: { auth: none, accessLog: false }
upstreams: { o: { targets: [{ url: "http://127.0.0.1:${origin}" }], health: { passive: false } } }
auth:
  keys: { apiKey: { in: header, name: x-api-key } }
  bearer-keys: { apiKey: { from: [{ header: authorization, scheme: Bearer }] } }
  judge: { forwardAuth: { url: "http://127.0.0.1:${origin}/judge", name: x-session, identity: { consumer: x-user, roles: x-roles } } }
consumers:
  - { id: acme, keys: ["${hashOf(KEYS.acme)}"] }
  - { id: bolt, keys: ["${hashOf(KEYS.bolt)}"] }
identity: { headers: { consumer: x-consumer, roles: x-roles-of, authenticator: x-by }, protect: [x-tenant] }
routes:
  - { name: open, match: { path: /open/** }, cache: { bypass: { headers: [x-turn-${turn}] } }, to: o }
  - name: own
    match: { path: /own/** }
    auth: { any: [keys, bearer-keys, judge] }
    headers: { request: { set: { x-person: "{consumer.id}!{header.x-who}" } } }
    cache: { staleIfError: ${1 + ((turn >> 1) % 2)}h }
    to: o
  - { name: maybe, match: { path: /maybe/** }, auth: { optional: keys }, cache: {}, to: o }
  - name: decided
    match: { path: /decided/** }
    forwardAuth: { url: "http://127.0.0.1:${origin}/decide", requestHeaders: [x-session], responseHeaders: [x-tenant] }
    cache: {}
    to: o
`;

interface Caller {
  readonly headers: Readonly<Record<string, string>>;
  /** In the order of TOLD: consumer, roles, authenticator, tenant, person. */
  readonly told: readonly (string | null)[];
}

const NOBODY: readonly null[] = TOLD.map(() => null);
/** Two consumers, one with two authenticators, one with two roles, and two persons of each. */
const OWN: readonly Caller[] = ["ann", "bob"].flatMap((who): readonly Caller[] => [
  ...(["acme", "bolt"] as const).flatMap((name): readonly Caller[] => [
    { headers: { "x-api-key": KEYS[name], "x-who": who }, told: [name, null, "keys", null, `${name}!${who}`] },
    { headers: { authorization: `Bearer ${KEYS[name]}`, "x-who": who }, told: [name, null, "bearer-keys", null, `${name}!${who}`] },
  ]),
  ...["admin", "user"].map(
    (role): Caller => ({ headers: { "x-session": `acme2/${role}`, "x-who": who }, told: ["acme2", role, "judge", null, `acme2!${who}`] }),
  ),
]);
const CALLERS: Readonly<Record<string, readonly Caller[]>> = {
  open: [{ headers: {}, told: NOBODY }],
  own: OWN,
  maybe: [
    { headers: { "x-api-key": KEYS.acme }, told: ["acme", null, "keys", null, null] },
    { headers: { "x-api-key": KEYS.bolt }, told: ["bolt", null, "keys", null, null] },
    { headers: {}, told: NOBODY },
  ],
  decided: ["a/x", "a/y", "b/x"].map(
    (session): Caller => ({ headers: { "x-session": session }, told: [null, null, null, session.replace("/", "."), null] }),
  ),
};
const ROUTES = ["open", "open", "own", "own", "maybe", "decided"];

export interface SoakResult {
  readonly requests: number;
  readonly faults: number;
  /** What became of requests, as Cache-Status has it. */
  readonly counts: Readonly<Record<string, number>>;
}

interface Asked extends SoakRequest {
  readonly told: readonly (string | null)[];
  readonly floor: number;
}

export class Soak {
  readonly #random: () => number;
  readonly #requests: number;
  readonly #say: (text: string) => void;
  readonly #counts: Record<string, number> = {};
  /** By path: answers of the service up to this one are void. */
  readonly #floors = new Map<string, number>();
  readonly #tags = new Map<string, string>();
  /** Answers that are for one alone, and were given. */
  readonly #given = new Set<number>();
  readonly #clients: SoakClient[] = [];
  /** What was asked for last, or purged: a purge that comes while it is fetched is the interesting one. */
  #last = { route: "open", n: 0 };
  /** Requests to come that ask for it. */
  #rush = 0;
  readonly #prober = new SoakHttp1(PORTS.net);
  #asked = 0;
  #faults = 0;
  #crashes = 0;
  #turn = 0;

  constructor(options: { readonly seed: number; readonly requests: number; say(text: string): void }) {
    this.#random = seededRandom(options.seed);
    this.#requests = options.requests;
    this.#say = options.say;
  }

  /** @param directory for the gateway's files. @returns when all were answered and nothing is held any more */
  async run(directory: string): Promise<SoakResult> {
    await using origin = await SoakOrigin.start();
    const gateway = await startSluiceWith(directory, PORTS.uws, configuration(origin.port, 0));
    try {
      const loops = [
        ...Array.from({ length: CLIENTS.uws }, () => this.#client(new SoakHttp1(PORTS.uws), 1)),
        ...Array.from({ length: CLIENTS.net }, () => this.#client(new SoakHttp1(PORTS.net), 1)),
        // The uws engine serves no two requests of a connection at once: there many connections stand for many in line.
        ...Array.from({ length: CLIENTS.slow }, () => this.#client(new SoakHttp1(PORTS.net), SLOW_IN_LINE)),
        ...Array.from({ length: SLOW_IN_LINE }, () => this.#client(new SoakHttp1(PORTS.uws), 1, true)),
      ];
      const shared = [new SoakHttp2(PORTS.net), new SoakHttp2(PORTS.net)];
      for (let i = 0; i < CLIENTS.h2; i++) loops.push(this.#client(shared[i % 2] as SoakHttp2, i === 0 ? SLOW_IN_LINE : 1));
      await Promise.all([...loops, this.#operate(origin, path.join(directory, "sluice.yaml"))]);
      for (const client of [...this.#clients, this.#prober]) client.close();
      await this.#judgeGateway(path.join(directory, `sluice-${PORTS.uws}.err`));
    } finally {
      await gateway.stop();
    }
    this.#counts["service answered"] = origin.generation;
    return { requests: this.#asked, faults: this.#faults, counts: this.#counts };
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
  }

  #fault(text: string): void {
    if (++this.#faults <= FAULTS_TOLD) this.#say(`FAULT: ${text}`);
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T; // no list here is empty
  }

  // --- Clients ---

  async #client(client: SoakClient, inLine: number, isSlow = inLine > 1): Promise<void> {
    this.#clients.push(client);
    while (this.#asked < this.#requests) {
      const requests = Array.from({ length: inLine }, () => this.#request(isSlow));
      await Promise.all(requests.map(async (request) => this.#judge(request, await client.ask(request))));
    }
  }

  #request(slow: boolean): Asked {
    this.#asked++;
    const random = this.#random;
    let [route, n] = [this.#pick(ROUTES), Math.floor(random() ** 3 * SOAK_PATHS)];
    if (slow)
      while (natureOf(n).breaks) n++; // who is cut loses all that it has in line
    else if (this.#rush > 0 && this.#rush-- > 0) ({ route, n } = this.#last);
    this.#last = { route, n };
    const { headers: own, told } = this.#pick(CALLERS[route] ?? []);
    const target = `/${route}/${n}`;
    const headers: Record<string, string> = { ...own };
    if (random() < 0.7) headers["accept-language"] = this.#pick(["de", "en", "fr"]);
    if (random() < 0.5) headers["accept-encoding"] = this.#pick(["gzip", "gzip, br"]);
    if (random() < 0.3) headers["x-shade"] = this.#pick(["red", "blue"]);
    if (random() < 0.03) headers["cache-control"] = this.#pick(["no-cache", "no-store", "max-age=0", "max-stale", "only-if-cached"]);
    const method = random() < 0.01 ? "POST" : random() < 0.05 ? "HEAD" : "GET";
    if (method === "GET") this.#condition(target, headers);
    const floor = this.#floors.get(target) ?? 0;
    return { method, path: target, headers, told, floor, ...(slow && { restMs: Math.floor(random() * 100) }) };
  }

  #condition(target: string, headers: Record<string, string>): void {
    const random = this.#random;
    const tag = this.#tags.get(target);
    const dice = random();
    if (dice < 0.1) {
      const from = Math.floor(random() * 20_000);
      headers["range"] = this.#pick([`bytes=${from}-${from + Math.floor(random() * 5000)}`, `bytes=${from}-`, `bytes=-${from}`]);
      if (tag !== undefined && random() < 0.5) headers["if-range"] = tag;
    } else if (tag !== undefined && dice < 0.2) headers["if-none-match"] = tag;
  }

  #judge(asked: Asked, answer: SoakAnswer | null): void {
    const { method, path: target, headers } = asked;
    const { breaks, fails, control } = natureOf(Number(target.split("/")[2]));
    if (answer === null) return this.#count(breaks ? "cut by the service" : "cut");
    const { status, headers: fields } = answer;
    const how = fields["cache-status"] ?? "";
    this.#count(outcomeOf(how, status));
    if (method === "POST") return this.#posted(asked, answer);
    if (status === 504 && headers["cache-control"] === "only-if-cached") return;
    if ((status === 503 && fails) || (status === 502 && breaks)) return;
    const wrong = verdict(asked, answer);
    const at = `${method} ${target} ${JSON.stringify(headers)} -> ${status} ${how}`;
    if (wrong !== "") return this.#fault(`${at}: ${wrong}`);
    const tag = fields["etag"] ?? "";
    const generation = Number(/\.(\d+)"$/.exec(tag)?.[1]);
    if (status === 304) {
      if (how.startsWith("sluice; hit") && generation <= asked.floor) this.#fault(`${at}: 304 from before a purge`);
      return;
    }
    this.#tags.set(target, tag);
    if (control !== "private" && control !== "no-store") return;
    if (this.#given.has(generation)) this.#fault(`${at}: answer ${generation}, which was another's`);
    this.#given.add(generation);
  }

  #posted({ path: target }: Asked, { status, headers }: SoakAnswer): void {
    if (status !== 200) return this.#fault(`POST ${target}: ${status}`);
    this.#void([target], Number(headers["x-generation"]));
  }

  #void(targets: readonly string[], generation: number): void {
    for (const target of targets) this.#floors.set(target, Math.max(generation, this.#floors.get(target) ?? 0));
  }

  // --- The operator ---

  async #operate(origin: SoakOrigin, file: string): Promise<void> {
    const due = { purge: PURGE_EVERY, reload: RELOAD_EVERY, crash: CRASH_EVERY };
    while (this.#asked < this.#requests) {
      if (this.#asked >= due.crash) {
        due.crash += CRASH_EVERY;
        await admin(`/debug/crash?worker=${this.#crashes++ % 2}`);
      } else if (this.#asked >= due.reload) {
        due.reload += RELOAD_EVERY;
        fs.writeFileSync(file, configuration(origin.port, ++this.#turn));
        const status = await admin("/reload");
        if (status !== 200) this.#fault(`POST /reload: ${status}`);
      } else if (this.#asked >= due.purge) {
        due.purge += PURGE_EVERY;
        await this.#purge(origin);
      } else await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #purge(origin: SoakOrigin): Promise<void> {
    const kind = this.#pick(["url", "url", "url", "url", "url", "url", "tag", "tag", "prefix", "prefix", "everything"]);
    const soft = this.#random() < 0.3;
    const isWhileAsked = this.#random() < 0.7;
    const route = this.#pick(Object.keys(CALLERS));
    const n = isWhileAsked ? this.#pick(SLOW_PATHS) : this.#last.n;
    if (isWhileAsked) await this.#setOut(origin, route, n);
    const before = origin.generation;
    const { query, gone } = purgeOf(kind, n, route);
    const status = await admin(`/cache/purge?${new URLSearchParams({ ...query, soft: String(soft) })}`);
    this.#count(`purged by ${kind}${soft ? ", soft" : ""}`);
    this.#last = { route, n };
    this.#rush = RUSH;
    const named = Object.keys(CALLERS).flatMap((each) => Array.from({ length: SOAK_PATHS }, (_, number) => `/${each}/${number}`));
    if (status === 200 && !soft) this.#void(named.filter(gone), before);
    else if (status !== 200) this.#fault(`purge by ${kind}: ${status}`);
  }

  /** Has the service asked for a path. @returns while the answer is on its way, or when there was one already */
  async #setOut(origin: SoakOrigin, route: string, n: number): Promise<void> {
    const { headers, told } = this.#pick(CALLERS[route] ?? []);
    const target = `/${route}/${n}`;
    const asked: Asked = { method: "GET", path: target, headers, told, floor: this.#floors.get(target) ?? 0 };
    const before = origin.latest.get(target) ?? 0;
    let answered = false;
    this.#asked++;
    void this.#prober.ask(asked).then((answer) => {
      answered = true;
      this.#judge(asked, answer);
    });
    while (!answered && (origin.latest.get(target) ?? 0) === before) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Once all clients are gone. */
  async #judgeGateway(logFile: string): Promise<void> {
    let pinned = -1;
    let looking = false;
    await until(
      "no stored response is held any more",
      () => {
        if (!looking && pinned !== 0) {
          looking = true;
          void look().then((value) => {
            pinned = value;
            looking = false;
          });
        }
        return pinned === 0;
      },
      30_000,
    );
    const log = fs.readFileSync(logFile, "utf8");
    const failed = log.split('"message":"a worker failed"').length - 1;
    if (failed !== this.#crashes) this.#fault(`${failed} workers failed, ${this.#crashes} were told to`);
    for (const line of log.split("\n")) if (/uncaught|a worker died|cannot/.test(line)) this.#fault(line);
    this.#counts["workers that died"] = failed;
    this.#counts["reloads"] = this.#turn;
    if ((this.#counts["cut"] ?? 0) > failed * 200) this.#fault(`${this.#counts["cut"]} requests were cut`);
  }
}

const admin = async (target: string): Promise<number> => {
  const response = await fetch(`http://127.0.0.1:${PORTS.admin}${target}`, { method: "POST" });
  await response.arrayBuffer();
  return response.status;
};

async function look(): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${PORTS.admin}/cache`);
  const { pinned } = (await response.json()) as { readonly pinned: number };
  return pinned;
}

/** @property gone which paths it is about */
function purgeOf(kind: string, n: number, route: string): { readonly query: Record<string, string>; gone(target: string): boolean } {
  const base = `http://${SOAK_HOST}`;
  if (kind === "url") return { query: { url: `${base}/${route}/${n}` }, gone: (target) => target === `/${route}/${n}` };
  if (kind === "tag") return { query: { tag: `t${n % 8}` }, gone: (target) => Number(target.split("/")[2]) % 8 === n % 8 };
  if (kind === "prefix")
    return { query: { prefix: `${base}/${route}/${n % 10}` }, gone: (target) => target.startsWith(`/${route}/${n % 10}`) };
  return { query: { everything: "true" }, gone: () => true };
}

function outcomeOf(how: string, status: number): string {
  if (how.startsWith("sluice; hit")) return "hit";
  const [, why = "none"] = /fwd=([a-z-]+)/.exec(how) ?? [];
  const more = ["collapsed", "stored"].filter((word) => how.includes(`; ${word}`)).join(", ");
  return `${why}${more === "" ? "" : `, ${more}`}${status >= 500 ? `, ${status}` : ""}`;
}
