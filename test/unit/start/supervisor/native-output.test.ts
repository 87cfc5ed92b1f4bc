// What native code prints: the chatter of uWebSockets.js is dropped, nothing else is.
import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { expect, it } from "vitest";
import { filterNativeOutput } from "../../../../src/start/supervisor/native-output.ts";

async function passedOn(pieces: readonly string[]): Promise<string> {
  const stream = new PassThrough();
  let text = "";
  filterNativeOutput(stream, (each) => (text += each));
  for (const piece of pieces) stream.write(piece);
  stream.end();
  await finished(stream);
  return text;
}

const CORK = "Warning: uWS.HttpResponse writes must be made from within a corked callback. See documentation\n";

it("drops the lines of uWebSockets.js, however they are cut", async () => {
  const text = `${CORK}finding api.example\nBrowsed to SNI: api.example\nFATAL ERROR: out of memory\n`;
  for (const size of [1, 7, 1000]) {
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));
    expect(await passedOn(pieces)).toBe("FATAL ERROR: out of memory\n");
  }
});

it("passes on everything else whole, also what has no line end and what is longer than a line may be", async () => {
  const long = "x".repeat(100_000);
  expect(await passedOn(["(node:1) Warning: a\n", long, "\nthe last words"])).toBe(`(node:1) Warning: a\n${long}\nthe last words`);
  expect(await passedOn(["a line about finding something\n"])).toBe("a line about finding something\n");
});
