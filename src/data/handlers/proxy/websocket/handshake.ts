// The rules of the WebSocket opening handshake (RFC 6455 sections 4.1 and 4.2) on both of the gateway's sides.
// Pure; must never touch a socket.
import { createHash } from "node:crypto";
import type { ErrorCode } from "../../../../base/errors.ts";
import type { HeaderList } from "../../../../base/header-list.ts";
import { isToken, trimWhitespace } from "../../../../base/http.ts";
import { BODY_NONE, type Exchange } from "../../../exchange/exchange.ts";

/** RFC 6455 section 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** 16 bytes in base64 (RFC 6455 section 4.1): the last digit before the padding carries four bits that must be zero. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
const VERSION = "13";
/** Subprotocols one client may offer; real ones offer a handful. */
const PROTOCOLS_MAX = 64;

/** What the client offers. */
export interface WebSocketOffer {
  readonly key: string;
  /** In the client's order of preference; they are case-sensitive. */
  readonly protocols: readonly string[];
}

/** Why a client's handshake cannot be served. */
export interface OfferRefusal {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly headers?: HeaderList;
}

/** RFC 6455 section 4.2.2, step 5.4: what a server answers to a key. */
export const acceptKey = (key: string): string =>
  createHash("sha1")
    .update(key + ACCEPT_GUID)
    .digest("base64");

/** Reads the client's side of the handshake; Upgrade and Connection were seen by admission. */
export function readOffer(x: Exchange): WebSocketOffer | OfferRefusal {
  if (x.bodyKind !== BODY_NONE) return bad("a WebSocket handshake has no body");
  const version = joined(x.headers, "sec-websocket-version");
  if (version !== VERSION) {
    const headers = ["sec-websocket-version", VERSION, "upgrade", "websocket", "connection", "upgrade"];
    return { code: "upgrade_unsupported", detail: "Sec-WebSocket-Version is not 13 (RFC 6455 section 4.4)", headers };
  }
  const key = joined(x.headers, "sec-websocket-key") ?? "";
  if (!KEY.test(key)) return bad("Sec-WebSocket-Key is not 16 bytes in base64 (RFC 6455 section 4.1)");
  const protocols = tokens(joined(x.headers, "sec-websocket-protocol"));
  if (protocols === null || protocols.length > PROTOCOLS_MAX || new Set(protocols).size !== protocols.length)
    return bad("Sec-WebSocket-Protocol is not a list of distinct tokens (RFC 6455 section 4.1)");
  return { key, protocols };
}

const bad = (detail: string): OfferRefusal => ({ code: "bad_request", detail });

/** Names that only {@link offerHeaders} may send upstream: a policy cannot change what was offered. */
const HANDSHAKE_NAMES: ReadonlySet<string> = new Set([
  "connection",
  "upgrade",
  "content-length",
  "transfer-encoding",
  "sec-websocket-accept",
  "sec-websocket-extensions",
  "sec-websocket-key",
  "sec-websocket-protocol",
  "sec-websocket-version",
]);

/** @returns the headers without any of the handshake's own. */
export const withoutHandshake = (headers: HeaderList): HeaderList => {
  const kept: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (!HANDSHAKE_NAMES.has(name)) kept.push(name, headers[i + 1] as string);
  }
  return kept;
};

/**
 * The handshake's own headers towards the upstream. Extensions are offered to none: behind a compressed message of any size there may be one of every size, and
 * limits.webSocket.messageBytes is to hold of what the ends get to see.
 */
export function offerHeaders(offer: WebSocketOffer): HeaderList {
  const headers = ["connection", "Upgrade", "upgrade", "websocket", "sec-websocket-version", VERSION, "sec-websocket-key", offer.key];
  if (offer.protocols.length > 0) headers.push("sec-websocket-protocol", offer.protocols.join(", "));
  return headers;
}

/**
 * Checks the upstream's 101 as strictly as a client must (RFC 6455 section 4.1, end).
 * @param headers names lowercase. @returns the subprotocol, '' for none; or in words which rule it breaks.
 */
export function readAnswer(headers: HeaderList, offer: WebSocketOffer): { readonly protocol: string } | string {
  if (joined(headers, "upgrade")?.toLowerCase() !== "websocket") return "the 101 does not upgrade to websocket";
  const connection = tokens(joined(headers, "connection"));
  if (connection?.some((token) => token.toLowerCase() === "upgrade") !== true) return "the 101 has no Connection: Upgrade";
  if (joined(headers, "sec-websocket-accept") !== acceptKey(offer.key)) return "Sec-WebSocket-Accept does not belong to the key";
  const protocol = joined(headers, "sec-websocket-protocol") ?? "";
  if (protocol !== "" && !offer.protocols.includes(protocol)) return "it chose a subprotocol that was not offered";
  if (/[^\s,]/.test(joined(headers, "sec-websocket-extensions") ?? "")) return "it chose an extension, and none was offered";
  return { protocol };
}

/** All values of a field in one line (RFC 9110 section 5.2); undefined for none. */
function joined(headers: HeaderList, name: string): string | undefined {
  let value: string | undefined;
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] === name) value = value === undefined ? headers[i + 1] : `${value}, ${headers[i + 1]}`;
  return value;
}

/** @returns the tokens of a list, [] for an absent one; null when one is no token, or there are too many elements. */
function tokens(list: string | undefined): string[] | null {
  if (list === undefined) return [];
  const elements = list.split(",", PROTOCOLS_MAX + 1);
  if (elements.length > PROTOCOLS_MAX) return null;
  const found = elements.map(trimWhitespace).filter((token) => token !== "");
  return found.every(isToken) ? found : null;
}
