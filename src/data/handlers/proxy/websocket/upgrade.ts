// Upgrades a WebSocket towards an upstream and hands the connection to the listener's engine; a refusal is relayed like any response.
// Must never read a frame: what follows the 101 is the engine's business.
import type { HeaderList } from "../../../../base/header-list.ts";
import type { Exchange } from "../../../exchange/exchange.ts";
import { finish } from "../../../exchange/finish.ts";
import type { ResponseHead } from "../../../exchange/policy.ts";
import { fail, finalHead, replaceBy } from "../../../exchange/reply.ts";
import type { Route } from "../../../exchange/runtime.ts";
import type { CallFailure, UpgradeSink } from "../../../upstream/call-request.ts";
import type { Endpoint, UpgradedResponse, Upstream, WireRequest } from "../../../upstream/upstream.ts";
import { dialWebSocket, endToEndHeaders } from "../../../upstream/websocket/dial.ts";
import { wsFrames } from "../../../upstream/websocket/frames.ts";
import type { ProxyConfig } from "../config.ts";
import { Relay } from "../relay.ts";
import { offerHeaders, readAnswer, readOffer, type WebSocketOffer, withoutHandshake } from "./handshake.ts";

/** Takes a request for a WebSocket to an upstream. */
export function upgradeToWebSocket(x: Exchange, config: ProxyConfig, upstream: Upstream): void {
  const offer = readOffer(x);
  if ("code" in offer) return fail(x, offer.code, offer.detail, offer.headers);
  new Upgrade(x, upstream, offer, config.webSocketClosesAtExpiry).start();
}

class Upgrade extends Relay implements UpgradeSink {
  override readonly via = dialWebSocket;
  private readonly offer: WebSocketOffer;
  private readonly closesAtExpiry: boolean;
  /** Which the upstream chose; '' for none. */
  private protocol = "";
  /** The engine has it: only its end is still to come. */
  private accepted = false;

  constructor(x: Exchange, upstream: Upstream, offer: WebSocketOffer, closesAtExpiry: boolean) {
    super(x, x.route as Route, upstream); // a handler's exchange has one
    this.offer = offer;
    this.closesAtExpiry = closesAtExpiry;
  }

  override prepare(upstream: Upstream, endpoint: Endpoint, remainingMs: number): WireRequest {
    const request = super.prepare(upstream, endpoint, remainingMs);
    request.method = "GET";
    request.common = null;
    request.headers = [...withoutHandshake(request.headers), ...offerHeaders(this.offer)];
    return request;
  }

  refusesUpgrade({ rawHeaders }: UpgradedResponse): string {
    const chosen = readAnswer(rawHeaders as HeaderList, this.offer); // read only
    if (typeof chosen === "string") return chosen;
    this.protocol = chosen.protocol;
    return "";
  }

  onUpgrade({ rawHeaders, socket, head }: UpgradedResponse): void {
    const { x } = this;
    const { protocol } = this;
    const headers = this.acceptedHeaders(rawHeaders);
    if (headers === null) return;
    x.status = 101;
    this.accepted = true;
    this.services.webSockets++;
    const closeAtMs = this.closesAtExpiry ? (x.identity?.expiresMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
    x.acceptWebSocket({ socket, head, headers, protocol, closeAtMs, frames: wsFrames });
  }

  /** The 101 to the client: the upstream's end-to-end headers with the policies' changes. @returns null when a policy has answered instead */
  private acceptedHeaders(rawHeaders: readonly string[]): HeaderList | null {
    const copied = endToEndHeaders(rawHeaders).headers;
    const head: ResponseHead = { status: 101, headers: copied, length: -1, hasBody: false, fromUpstream: true };
    this.upstreamHead(head);
    const instead = finalHead(this.x, head);
    if (instead !== null) {
      this.call.tunnelEnded(); // the connection is not taken, so it is closed
      replaceBy(this.x, instead);
      return null;
    }
    return withoutHandshake(head.headers);
  }

  override onFailure(failure: CallFailure): void {
    if (this.accepted) this.services.webSockets--;
    super.onFailure(failure);
  }

  override clientAborted(x: Exchange): void {
    if (!this.accepted) return super.clientAborted(x);
    if (x.errorCode === null) x.errorCode = "client_aborted";
    this.ended();
  }

  override clientCompleted(x: Exchange): void {
    if (!this.accepted) return super.clientCompleted(x);
    this.ended();
  }

  private ended(): void {
    const { x } = this;
    if (x.finished) return;
    this.services.webSockets--;
    this.call.tunnelEnded();
    finish(x);
  }
}
