// Owns admitting the requests of one connection: a header section that comes again, as it mostly does, is admitted by what was found out about it before.
// That belongs to one runtime and to nothing but the section: method, target and version are judged each time. Must never remember what was refused.
import type { HeaderList } from "../../../base/header-list.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Refusal } from "../../exchange/refusal.ts";
import { type AdmittedSection, admit, admitAgain, expectsContinue, rememberSection } from "../admit.ts";
import type { ListenerHost } from "../listener.ts";
import { FIELDS_USUAL, FIELDS_WRONG, readFields } from "./fields.ts";
import type { HeadReader } from "./head-reader.ts";
import { KnownLines } from "./known-lines.ts";
import { readRequestLine, sentTarget } from "./request-line.ts";

const BAD_FIELDS: Refusal = { code: "bad_request", detail: "not valid HTTP (RFC 9112): a line of the header section is no field" };

export class Admission {
  /** The section that is remembered, with the empty line behind it; '' for none. */
  section = "";
  /** Of the request that was admitted last. */
  isServerOptions = false;
  private readonly host: ListenerHost;
  private readonly secure: boolean;
  private admitted: AdmittedSection | null = null;
  private readonly lines = new KnownLines();
  /** The section that came last, of those that are not remembered. */
  private last = "";

  constructor(host: ListenerHost, secure: boolean) {
    this.host = host;
    this.secure = secure;
  }

  /** Before the head of a request is read that is to be served by this runtime. */
  prepare(runtime: Exchange["runtime"]): void {
    if (this.admitted !== null && this.admitted.runtime !== runtime) this.forget();
  }

  /** @param head as it was found @returns null when the exchange may be handled */
  admit(x: Exchange, head: HeadReader): Refusal | null {
    const { text, lineEnd, end } = head;
    this.isServerOptions = false;
    const known = head.isKnown ? this.admitted : null;
    const headers: HeaderList = known === null ? x.headers : NONE;
    const fields = known === null ? this.lines.read(text, lineEnd + 2, end - 2, headers) : FIELDS_USUAL;
    if (fields === FIELDS_WRONG) return this.refuse(x, text, head.faultIn(x.runtime.limits) ?? BAD_FIELDS);
    const line = readRequestLine(text, lineEnd, this.secure);
    if ("code" in line) return this.refuse(x, text, head.faultIn(x.runtime.limits) ?? line);
    if (line.http10 === true) x.protocol = "http/1.0";
    const isPlain = line.http10 !== true && line.authority === undefined && line.isServerOptions !== true;
    if (known !== null && isPlain) {
      const refusal = admitAgain(x, line, this.host.paths, known);
      x.awaitsContinue = known.expectsContinue && !x.bodyDone;
      return refusal;
    }
    if (known !== null) readFields(text, lineEnd + 2, end - 2, x.headers);
    line.usualValues = fields === FIELDS_USUAL && known === null;
    const refusal = admit(x, line, this.host.paths);
    x.awaitsContinue = !x.bodyDone && line.http10 !== true && expectsContinue();
    if (line.isServerOptions === true) {
      this.isServerOptions = refusal === null;
      x.path = "*";
    }
    if (refusal === null && isPlain) this.remember(x, text.slice(lineEnd + 2, end));
    return refusal;
  }

  /** When it comes for the second time: one that is another each time is not worth the memory. */
  private remember(x: Exchange, section: string): void {
    if (section !== this.last) {
      this.last = section;
      return;
    }
    this.section = section;
    this.admitted = rememberSection(x);
  }

  private forget(): void {
    this.section = this.last = "";
    this.admitted = null;
  }

  private refuse(x: Exchange, text: string, refusal: Refusal): Refusal {
    const line = text.slice(0, Math.max(0, text.indexOf("\r\n")));
    x.unadmitted = sentTarget(line);
    x.method = line.slice(0, Math.max(0, line.indexOf(" "))).slice(0, METHOD_CHARS_SHOWN);
    return refusal;
  }
}

const NONE: HeaderList = [];
/** Of a method in the log. */
const METHOD_CHARS_SHOWN = 32;
