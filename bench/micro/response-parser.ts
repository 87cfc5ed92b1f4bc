// What reading a response costs: a small one whole, one in chunks, one that arrives in pieces.
import { ResponseParser } from "../../src/data/upstream/transport/http1/response-parser.ts";
import type { Micro } from "./measure.ts";

const HEAD = `HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 01 Jan 2029 00:00:00 GMT\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n`;
const FIXED = Buffer.from(`${HEAD}Content-Length: 256\r\n\r\n${"x".repeat(256)}`, "latin1");
const CHUNKED = Buffer.from(`${HEAD}Transfer-Encoding: chunked\r\n\r\n${`80\r\n${"x".repeat(128)}\r\n`.repeat(2)}0\r\n\r\n`, "latin1");

function reading(pieces: readonly Buffer[]): Micro["prepare"] {
  return () => {
    const seen = { heads: 0, bytes: 0, ends: 0 };
    const parser = new ResponseParser({
      head: () => {
        seen.heads++;
      },
      body: (chunk) => {
        seen.bytes += chunk.length;
      },
      end: () => {
        seen.ends++;
      },
    });
    const run = (count: number): number => {
      for (let i = 0; i < count; i++) {
        parser.expect("GET");
        for (const piece of pieces) if (parser.push(piece) !== "") return Number.NaN;
      }
      return seen.bytes;
    };
    run(1);
    if (seen.heads !== 1 || seen.bytes !== 256 || seen.ends !== 1) throw new Error(`wrongly read: ${JSON.stringify(seen)}`);
    return run;
  };
}

export const MICRO: readonly Micro[] = [
  { name: "256 bytes with a length, in one piece", prepare: reading([FIXED]) },
  { name: "256 bytes in two chunks, in one piece", prepare: reading([CHUNKED]) },
  { name: "256 bytes with a length, head cut in two", prepare: reading([FIXED.subarray(0, 60), FIXED.subarray(60)]) },
];
