// Owns our side of every case, from a build in dist/. A case whose policy is not built is refused with that reason: whoever builds
// the policy fills in its line of POLICIES, and nothing else has to change.
import fs from "node:fs";
import path from "node:path";
import { type Launch, launch } from "./launch.ts";
import { type Peer, type PeerKind, refusal, type Setup, type Stage } from "./peer.ts";
import { askVersion } from "./programs.ts";

const ROOT = path.join(import.meta.dirname, "../..");

/** What our configuration gets for a part of a setup. */
interface PolicyParts {
  /** Members of the route, as YAML flow: `cache: { ttl: 1h }`. */
  readonly route: string;
  /** Members of the upstream. */
  readonly upstream: string;
  /** Top-level lines. */
  readonly top: string;
}

/** null: not built yet. */
const POLICIES: Readonly<Record<"guarded" | "cache" | "forwardAuth", ((stage: Stage, setup: Setup) => PolicyParts) | null>> = {
  // JWT (stage.token, setup.guarded says how it is signed), a limit by its subject that nobody reaches, a breaker. The access log is on already.
  guarded: ({ token }, { guarded }) => {
    const keys = guarded === "HS256" ? `secret: "${token.secret}"` : `keys: "file:${token.jwks}"`;
    const jwt = `issuer: "${token.issuer}", audience: "${token.audience}", algorithms: [${guarded}], ${keys}`;
    return {
      top: `auth: { bench: { jwt: { ${jwt} } } }`,
      route: "auth: bench, rateLimit: [ { per: consumer, rate: 100000000/s } ]",
      upstream: "breaker: { slowCall: 2s }",
    };
  },
  // Asked about every request, as nothing is kept.
  forwardAuth: ({ originPort }) => ({ top: "", route: `forwardAuth: { url: "http://127.0.0.1:${originPort}/verify" }`, upstream: "" }),
  // Answers of the origin that say `Cache-Control: max-age` from memory.
  cache: () => ({ top: "", route: "cache: {}", upstream: "" }),
};

const NOT_BUILT = "not built yet";

/** Which build, under which name, set how. */
export interface SluiceKind {
  readonly name: string;
  readonly title: string;
  readonly root: string;
  readonly note?: string;
  /** Requests on one upstream connection at a time; 1 unless given. */
  readonly pipelining?: number;
  /** Of its listener; the default unless given. */
  readonly engine?: "uws" | "net";
}

/** Ours from the build in a directory's dist/. */
export function sluiceFrom(options: SluiceKind): PeerKind {
  const main = path.join(options.root, "dist/main.js");
  return {
    name: options.name,
    title: options.title,
    role: "ours",
    needs: [],
    note: options.note ?? "",
    refuses: (setup) =>
      refusal(setup, {
        aggregate: "",
        http2: "",
        ...(POLICIES.guarded === null ? { guarded: NOT_BUILT } : {}),
        ...(POLICIES.cache === null ? { cache: NOT_BUILT } : {}),
      }),
    start: async (stage, setup) => {
      const port = await stage.freePort();
      return startSluiceWith(stage.directory, port, configuration(stage, setup, { port, ...options }), {
        main,
        name: options.name,
        tls: setup.tls,
      });
    },
    version: () => askVersion(process.execPath, [main, "--version"], /sluice (\S+)/),
  };
}

export const sluice: PeerKind = sluiceFrom({ name: "sluice", title: "Sluice", root: ROOT });

/** GET requests that arrive together share a connection to the origin, which no other server here does. */
const PIPELINING = 16;
export const sluicePipelining: PeerKind = sluiceFrom({
  name: "sluice-pipelining",
  title: `Sluice, pipelining: ${PIPELINING}`,
  root: ROOT,
  pipelining: PIPELINING,
  note: "Not the default: up to sixteen GET requests go to the origin on one connection before the first is answered. Shown for what it saves; aims are judged without it.",
});

export const sluiceNet: PeerKind = sluiceFrom({ name: "sluice-net", title: "Sluice, engine: net", root: ROOT, engine: "net" });
export const sluiceNetPipelining: PeerKind = sluiceFrom({
  name: "sluice-net-pipelining",
  title: `Sluice, engine: net, pipelining: ${PIPELINING}`,
  root: ROOT,
  engine: "net",
  pipelining: PIPELINING,
});

/** One worker unless asked for more, with metrics; the access log off like everybody's. */
function configuration(
  stage: Stage,
  setup: Setup,
  { port, pipelining = 1, engine }: Pick<SluiceKind, "pipelining" | "engine"> & { readonly port: number },
): string {
  const parts = (["guarded", "cache", "forwardAuth"] as const).flatMap((name) => {
    const built = POLICIES[name];
    return setup[name] && built !== null ? [built(stage, setup)] : [];
  });
  const join = (pick: (each: PolicyParts) => string): string => parts.map((each) => `, ${pick(each)}`.replace(/^, $/, "")).join("");
  const { cert, key } = stage.certificate;
  const engineKey = `${engine === undefined ? "" : `, engine: ${engine}`}${setup.http2 ? ", h2c: true" : ""}`;
  const paths = setup.routes === 0 ? ["/**"] : Array.from({ length: setup.routes }, (_, n) => `/v1/svc-${n}/**`);
  return `version: 1
workers: ${setup.workers}
listeners: [{ address: 127.0.0.1:${port}${engineKey}${setup.tls ? `, tls: { certificates: [{ cert: ${cert}, key: ${key} }] }` : ""} }]
admin: { address: 127.0.0.1:0 }
defaults: { accessLog: ${setup.guarded !== ""} }
limits: { idleTimeout: 10m }
${parts.map((each) => each.top).join("\n")}
upstreams:
  origin: { targets: [{ url: "http://127.0.0.1:${stage.originPort}" }], pool: { connections: 128, pipelining: ${pipelining} }${join((each) => each.upstream)} }
routes:
${setup.aggregate ? PAGE : paths.map((match, n) => `  - { name: r${n}, match: { path: "${match}" }, to: origin${join((each) => each.route)} }`).join("\n")}
`;
}

/** Of the case `aggregate`. */
const PAGE = `  - name: page
    match: { path: /page }
    aggregate: { user: { to: origin, path: /json/user }, orders: { to: origin, path: /json/orders }, offers: { to: origin, path: /json/offers, required: false } }`;

export interface SluiceOptions {
  /** Which build; this checkout's unless given. */
  readonly main?: string;
  readonly name?: string;
  readonly tls?: boolean;
  /** Laid over this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Our own with any configuration that listens on `port`; `sluice.yaml` (or NAME-PORT.yaml) in the directory holds it. */
export function startSluiceWith(directory: string, port: number, text: string, options: SluiceOptions = {}): Promise<Peer> {
  const { main = path.join(ROOT, "dist/main.js"), name, environment = {} } = options;
  const file = path.join(directory, name === undefined ? "sluice.yaml" : `${name}-${port}.yaml`);
  fs.writeFileSync(file, text);
  if (!fs.existsSync(main)) throw new Error(`${main} is missing: run \`npm run build\` first`);
  const start: Launch = {
    name: name ?? "sluice",
    directory,
    port,
    tls: options.tls ?? false,
    command: process.execPath,
    arguments: [main, "start", "-c", file],
    environment: { ...process.env, ...environment, SLUICE_RUN_DIR: path.join(directory, `run-${port}`), SLUICE_TEST_HOOKS: "1" },
    ready: /^ready /m, // before that, a look whether the address is free may accept a connection
    configuration: text.length > 4000 ? `${text.slice(0, 2000)}...\n` : text,
  };
  return launch(start);
}
