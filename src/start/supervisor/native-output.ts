// Owns what becomes of lines that a primary's native code prints: uWebSockets.js's own chatter is dropped, all else (a crash of Node, a warning) goes on.
// Must never hold more than one line, nor drop what it does not know.
import type { Readable } from "node:stream";

/** Longer lines go on in pieces. */
const LINE_CHARS_MAX = 16 * 1024;

/** What this build of uWebSockets.js prints for each WebSocket, and for each server name of a certificate. */
const CHATTER: readonly string[] = [
  "Warning: uWS.HttpResponse writes must be made from within a corked callback",
  "finding ",
  "Browsed to SNI: ",
  "Cannot browse to SNI: ",
];

/** @param passOn takes text that is no chatter */
export function filterNativeOutput(stream: Readable, passOn: (text: string) => void): void {
  let begun = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (begun + text).split("\n");
    begun = lines.pop() ?? "";
    for (const line of lines) if (!isChatter(line)) passOn(`${line}\n`);
    if (begun.length <= LINE_CHARS_MAX) return;
    passOn(begun);
    begun = "";
  });
  stream.on("error", () => {}); // `close` follows
  stream.once("close", () => {
    if (begun !== "" && !isChatter(begun)) passOn(begun);
  });
}

const isChatter = (line: string): boolean => CHATTER.some((each) => line.startsWith(each));
