// Stored responses and `compress`, on a real gateway with a listener on each engine: each encoding is made once, over all workers, and kept.
import { request } from "node:http";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { CountingOrigin } from "../../support/counting-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";

/** Compressed beside the thread, and to more than one write. */
const LARGE = Array.from({ length: 60_000 }, (_, i) => `${(i * 7919) % 100_003}`).join(" ");
let origin: CountingOrigin;
let gateway: Gateway;

beforeAll(async () => {
  origin = await CountingOrigin.start(({ request, response }) => {
    const body = request.url?.startsWith("/large") === true ? LARGE : `small ${request.url} `.repeat(200);
    response
      .writeHead(200, { "cache-control": "max-age=600", "content-type": "text/plain", etag: '"1"', "content-length": body.length })
      .end(body);
  });
  gateway = await Gateway.start({
    config: `version: 1
workers: 2
admin: { address: 127.0.0.1:0 }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
upstreams: { o: { targets: [{ url: "http://127.0.0.1:${origin.port}" }] } }
routes: [{ name: all, match: { path: "/**" }, to: o, cache: {}, compress: {} }]
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

interface Got {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

function get(engine: Engine, target: string, encoding: string): Promise<Got> {
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  const headers = { host: "shop.example", ...(encoding === "" ? {} : { "accept-encoding": encoding }) };
  request((gateway.urls[ENGINES.indexOf(engine)] ?? "") + target, { headers, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response
      .on("data", (chunk: Buffer) => chunks.push(chunk))
      .on("end", () => resolve({ body: Buffer.concat(chunks), headers: response.headers }));
  })
    .on("error", reject)
    .end();
  return promise;
}

/** Asks until a form is there that was kept: its length is known. */
async function kept(engine: Engine, target: string, encoding: string): Promise<Got> {
  let got: Got | null = null;
  let asking = false;
  await until(`${encoding} of ${target} is kept`, () => {
    if (!asking && got === null) {
      asking = true;
      void get(engine, target, encoding).then((each) => {
        if (each.headers["content-length"] !== undefined) got = each;
        asking = false;
      });
    }
    return got !== null;
  });
  return got ?? expect.fail("nothing is kept");
}

test.each(ENGINES.flatMap((engine) => [`/large/${engine}`, `/small/${engine}`].map((target) => ({ engine, target }))))(
  "an encoding is kept with its length, is the same for everybody, and the body stays as it is for who takes none: $engine $target",
  async ({ engine, target }) => {
    const plain = await get(engine, target, "");
    const gzip = await kept(engine, target, "gzip");
    expect(gunzipSync(gzip.body).equals(plain.body)).toBe(true);
    expect(gzip.headers).toMatchObject({ "content-encoding": "gzip", etag: 'W/"1"', vary: "accept-encoding" });
    expect(Number(gzip.headers["content-length"])).toBe(gzip.body.length);
    const zstd = await kept(engine, target, "zstd, gzip;q=0.5");
    expect(zstdDecompressSync(zstd.body).equals(plain.body)).toBe(true);
    for (const each of ENGINES) {
      const other = await get(each, target, "gzip");
      expect([other.headers["content-length"], other.body.equals(gzip.body)]).toEqual([gzip.headers["content-length"], true]);
      const again = await get(each, target, "identity");
      expect([again.headers["content-encoding"], again.headers["etag"], again.body.equals(plain.body)]).toEqual([undefined, '"1"', true]);
    }
    expect(origin.asked.get(target)).toBe(1);
  },
);
