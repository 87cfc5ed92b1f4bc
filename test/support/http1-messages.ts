// Owns requests of HTTP/1.x by chance: mostly valid, with one thing or another wrong, alone or one behind the other. Bytes as characters.
import { Chance } from "./random-upstream.ts";

const METHODS = ["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"];
const ODD_METHODS = ["get", "G ET", "", "FOO", "GET\t", "G\0ET", "CONNECT", "TRACE", "M-SEARCH", "GE(T", "PRI", "X".repeat(40)];
const TARGETS = ["/", "/a", "/a/b?c=d", "/a?b=%20", "/a%20b", "http://a.example/x", "http://a.example:80/x?y", "*", "/a?"];
const ODD_TARGETS = [
  "",
  "a",
  "/a b",
  "/a#b",
  "/\x7f",
  "/\xe9",
  "//x",
  "/../x",
  "http://",
  "https://a.example/",
  "/a\tb",
  "/a\rb",
  "*x",
  "a.example:80",
  "/\0",
];
const VERSIONS = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"];
const ODD_VERSIONS = ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP/11", "", "HTTP/1.1x", "HTP/1.1", "HTTP/1,1"];
const LINE_ENDS = ["\n", "\r", "\r\r\n", "\r\n\r", "\n\r", "\r\n\n"];
const NAMES = ["x-a", "X-B", "Accept", "User-Agent", "x_c", "cookie", "If-Match", "x.d"];
const ODD_NAMES = ["", "x a", "x-a ", " x-a", "\tx-a", "x(a", "x\0a", "x\xe9", "x\x7f", "x\ra", "x\na", "x:a"];
const VALUES = ["1", "", "b c", "text/html;q=0.9, */*", "\xe9\xff", 'W/"a"', "a\tb", "x".repeat(200)];
const ODD_VALUES = ["a\0b", "a\x01b", "a\x7fb", "a\rb", "a\nb", "a\r\n b", "a\r\n\tb", "\x0b", "a\x1b"];
const SEPARATORS = [": ", ":", ":  ", ":\t", ": \t "];
const ODD_SEPARATORS = [" :", "", " ", "=", "\t:", " : "];
const FRAMINGS = ["none", "length", "length", "chunked", "chunked"];
const ODD_LENGTHS = ["-1", "+5", "5, 5", "0x5", "", " 5", "5 ", "05", "99999999999999999999", "5\t", "5a", "1e1"];
const ODD_CODINGS = [
  "identity",
  "gzip",
  "chunked, chunked",
  "gzip, chunked",
  "xchunked",
  "Chunked",
  "chunked,",
  "",
  "chunked;a=b",
  "\x0bchunked",
];
const ODD_CHUNKS = [
  "g\r\n",
  "5\n",
  "0x2\r\n",
  "-1\r\n",
  "\r\n",
  "2;a=\r\n",
  "2;\r\n",
  "2 ;a\r\n",
  " 2\r\n",
  "2\r\nabc\r\n",
  "ffffffffffffffffff\r\n",
  '2;a="b\r\n',
  "2\r\nab\n",
];
const CHUNK_EXTENSIONS = ["", "", "", ";a", ";a=b", ';a="b c"', ";a;b=c"];
const TRAILERS = ["", "", "x-t: 1\r\n", "x-t: 1\r\nx-u: 2\r\n"];
const ODD_TRAILERS = ["Content-Length: 5\r\n", "x t: 1\r\n", "x-t: 1\n", "x-t\r\n", "x-t: \0\r\n", "Transfer-Encoding: chunked\r\n"];
const CONNECTIONS = ["close", "keep-alive", "Upgrade", "x-a", "keep-alive, x-b"];

/** One thing in so many is odd. */
const ODD = 0.03;

