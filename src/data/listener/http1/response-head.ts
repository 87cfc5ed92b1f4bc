// Writes the head of a response (RFC 9112 section 4) as one text, a character a byte. Must never decide its framing: the exchange does.
import type { HeaderList } from "../../../base/header-list.ts";
import { httpDate } from "../http-date.ts";
import { isResponseTrailer } from "../response-trailers.ts";
import { statusLine } from "../status-line.ts";

/** CR, LF and NUL, by which one response could become two. */
const SPLITS = /[\r\n\0]/;

/** @param framing field lines of the connection and of the body's length, each with its CRLF */
export function responseHead(status: number, headers: HeaderList, framing: string): string {
  let text = status === 200 ? "HTTP/1.1 200 OK\r\n" : `HTTP/1.1 ${statusLine(status)}\r\n`;
  let dated = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (name === "date") dated = true;
    text += name;
    text += ": ";
    text += headers[i + 1];
    text += "\r\n";
  }
  if (!dated) text += `date: ${httpDate()}\r\n`; // RFC 9110 section 6.6.1: of an upstream's response, its own
  text += framing;
  text += "\r\n";
  return text;
}

/** An interim response (RFC 9110 section 15.2). @returns '' for one with a field that must not go out */
export function interimResponse(status: number, headers: HeaderList): string {
  let text = `HTTP/1.1 ${statusLine(status)}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (SPLITS.test(headers[i + 1] as string)) return ""; // i is inside a list of pairs
    text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  }
  return `${text}\r\n`;
}

/** @returns the trailer section, its last line's CRLF included; '' when nothing of it may be sent */
export function trailerLines(trailers: HeaderList): string {
  let text = "";
  for (let i = 0; i + 1 < trailers.length; i += 2) {
    const [name = "", value = ""] = [trailers[i], trailers[i + 1]];
    if (isResponseTrailer(name) && !SPLITS.test(value)) text += `${name}: ${value}\r\n`;
  }
  return text;
}
