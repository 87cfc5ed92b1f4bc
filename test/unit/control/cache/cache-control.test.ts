// Purges of a real store, by the primary, while workers store.
import { describe, expect, test } from "vitest";
import { CacheControl } from "../../../../src/control/cache/cache-control.ts";
import { EVERYTHING, type PurgeOrder } from "../../../../src/control/cache/purge-order.ts";
import { ResponseCache } from "../../../../src/data/cache/response-cache.ts";
import type { Plan } from "../../../../src/plan/plan.ts";
import { ownerNumber, type QueryRule, tagNumber, urlNumber } from "../../../../src/shared/cache/names.ts";
import { Reasons } from "../../../../src/shared/cache/reasons.ts";
import { Stamps } from "../../../../src/shared/cache/stamps.ts";
import { ResponseStore } from "../../../../src/shared/cache/store.ts";

const FRESH = {
  initialAge: 0,
  lifetime: 600,
  staleWhileRevalidate: 0,
  staleIfError: 0,
  noCache: false,
  neverStale: false,
  immutable: false,
};

function rig() {
  const buffer = ResponseStore.allocate(8 * 1024 * 1024, 1, new Uint8Array(16).fill(3));
  const stamps = new Stamps(Stamps.allocate());
  const cache = new ResponseCache(new ResponseStore(buffer, 0), stamps);
  const store = new ResponseStore(buffer);
  const reasons = new Reasons(Reasons.allocate());
  const control = new CacheControl({ store, stamps, reasons });
  const keyOf = (url: string) => ({ text: `${url}\nroute\u0000{}\n`, stamp: urlNumber(url) });
  /** Asks for it; what is returned stores the answer. */
  const fill = (url: string, tags: readonly string[] = [], vary: readonly string[] = []) => {
    const key = keyOf(url);
    const begin = cache.begin(key);
    const storable = { freshness: { ...FRESH, receivedMs: Date.now() }, vary, headers: ["content-type", "text/plain"] };
    const entry = {
      key,
      request: [],
      storable,
      status: 200,
      bodyBytes: 4,
      tags: tags.map(tagNumber),
      owner: ownerNumber("route"),
      replaces: null,
    };
    const reservation = cache.reserve(entry, begin) ?? expect.fail("there is no room");
    reservation.body.write("body");
    return () => {
      const stored = reservation.commit();
      reservation.release();
      return stored;
    };
  };
  const put = (url: string, tags?: readonly string[], vary?: readonly string[]) => expect(fill(url, tags, vary)()).toBe(true);
  /** null: not there. */
  const found = (url: string): "fresh" | "soft" | null => {
    const response = cache.find(keyOf(url), []);
    response?.release();
    return response === null ? null : response.isVoid ? "soft" : "fresh";
  };
  return { control, reasons, store, fill, put, found };
}

const order = (changes: Partial<PurgeOrder>): PurgeOrder => ({ ...EVERYTHING, everything: false, ...changes });

/** Of one route with this rule. */
const planWith = (query: QueryRule): Plan =>
  ({ routes: [{ name: "route", handler: { name: "proxy", config: { cache: { query }, to: [] } } }] }) as unknown as Plan; // nothing else is read