export class MessageMaker {
  readonly #chance: Chance;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
  }

  /** One to three requests. */
  next(): string {
    const { rnd } = this.#chance;
    let bytes = "";
    for (let i = 0; i <= Math.floor(rnd() * 3); i++) bytes += this.#blank() + this.#request();
    if (this.#chance.chance(0.15)) bytes = this.#damaged(bytes);
    if (this.#chance.chance(0.05)) bytes = bytes.slice(0, Math.floor(rnd() * bytes.length));
    return bytes;
  }

  #pick(usual: readonly string[], odd: readonly string[]): string {
    return this.#chance.pick(this.#chance.chance(ODD) ? odd : usual);
  }

  #blank(): string {
    return this.#chance.chance(0.04) ? this.#chance.pick(["\r\n", "\n", "\r\n\r\n", " ", "\r"]) : "";
  }

  #end(): string {
    return this.#chance.chance(0.01) ? this.#chance.pick(LINE_ENDS) : "\r\n";
  }

  #request(): string {
    const { rnd } = this.#chance;
    const method = this.#pick(METHODS, ODD_METHODS);
    const gap = this.#pick([" "], ["  ", "\t", ""]);
    let text = `${method}${gap}${this.#pick(TARGETS, ODD_TARGETS)}${this.#pick([" "], ["  ", "\t"])}${this.#pick(VERSIONS, ODD_VERSIONS)}${this.#end()}`;
    const fields: string[] = [];
    if (!this.#chance.chance(0.03))
      fields.push(
        `${this.#chance.pick(["Host", "host", "HOST"])}: ${this.#pick(["a.example", "a.example:80"], ["", "a b", "a,b", "u@a"])}`,
      );
    if (this.#chance.chance(0.02)) fields.push("Host: b.example");
    for (let i = 0; i < Math.floor(rnd() * 4); i++)
      fields.push(
        `${this.#pick(NAMES, ODD_NAMES)}${this.#pick(SEPARATORS, ODD_SEPARATORS)}${this.#pick(VALUES, ODD_VALUES)}${this.#pick([""], [" ", "\t "])}`,
      );
    if (this.#chance.chance(0.1)) fields.push(`Connection: ${this.#chance.pick(CONNECTIONS)}`);
    if (this.#chance.chance(0.03)) fields.push(`Expect: ${this.#chance.pick(["100-continue", "x"])}`);
    const framing = this.#chance.pick(FRAMINGS);
    const body = framing === "none" ? "" : this.#body(framing, fields);
    for (const each of this.#shuffled(fields)) text += each + this.#end();
    return `${text}${this.#end()}${body}`;
  }

  #body(framing: string, fields: string[]): string {
    const { chance } = { chance: this.#chance };
    const content = "x".repeat(Math.floor(chance.rnd() * 40));
    if (chance.chance(0.02)) fields.push("Content-Length: 3");
    if (chance.chance(0.02)) fields.push("Transfer-Encoding: chunked");
    if (framing === "length") {
      fields.push(`Content-Length: ${this.#pick([String(content.length)], ODD_LENGTHS)}`);
      return content;
    }
    fields.push(`Transfer-Encoding: ${this.#pick(["chunked"], ODD_CODINGS)}`);
    let text = "";
    for (let at = 0; at < content.length; ) {
      const size = 1 + Math.floor(chance.rnd() * 20);
      const piece = content.slice(at, at + size);
      at += size;
      if (chance.chance(ODD)) text += chance.pick(ODD_CHUNKS);
      const hex = chance.pick([piece.length.toString(16), piece.length.toString(16).toUpperCase(), `0${piece.length.toString(16)}`]);
      text += `${hex}${chance.pick(CHUNK_EXTENSIONS)}\r\n${piece}\r\n`;
    }
    return `${text}0${chance.pick(CHUNK_EXTENSIONS)}\r\n${this.#pick(TRAILERS, ODD_TRAILERS)}\r\n`;
  }

  #shuffled(list: string[]): string[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = Math.floor(this.#chance.rnd() * (i + 1));
      [list[i], list[j]] = [list[j] as string, list[i] as string]; // in range
    }
    return list;
  }

  /** A byte is changed, left out or put in. */
  #damaged(bytes: string): string {
    const { rnd } = this.#chance;
    const at = Math.floor(rnd() * bytes.length);
    const byte = this.#chance.pick([String.fromCharCode(Math.floor(rnd() * 256)), "\r", "\n", " ", ":", "\0", "\t", "0", ","]);
    const how = Math.floor(rnd() * 3);
    return bytes.slice(0, at) + (how === 0 ? "" : byte) + bytes.slice(how === 2 ? at : at + 1);
  }
}
