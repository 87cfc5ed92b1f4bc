import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { OperatorError } from "../../../src/base/errors.ts";
import { FileSink, StreamSink } from "../../../src/observe/log-sink.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-sink-"));
});
afterEach(() => rm(directory, { recursive: true }));

const at = (name: string): string => join(directory, name);
const read = (name: string): Promise<string> => readFile(at(name), "latin1");

describe("a file", () => {
  test("is appended to, in order", async () => {
    for (const round of ["a", "b"]) {
      const sink = await FileSink.open(at("log"));
      for (let i = 0; i < 3; i++) expect(sink.write(Buffer.from(`${round}${i}\n`), 1)).toBe(true);
      await sink.close(1000);
    }
    expect(await read("log")).toBe("a0\na1\na2\nb0\nb1\nb2\n");
  });

  test("moved away: lines go there until reopen, then to a new file, and none is lost or cut", async () => {
    const sink = await FileSink.open(at("log"));
    sink.write(Buffer.from("one\n"), 1);
    await rename(at("log"), at("log.1"));
    sink.write(Buffer.from("two\n"), 1);
    await sink.reopen();
    sink.write(Buffer.from("three\n"), 1);
    await sink.close(1000);
    expect([await read("log.1"), await read("log")]).toEqual(["one\ntwo\n", "three\n"]);
  });

  test("that cannot be reopened: the old one stays in use", async () => {
    const sink = await FileSink.open(at("log"));
    await rename(at("log"), at("log.1"));
    await mkdir(at("log"));
    await expect(sink.reopen()).rejects.toThrow(OperatorError);
    sink.write(Buffer.from("still\n"), 1);
    await sink.close(1000);
    expect(await read("log.1")).toBe("still\n");
  });

  test("that cannot be opened yet is tried again, and the lines that came meanwhile are in it, up to the bound", async () => {
    const sink = await FileSink.openLater(at("missing/log"), { bufferBytesMax: 10, retryMs: 5 });
    expect(sink.failure).toContain("cannot open the log file");
    expect([sink.write(Buffer.from("one\n"), 1), sink.write(Buffer.from("too much\n"), 2)]).toEqual([true, false]);
    await mkdir(at("missing"));
    await vi.waitFor(() => expect(sink.failure).toBeNull());
    sink.write(Buffer.from("two\n"), 1);
    await sink.close(1000);
    expect([await read("missing/log"), sink.dropped]).toEqual(["one\ntwo\n", 2]);
  });

  test("that cannot be opened yet is opened by a reopen, and closed while it waits without a trace", async () => {
    const sink = await FileSink.openLater(at("missing/log"), { retryMs: 3_600_000 });
    sink.write(Buffer.from("one\n"), 1);
    await expect(sink.reopen()).rejects.toThrow(OperatorError);
    await mkdir(at("missing"));
    await sink.reopen();
    await sink.close(1000);
    expect(await read("missing/log")).toBe("one\n");
    const other = await FileSink.openLater(at("never/log"), { retryMs: 3_600_000 });
    await other.close(1000);
  });

  test("over the bound: drops whole writes and counts their records", async () => {
    const sink = await FileSink.open(at("log"), 10);
    expect([sink.write(Buffer.from("123456\n"), 1), sink.write(Buffer.from("1234\n"), 3)]).toEqual([true, false]);
    await sink.close(1000);
    expect([await read("log"), sink.dropped]).toEqual(["123456\n", 3]);
  });

  test("on a full disk: drops, counts, says why, and recovers nothing silently", async () => {
    const sink = await FileSink.open("/dev/full");
    sink.write(Buffer.from("lost\n"), 2);
    await vi.waitFor(() => expect(sink.dropped).toBe(2), { timeout: 5000 });
    expect(sink.failure).toMatch(/ENOSPC/);
    await sink.close(1000);
  });

  test.each([
    ["in no directory", async () => at("missing/log")],
    ["that is a directory", async () => directory],
    [
      "that is a pipe",
      async () => {
        await once(spawn("mkfifo", [at("pipe")]), "exit");
        return at("pipe");
      },
    ],
  ])("%s is refused by name", async (_name, prepare) => {
    const path = await prepare();
    const error = await FileSink.open(path).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OperatorError);
    expect(String(error)).toContain(path);
  });
});

describe("a stream", () => {
  test("takes lines, and close waits until they are written", async () => {
    const stream = new PassThrough();
    const sink = new StreamSink(stream);
    sink.write(Buffer.from("one\n"), 1);
    await sink.close(1000);
    stream.end();
    expect(await text(stream)).toBe("one\n");
  });

  test("whose reader is slow: drops beyond the bound, takes again when there is room", async () => {
    const stream = new PassThrough({ highWaterMark: 1 });
    const sink = new StreamSink(stream, 8);
    const taken = [1, 2, 3, 4].map(() => sink.write(Buffer.from("1234\n"), 1));
    expect(taken.filter(Boolean).length).toBeLessThan(4);
    expect(sink.dropped).toBe(taken.filter((ok) => !ok).length);
    stream.resume();
    await vi.waitFor(() => expect(stream.writableLength).toBe(0), { timeout: 5000 });
    expect(sink.write(Buffer.from("1234\n"), 1)).toBe(true);
  });

  test("whose reader went away: drops, says why, and close does not wait", async () => {
    const stream = new PassThrough();
    const sink = new StreamSink(stream);
    stream.destroy(new Error("EPIPE"));
    await vi.waitFor(() => expect(sink.failure).toBe("EPIPE"), { timeout: 5000 });
    expect([sink.write(Buffer.from("x\n"), 2), sink.dropped]).toEqual([false, 2]);
    await sink.close(60_000);
  });

  test("whose reader never reads: close gives up", async () => {
    const stream = new PassThrough({ highWaterMark: 1 });
    const sink = new StreamSink(stream);
    sink.write(Buffer.alloc(100_000), 1);
    await sink.close(20);
    expect(stream.writableLength).toBeGreaterThan(0);
  });
});

test("standard output that is a file keeps what others write there", async () => {
  const module = new URL("../../../src/observe/log-sink.ts", import.meta.url).href;
  const script = `const { writeSync } = await import("node:fs"); const sink = await (await import(${JSON.stringify(module)})).openLogSink("stdout");
    sink.write(Buffer.from("one\\n"), 1); writeSync(1, "two\\n"); sink.write(Buffer.from("three\\n"), 1); await sink.close(1000);`;
  const file = await open(at("out"), "w");
  await once(spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", file.fd, "inherit"] }), "exit");
  await file.close();
  expect(await read("out")).toBe("one\ntwo\nthree\n");
});

test("a process can exit although nobody reads its standard output", async () => {
  const module = new URL("../../../src/observe/log-sink.ts", import.meta.url).href;
  const script = `const sink = await (await import(${JSON.stringify(module)})).openLogSink("stdout");
    sink.write(Buffer.alloc(1 << 20, 97), 1); await sink.close(50); process.exit(7);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [code] = await once(child, "exit");
  child.stdout.destroy();
  expect(code).toBe(7);
});