describe("a purge", () => {
  test("by URL and by tag is there at once, and needs no walk", () => {
    const { control, put, found } = rig();
    put("https://a/1");
    put("https://a/2", ["red"]);
    put("https://a/3", ["redder"]);
    void control.purge(order({ urls: ["https://a/1"], tags: ["red"] }));
    expect(["https://a/1", "https://a/2", "https://a/3"].map(found)).toEqual([null, null, "fresh"]);
  });

  test("counts URLs by every rule that was ever expected", async () => {
    const { control, put, found } = rig();
    control.expect(planWith({ kind: "only", names: ["b"] }));
    control.expect(planWith({ kind: "except", names: ["c"] }));
    for (const url of ["https://a/x?b=1", "https://a/x?b=1&c=2", "https://a/x?a=0&b=1", "https://a/x?c=2&b=1&a=0"]) put(url);
    await control.purge(order({ urls: ["https://a/x?c=2&b=1&a=0"] }));
    expect(found("https://a/x?b=1")).toBeNull();
    expect(found("https://a/x?a=0&b=1")).toBeNull();
    expect(found("https://a/x?c=2&b=1&a=0")).toBeNull();
    expect(found("https://a/x?b=1&c=2")).toBe("fresh");
  });

  test("by prefix removes what begins so, variants included, and frees their memory", async () => {
    const { control, store, put, found } = rig();
    put("https://a/dir/1", [], ["accept"]);
    put("https://a/dir/2");
    put("https://a/dirt");
    expect(await control.purge(order({ prefixes: ["https://a/dir/"] }))).toEqual({ removed: 3 }); // the note of the variants too
    expect(["https://a/dir/1", "https://a/dir/2", "https://a/dirt"].map(found)).toEqual([null, null, "fresh"]);
    expect(store.counts().objects).toBe(1);
  });

  test("soft leaves what it names, stale", async () => {
    const { control, put, found } = rig();
    for (const name of ["url", "dir/1", "else"]) put(`https://a/${name}`);
    put("https://a/tag", ["red"]);
    await control.purge(order({ soft: true, urls: ["https://a/url"], tags: ["red"], prefixes: ["https://a/dir/"] }));
    expect(["url", "dir/1", "tag", "else"].map((name) => found(`https://a/${name}`))).toEqual(["soft", "soft", "soft", "fresh"]);
    put("https://a/dir/1");
    expect(found("https://a/dir/1")).toBe("fresh");
  });

  test.each<[string, Partial<PurgeOrder>]>([
    ["its URL", { urls: ["https://a/1"] }],
    ["its tag", { tags: ["red"] }],
    ["a prefix", { prefixes: ["https://a/"] }],
    ["everything", { everything: true }],
    ["its URL softly", { urls: ["https://a/1"], soft: true }],
  ])("of %s keeps out what was asked for before it", async (_, changes) => {
    const { control, fill, found } = rig();
    const finish = fill("https://a/1", ["red"]);
    await control.purge(order(changes));
    expect(finish()).toBe(false);
    expect(found("https://a/1")).toBeNull();
  });

  test("of everything, in slices, removes everything of a full store", async () => {
    const { control, store, put } = rig();
    for (let i = 0; i < 5000; i++) put(`https://a/${i}`);
    const { objects } = store.counts();
    expect(objects).toBeGreaterThan(1000);
    expect(await control.purge(EVERYTHING)).toEqual({ removed: objects });
    expect(store.counts()).toMatchObject({ objects: 0, bytes: 0 });
  });
});

describe("a look", () => {
  test("shows each response of a URL with its route, and none of another", async () => {
    const { control, put } = rig();
    control.follow(planWith({ kind: "all" }));
    put("https://a/1", [], ["accept"]);
    put("https://a/11");
    const { stored, lastNotStored } = await control.look("https://a/1");
    expect(stored).toMatchObject([
      { url: "https://a/1", route: "route", status: 200, lifetimeSeconds: 600, stale: false, bodyBytes: 4, vary: ["accept"] },
    ]);
    expect(lastNotStored).toBeNull();
  });

  test("leaves out what is void, and says what was purged softly", async () => {
    const { control, put } = rig();
    put("https://a/1");
    put("https://a/2");
    await control.purge(order({ urls: ["https://a/1"] }));
    await control.purge(order({ urls: ["https://a/2"], soft: true }));
    expect((await control.look("https://a/1")).stored).toEqual([]);
    expect((await control.look("https://a/2")).stored).toMatchObject([{ softlyPurged: true, stale: true }]);
  });

  test("says why the last response was not stored", async () => {
    const { control, reasons } = rig();
    reasons.note(urlNumber("https://a/1"), "private");
    reasons.note(urlNumber("https://a/1"), "set-cookie");
    reasons.note(urlNumber("https://a/2"), "some word of another release");
    expect((await control.look("https://a/1")).lastNotStored).toMatchObject({ reason: "set-cookie" });
    expect((await control.look("https://a/2")).lastNotStored).toBeNull();
  });

  test("at all of it adds up by route", async () => {
    const { control, put } = rig();
    control.follow(planWith({ kind: "all" }));
    put("https://a/1");
    put("https://a/2");
    expect(await control.summary()).toMatchObject({ objects: 2, routes: [{ route: "route", responses: 2, bytes: expect.any(Number) }] });
  });
});
