// Owns what workers of one process say to each other about answers that one of them is fetching: the questions of the others, and what they are told.
// Must never make the worker that fetches wait for one of them.
import type { MessagePort } from "node:worker_threads";
import type { HeaderList } from "../../base/header-list.ts";
import type { WorkerLinks } from "../exchange/runtime.ts";
import type { CallFailure } from "../upstream/call-request.ts";
import type { CacheOutcome } from "./rules/cache-status.ts";

/** A head that another worker has received. */
export interface PeerHead {
  readonly status: number;
  readonly headers: HeaderList;
  /** Known: others wait until the whole is stored. */
  readonly length: number;
  readonly receivedMs: number;
  /** At that time, seconds. */
  readonly initialAge: number;
  readonly outcome: CacheOutcome;
  /** By what requests must be alike to be served by it, and the answer's own. */
  readonly vary: readonly string[];
  readonly variant: string;
}

/** Without what belongs to a thread. */
export type PeerFailure = Omit<CallFailure, "upstream">;

/** Told, to who follows. Ends with one of `end`, `stored`, `released`, `stand-in` and `failed`. */
export type PeerNews =
  | { readonly kind: "head"; readonly head: PeerHead }
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  /** All of the body was told. */
  | { readonly kind: "end" }
  /** It is to be had from the store. */
  | { readonly kind: "stored" }
  /** It is for nobody else. @property detail why @property status of it; 0 when that says nothing */
  | { readonly kind: "released"; readonly detail: string; readonly status: number }
  /** The origin failed, and what is stored may stand in. @property status of its answer; 0 for none */
  | { readonly kind: "stand-in"; readonly status: number }
  | { readonly kind: "failed"; readonly failure: PeerFailure };

/** Takes news of one answer. */
export interface PeerFollower {
  news(news: PeerNews): void;
  /** The worker that fetches it is gone. */
  lost(): void;
}

/** Somebody in another worker who follows. */
export interface PeerSink {
  tell(news: PeerNews): void;
}

/** Whom questions of other workers are put to. */
export interface PeerHost {
  /** @returns what is called when that one has gone; null when nothing is fetched under this name that it could follow */
  follow(id: string, sink: PeerSink): (() => void) | null;
}

/** On a port. `ask` numbers the questions of the side that asks. */
type Message =
  | { readonly ask: number; readonly id: string }
  | { readonly leave: number }
  | { readonly to: number; readonly news: PeerNews };

export class Peers {
  readonly #links: WorkerLinks;
  readonly #host: PeerHost;
  readonly #lines = new WeakMap<MessagePort, Line>();

  constructor(links: WorkerLinks, host: PeerHost) {
    this.#links = links;
    this.#host = host;
    links.onLink = (_worker, port) => this.#lineOf(port);
  }

  /** Follows what another worker fetches. @returns to be called when nobody here wants it any more */
  follow(worker: number, id: string, follower: PeerFollower): () => void {
    let line: Line | null = null;
    let ask = -1;
    let over = false;
    this.#links.linkTo(worker, (port) => {
      if (over) return;
      if (port === null) return follower.lost();
      line = this.#lineOf(port);
      ask = line.ask(id, follower);
    });
    return () => {
      over = true;
      line?.leave(ask);
    };
  }

  #lineOf(port: MessagePort): Line {
    let line = this.#lines.get(port);
    if (line === undefined) {
      line = new Line(port, this.#host);
      this.#lines.set(port, line);
    }
    return line;
  }
}

/** Both sides of one port. */
class Line {
  readonly #port: MessagePort;
  readonly #host: PeerHost;
  /** Asked here. */
  readonly #asked = new Map<number, PeerFollower>();
  /** Asked there. */
  readonly #followed = new Map<number, () => void>();
  #asks = 0;
  #closed = false;

  constructor(port: MessagePort, host: PeerHost) {
    this.#port = port;
    this.#host = host;
    port.on("message", (message: Message) => this.#heard(message));
    port.on("close", () => this.#lost());
    port.unref();
  }

  ask(id: string, follower: PeerFollower): number {
    const ask = ++this.#asks;
    if (this.#closed) follower.lost();
    else {
      this.#asked.set(ask, follower);
      this.#port.postMessage({ ask, id } satisfies Message);
    }
    return ask;
  }

  leave(ask: number): void {
    if (this.#asked.delete(ask) && !this.#closed) this.#port.postMessage({ leave: ask } satisfies Message);
  }

  #heard(message: Message): void {
    if ("news" in message) {
      const follower = this.#asked.get(message.to);
      if (isLast(message.news)) this.#asked.delete(message.to);
      follower?.news(message.news);
    } else if ("leave" in message) {
      this.#followed.get(message.leave)?.();
      this.#followed.delete(message.leave);
    } else this.#begin(message.ask, message.id);
  }

  #begin(ask: number, id: string): void {
    const leave = this.#host.follow(id, {
      tell: (news) => {
        if (isLast(news)) this.#followed.delete(ask);
        if (this.#closed) return;
        const transfer = news.kind === "data" ? [news.bytes.buffer as ArrayBuffer] : []; // made for this message
        this.#port.postMessage({ to: ask, news } satisfies Message, transfer);
      },
    });
    if (leave !== null) this.#followed.set(ask, leave);
    // It has just ended: what came of it is in the store, or for nobody.
    else this.#port.postMessage({ to: ask, news: { kind: "stored" } } satisfies Message);
  }

  #lost(): void {
    this.#closed = true;
    for (const follower of this.#asked.values()) follower.lost();
    this.#asked.clear();
    for (const leave of this.#followed.values()) leave();
    this.#followed.clear();
  }
}

const isLast = ({ kind }: PeerNews): boolean => kind !== "head" && kind !== "data";
