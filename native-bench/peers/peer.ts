// Owns the words of the comparison: what a server under test is asked to be (Setup), what kinds there are, and one that runs.
import type { Program } from "./programs.ts";

/** What a case asks of a server. Every kind builds its own configuration from it, equivalent to the others'. */
export interface Setup {
  readonly workers: number;
  /** Serve HTTPS; plain HTTP to the origin. */
  readonly tls: boolean;
  /** Routes `/v1/svc-N/...`, N from 0; 0: one for everything. */
  readonly routes: number;
  /** Answers from a cache in memory. */
  readonly cache: boolean;
  /** Checks a JWT signed like this, limits by its subject, breaks the circuit, counts, and writes an access log; "" for none of it. */
  readonly guarded: "" | Signature;
  /** Every request is an opening handshake of a WebSocket (RFC 6455), and the origin sends each message back. */
  readonly webSocket: boolean;
  /** Calls a service (the origin, at /verify) about each request before it is forwarded. */
  readonly forwardAuth: boolean;
  /** Makes one JSON document of three answers of the origin (`/json/user`, `/json/orders`, `/json/offers`), asked for at once. */
  readonly aggregate: boolean;
  /** Speaks HTTP/2 in cleartext with clients (prior knowledge), HTTP/1.1 with the origin. */
  readonly http2: boolean;
}

export const PLAIN: Setup = {
  workers: 1,
  tls: false,
  routes: 0,
  cache: false,
  guarded: "",
  webSocket: false,
  forwardAuth: false,
  aggregate: false,
  http2: false,
};

/** RFC 7518: by a shared secret, or by an RSA key of 2048 bits. */
export type Signature = "HS256" | "RS256";

/** The token that every guarded request carries, signed both ways, and what is needed to check it. */
export interface Token {
  readonly bearer: Readonly<Record<Signature, string>>;
  readonly secret: string;
  /** PEM file, and the same key as a JSON Web Key Set. */
  readonly publicKey: string;
  readonly jwks: string;
  readonly issuer: string;
  readonly audience: string;
  readonly subject: string;
}

/** What all servers of a run share. */
export interface Stage {
  /** Of this run alone; servers may keep files here, and may read them as another user. */
  readonly directory: string;
  readonly originPort: number;
  readonly certificate: { readonly cert: string; readonly key: string };
  readonly token: Token;
  /** @returns a port that nobody listens on. */
  freePort(): Promise<number>;
}

/** A server under test or an origin, running. */
export interface Peer {
  readonly name: string;
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Its configuration, for the report; '' when it is a program of ours. */
  readonly configuration: string;
  /** @param signal SIGTERM unless given. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** A kind of server. */
export interface PeerKind {
  /** As `--peers` names it. */
  readonly name: string;
  readonly title: string;
  /** A floor does less than a gateway must: it shows what is left to gain. */
  readonly role: "ours" | "peer" | "floor";
  readonly needs: readonly Program[];
  /** What a reader must know to judge its numbers; '' for nothing. */
  readonly note: string;
  /** @returns why it cannot do this, or null when it can. */
  refuses(setup: Setup): string | null;
  /** @throws Error with its own last words when it does not get to listen. */
  start(stage: Stage, setup: Setup): Promise<Peer>;
  /** @returns its version as it says it itself; '' when it is not to be had. */
  version(): string;
}

/** What a kind says of a setup of which it can do these parts. @param reasons why not; of `aggregate` and `http2`, '' from one that can */
export function refusal(
  setup: Setup,
  reasons: Partial<
    Record<"workers" | "tls" | "routes" | "cache" | "guarded" | "webSocket" | "forwardAuth" | "aggregate" | "http2", string>
  >,
): string | null {
  if (setup.aggregate && reasons.aggregate !== "") return reasons.aggregate ?? "asks one service a request";
  if (setup.http2 && reasons.http2 !== "") return reasons.http2 ?? "is measured by HTTP/1.1 alone";
  if (setup.guarded !== "" && reasons.guarded !== undefined) return reasons.guarded;
  if (setup.cache && reasons.cache !== undefined) return reasons.cache;
  if (setup.tls && reasons.tls !== undefined) return reasons.tls;
  if (setup.routes > 0 && reasons.routes !== undefined) return reasons.routes;
  if (setup.webSocket && reasons.webSocket !== undefined) return reasons.webSocket;
  if (setup.forwardAuth && reasons.forwardAuth !== undefined) return reasons.forwardAuth;
  if (setup.workers > 1 && reasons.workers !== undefined) return reasons.workers;
  return null;
}
