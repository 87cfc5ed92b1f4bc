// Owns making a request of what a HEADERS frame says (RFC 9113 section 8.3), to be admitted like any other: target, authority and Host against each other, how its
// body is framed, a WebSocket (RFC 8441). A section that comes again is admitted by what was found out about it before. Must never remember what was refused.
import { randomBytes } from "node:crypto";
import { type HeaderList, removeHeaders } from "../../../base/header-list.ts";
import type { HeaderSection } from "../../../base/http2/header-section.ts";
import { NAME_AUTHORITY } from "../../../base/http2/hpack-fields.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Refusal } from "../../exchange/refusal.ts";
import { type AdmittedSection, admit, admitAgain, expectsContinue, type RequestLine, rememberSection } from "../admit.ts";
import type { ListenerHost } from "../listener.ts";

const bad = (detail: string): Refusal => ({ code: "bad_request", detail });

const BAD_SCHEME = bad(":scheme is not the one of this connection (RFC 9113 section 8.3.1)");
const BAD_PATH = bad(":path is neither a path nor, with OPTIONS, an asterisk (RFC 9113 section 8.3.1)");
const BAD_AUTHORITY = bad(":authority is empty, or Host says something else (RFC 9113 section 8.3.1)");
const ENDED_TUNNEL = bad("a WebSocket whose client has ended it already (RFC 8441 section 5)");
const BAD_PROTOCOL: Refusal = { code: "method_not_implemented", detail: "the only :protocol accepted is websocket (RFC 8441 section 4)" };

/** What stands for a request line. */
interface Http2RequestLine extends RequestLine {
  readonly isServerOptions: boolean;
  /** An extended CONNECT. */
  readonly webSocket: boolean;
}

const NO_TARGET = { method: "", path: "", query: "" };

export class Http2Admission {
  /** Of the request that was admitted last. */
  isServerOptions = false;
  private readonly host: ListenerHost;
  private readonly secure: boolean;
  private readonly peer: string;
  /** The section that came last, how, and what was made of it. */
  private last: HeaderSection | null = null;
  private lastEnded = false;
  private line: Http2RequestLine | null = null;
  private admitted: AdmittedSection | null = null;

  constructor(host: ListenerHost, connection: { readonly secure: boolean; readonly peer: string }) {
    this.host = host;
    this.secure = connection.secure;
    this.peer = connection.peer;
  }

  /** @param section of a request that HTTP/2 has nothing against @param ended there is no content @returns null when the exchange may be handled */
  admit(x: Exchange, section: HeaderSection, ended: boolean): Refusal | null {
    this.isServerOptions = false;
    if (section.tooLarge) {
      x.unadmitted = NO_TARGET;
      const { headerBytes, uriBytes } = x.runtime.limits;
      return { code: "headers_too_large", detail: `the header section is larger than ${headerBytes} bytes and a target of ${uriBytes}` };
    }
    const again = section === this.last && ended === this.lastEnded && this.line !== null;
    if (again && this.admitted !== null && this.admitted.runtime === x.runtime) {
      const refusal = admitAgain(x, this.line as RequestLine, this.host.paths, this.admitted); // `again` says so
      x.awaitsContinue = this.admitted.expectsContinue && !x.bodyDone;
      return refusal;
    }
    return this.admitNew(x, section, ended, again);
  }

  private admitNew(x: Exchange, section: HeaderSection, ended: boolean, again: boolean): Refusal | null {
    this.last = section;
    this.lastEnded = ended;
    this.line = this.admitted = null;
    const line = this.lineOf(x, section, ended);
    if ("code" in line) {
      x.method = section.method;
      x.unadmitted = sentTarget(section.path);
      return line;
    }
    const refusal = admit(x, line, this.host.paths);
    if (refusal !== null) return refusal;
    x.awaitsContinue = !x.bodyDone && expectsContinue();
    if (line.isServerOptions) {
      this.isServerOptions = true;
      x.path = "*";
    } else if (!line.webSocket) {
      this.line = line;
      // When it comes for the second time: one that is another each time is not worth the memory.
      if (again) this.admitted = rememberSection(x);
    }
    return null;
  }

  /** Fills in the exchange's headers too. */
  private lineOf(x: Exchange, section: HeaderSection, ended: boolean): Http2RequestLine | Refusal {
    const { method, path, protocol } = section;
    const headers = section.fields.slice();
    x.headers = headers;
    const authority = authorityOf(section, headers, this.secure);
    if (authority === null) return BAD_AUTHORITY;
    const rest = { isServerOptions: false, webSocket: protocol !== "", streamed: !ended && protocol === "" };
    const form = authority === "" ? rest : { ...rest, authority };
    // Admission refuses it, whatever it names.
    if (method === "CONNECT" && protocol === "") return { method, path: "/", query: "", ...form };
    if (!this.isOwnScheme(x, section.scheme)) return BAD_SCHEME;
    if (protocol !== "") {
      if (protocol !== "websocket") return BAD_PROTOCOL;
      if (ended) return ENDED_TUNNEL;
      askForWebSocket(headers);
    }
    if (path === "*" && method === "OPTIONS") return { method, path: "/", query: "", ...form, isServerOptions: true };
    if (path.charCodeAt(0) !== SLASH) return BAD_PATH;
    return { method: protocol === "" ? method : "GET", ...sentTarget(path), ...form };
  }

  /** A proxy that ends TLS may say what its client said; nobody else may name another scheme than the one it has come by (RFC 9110 section 7.4). */
  private isOwnScheme(x: Exchange, scheme: string): boolean {
    if (scheme === (this.secure ? "https" : "http")) return true;
    return scheme === "https" && x.runtime.trustsPeer(this.peer);
  }
}

const SLASH = 47;

function sentTarget(path: string): { readonly path: string; readonly query: string } {
  const mark = path.indexOf("?");
  return mark < 0 ? { path, query: "" } : { path: path.slice(0, mark), query: path.slice(mark + 1) };
}

/**
 * Sees to it that there is one Host, if any, which says what `:authority` does.
 * @returns what wins over the Host that is there; '' where there is nothing to win; null when they differ
 */
function authorityOf(section: HeaderSection, headers: HeaderList, secure: boolean): string | null {
  const { authority, host } = section;
  if (authority === "") return section.has(NAME_AUTHORITY) ? null : "";
  if (host === "") {
    headers.push("host", authority);
    return "";
  }
  return host === authority || comparable(host, secure) === comparable(authority, secure) ? authority : null;
}

/** RFC 9110 section 4.2.3: equal where letter case and a port that goes without saying differ. */
function comparable(authority: string, secure: boolean): string {
  const port = secure ? ":443" : ":80";
  const text = authority.toLowerCase();
  return text.endsWith(port) ? text.slice(0, -port.length) : text.endsWith(":") ? text.slice(0, -1) : text;
}

/** Of a handshake by HTTP/1.1 (RFC 6455 section 4.1): the key is ours to make (RFC 8441 section 5), and nobody's to choose. */
const KEY_BYTES = 16;

function askForWebSocket(headers: HeaderList): void {
  removeHeaders(headers, (name) => name === "sec-websocket-key" || name === "sec-websocket-accept");
  headers.push("connection", "Upgrade", "upgrade", "websocket", "sec-websocket-key", randomBytes(KEY_BYTES).toString("base64"));
}
