// Concurrent misses: one question to the origin, followers as the body comes, whoever goes; and nothing that is one client's reaches another.
import { afterEach, describe, expect, it, vi } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import { PINS } from "../../../../src/shared/cache/layout.ts";
import { tagNumber, urlNumber } from "../../../../src/shared/cache/names.ts";
import { dealt, field, fresh, held, NOTHING_HELD, startCached, statusOf } from "../../../support/cached-route.ts";
import type { PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";

let worker: PlayedWorker;
const URL_OF_X = "http://api.example.com/x";
afterEach(() => {
  expect(worker.faults).toEqual([]);
  expect(held(worker)).toEqual(NOTHING_HELD);
  worker.stop();
});

const ask = (count: number, path = "/x"): PlayedClient[] => Array.from({ length: count }, () => worker.ask(path));

describe("concurrent misses", () => {
  it("of one key are one question, and all get the answer, of known length", async () => {
    worker = await startCached();
    const clients = ask(50);
    worker.last.head(200, fresh(), 10).data("01234").data("56789").end();
    expect(worker.calls).toHaveLength(1);
    expect(clients.map((x) => [statusOf(x), x.body, x.ended])).toEqual(clients.map(() => [200, "0123456789", true]));
    expect(dealt(clients[1] as PlayedClient)).toContain("collapsed");
    expect(worker.ask("/x").body).toBe("0123456789");
    expect(worker.calls).toHaveLength(1);
  });

  it("of one key are one question when the length is not known", async () => {
    worker = await startCached();
    const clients = ask(50);
    worker.last.head(200, fresh()).data("01234").data("56789").end();
    expect(clients.map((x) => [x.body, x.ended])).toEqual(clients.map(() => ["0123456789", true]));
    expect(dealt(worker.ask("/x"))).toContain("; hit");
    expect(worker.calls).toHaveLength(1);
  });

  it("join while the body comes, and get it from its beginning, with an Age (RFC 9111 section 4.2.3)", async () => {
    worker = await startCached();
    const first = worker.ask("/x");
    worker.last.head(200, fresh("age", "7"), 4).data("ab");
    const late = worker.ask("/x");
    expect([first.body, late.body]).toEqual(["ab", "ab"]);
    expect(field(late, "age")).toBe("7");
    worker.last.data("cd").end();
    expect([first.body, late.body]).toEqual(["abcd", "abcd"]);
  });

  it("go on when the one who came first leaves at half, and the answer is stored", async () => {
    worker = await startCached();
    const [first, second] = ask(2) as [PlayedClient, PlayedClient];
    worker.last.head(200, fresh(), 4).data("ab");
    first.leave();
    expect(worker.last.cancelled).toBe(false);
    worker.last.data("cd").end();
    expect(second.body).toBe("abcd");
    expect(dealt(worker.ask("/x"))).toContain("; hit");
  });

  it("go on when the one who came first leaves before the head", async () => {
    worker = await startCached();
    const [first, second] = ask(2) as [PlayedClient, PlayedClient];
    first.leave();
    worker.last.head(200, fresh(), 2).data("ab").end();
    expect(second.body).toBe("ab");
    expect(worker.calls).toHaveLength(1);
  });

  it("end the question when all have left before the head, and finish it for the store when they leave behind it", async () => {
    worker = await startCached();
    for (const x of ask(3)) x.leave();
    expect(worker.last.cancelled).toBe(true);
    const clients = ask(3, "/y");
    const behind = worker.last;
    behind.head(200, fresh(), 4).data("ab");
    for (const x of clients) x.leave();
    behind.data("cd").end();
    expect(worker.ask("/y").body).toBe("abcd");
  });

  it("with one slow client hold up neither the origin nor the others", async () => {
    worker = await startCached();
    const slow = worker.ask("/x");
    slow.slow = true;
    const fast = worker.ask("/x");
    worker.last.head(200, fresh(), 9).data("abc").data("def").data("ghi").end();
    expect(worker.last.paused).toBe(false);
    expect(fast.ended).toBe(true);
    expect(slow.body).toBe("abc");
    slow.drain();
    expect(slow.body).toBe("abcdefghi");
    expect(slow.ended).toBe(true);
  });
});

it("interim responses reach the one whose request was sent, and are no part of what is stored (RFC 9111 section 3)", async () => {
  worker = await startCached();
  const [one, two] = [worker.ask("/x"), worker.ask("/x")];
  worker.last.handler.wireInterim?.(103, ["link", "</a.css>; rel=preload", "x-secret", "1"]);
  worker.last.head(200, fresh(), 1).data("a").end();
  const three = worker.ask("/x");
  expect([one, two, three].map(({ body, interim }) => [body, interim])).toEqual([
    ["a", [[103, "link", "</a.css>; rel=preload"]]],
    ["a", []],
    ["a", []],
  ]);
});

describe("a request behind a purge, or a change of its URL, never gets what was asked for before it", () => {
  const changes: readonly (readonly [string, () => void])[] = [
    [
      "a POST",
      () => {
        worker.ask("/x", { method: "POST" });
        worker.last.head(200, [], 0).end();
      },
    ],
    ["a purge of its URL", () => worker.services.purges.purgeUrl(urlNumber(URL_OF_X), false)],
    ["a soft purge of its URL", () => worker.services.purges.purgeUrl(urlNumber(URL_OF_X), true)],
    ["a purge of a tag that the answer may have", () => worker.services.purges.purgeTag(tagNumber("other"), false)],
    ["a purge of a prefix, or of everything", () => worker.services.purges.beginWalk()],
  ];

  it.each(changes)("%s before the head comes", async (_, change) => {
    worker = await startCached();
    const before = ask(2);
    const old = worker.last;
    change();
    const after = ask(2);
    const young = worker.last;
    expect(young).not.toBe(old);
    old.head(200, fresh(), 3).data("old").end();
    young.head(200, fresh(), 3).data("new").end();
    expect(before.map((x) => x.body)).toEqual(["old", "old"]);
    expect(after.map((x) => x.body)).toEqual(["new", "new"]);
    expect(worker.ask("/x").body).toBe("new");
  });

  it.each(changes.filter(([name]) => !name.includes("tag")))("%s while the body comes", async (_, change) => {
    worker = await startCached();
    const before = worker.ask("/x");
    const old = worker.last.head(200, fresh(), 3).data("o");
    change();
    const after = worker.ask("/x");
    worker.last.head(200, fresh(), 3).data("new").end();
    old.data("ld").end();
    expect([before.body, after.body, worker.ask("/x").body]).toEqual(["old", "new", "new"]);
  });

  it("a purge of a tag, while a body without tags comes, concerns nobody who waits for it", async () => {
    worker = await startCached();
    const before = worker.ask("/x");
    const call = worker.last.head(200, fresh(), 3).data("o");
    worker.services.purges.purgeTag(tagNumber("other"), false);
    const after = worker.ask("/x");
    call.data("ne").end();
    expect([before.body, after.body]).toEqual(["one", "one"]);
    expect(worker.calls).toHaveLength(1);
  });
});

describe("a stored response that is purged while it is validated", () => {
  it("is given to nobody who asks behind the purge, and its 304 does not bring it back", async () => {
    worker = await startCached();
    const etag: HeaderList = ["cache-control", "no-cache", "etag", '"a"'];
    worker.ask("/x");
    worker.last.head(200, etag, 3).data("old").end();
    worker.services.purges.beginWalk(); // of a prefix, or of everything: it has not come by yet
    const before = worker.ask("/x");
    const validation = worker.last;
    expect(validation.request.headers).toContain("if-none-match");
    expect(worker.services.responses.removeWhere(0, worker.services.responses.buckets, () => true)).toBe(1);
    const after = worker.ask("/x");
    expect(worker.calls).toHaveLength(3);
    expect(worker.last.request.headers).not.toContain("if-none-match");
    validation.head(304, etag).end();
    expect(before.body).toBe("old");
    expect(after.started).toBe(false);
    worker.last.head(200, etag, 3).data("new").end();
    expect(after.body).toBe("new");
  });

  it("is not brought back by a 304 either when nobody has asked behind the purge", async () => {
    worker = await startCached();
    const etag: HeaderList = ["cache-control", "no-cache", "etag", '"a"'];
    worker.ask("/x");
    worker.last.head(200, etag, 3).data("old").end();
    worker.services.purges.beginWalk();
    worker.ask("/x");
    worker.services.responses.removeWhere(0, worker.services.responses.buckets, () => true);
    worker.last.head(304, etag).end();
    worker.ask("/x");
    expect(worker.last.request.headers).not.toContain("if-none-match");
    worker.last.head(200, etag, 0).end();
  });
});

describe("an answer that is not to be stored", () => {
  it("releases all who wait at once, each with a question of its own, and is remembered", async () => {
    worker = await startCached();
    const clients = ask(20);
    worker.last.head(200, ["cache-control", "private, max-age=60"], 2).data("me").end();
    expect(worker.calls).toHaveLength(20);
    for (const call of worker.calls.slice(1)) call.head(200, ["cache-control", "private"], 2).data("me").end();
    expect(clients.map((x) => x.body)).toEqual(clients.map(() => "me"));
    ask(2);
    expect(worker.calls).toHaveLength(22);
    for (const call of worker.calls.slice(20)) call.head(200, fresh(), 0).end();
  });

  it("goes to the one whose request it answers and to nobody else, even when that one has left", async () => {
    worker = await startCached();
    const alice = worker.ask("/x", { headers: ["cookie", "user=alice"] });
    const bob = worker.ask("/x", { headers: ["cookie", "user=bob"] });
    alice.leave();
    worker.last.head(200, ["cache-control", "private"], 5).data("alice").end();
    expect(bob.body).toBe("");
    expect(worker.calls).toHaveLength(2);
    expect(worker.last.request.headers).toContain("user=bob");
    worker.last.head(200, ["cache-control", "private"], 3).data("bob").end();
    expect(bob.body).toBe("bob");
  });

  it("of a request with Authorization does not keep those without from being collapsed", async () => {
    worker = await startCached();
    worker.ask("/x", { headers: ["authorization", "Basic YTpi"] });
    worker.last.head(200, fresh(), 1).data("a").end();
    const clients = ask(5);
    expect(worker.calls).toHaveLength(2);
    worker.last.head(200, fresh(), 1).data("b").end();
    expect(clients.map((x) => x.body)).toEqual(["b", "b", "b", "b", "b"]);
  });

  it("is cut loose when it outgrows the bounds while its length is not known: those who have begun get all of it, nobody else joins", async () => {
    worker = await startCached({ top: "cache: { maxObject: 1KiB }" });
    const clients = ask(2);
    const big = "x".repeat(700);
    worker.last.head(200, fresh()).data(big).data(big);
    const late = worker.ask("/x");
    expect(worker.calls).toHaveLength(2);
    worker.calls[0]?.data(big).end();
    expect(clients.map((x) => [x.body.length, x.ended])).toEqual([
      [2100, true],
      [2100, true],
    ]);
    worker.last.head(200, fresh()).data(big).end();
    expect(late.body).toHaveLength(700);
  });

  it("that outgrew its bounds is not fetched on when its last client leaves", async () => {
    worker = await startCached({ top: "cache: { maxObject: 1KiB }" });
    const x = worker.ask("/x");
    worker.last.head(200, fresh()).data("x".repeat(2000));
    x.leave();
    expect(worker.last.cancelled).toBe(true);
  });

  it("that outgrew its bounds waits for a slow client, within the bound", async () => {
    worker = await startCached({ top: "cache: { maxObject: 1KiB }" });
    const x = worker.ask("/x");
    x.slow = true;
    worker.last.head(200, fresh()).data("x".repeat(2000)).data("y".repeat(2000));
    expect(worker.last.paused).toBe(true);
    x.drain();
    expect(worker.last.paused).toBe(false);
    worker.last.end();
    expect(x.body).toHaveLength(4000);
  });

  it("with trailers is passed on with them, and not stored", async () => {
    worker = await startCached();
    const x = worker.ask("/x");
    worker.last.head(200, fresh()).data("ab");
    worker.last.end({ headers: ["x-sum", "1"] } as never);
    expect(x.body).toBe("ab");
    worker.ask("/x");
    expect(worker.calls).toHaveLength(2);
    worker.last.head(200, fresh(), 0).end();
  });

  it("because it broke off cuts those who have begun, and leaves nothing", async () => {
    worker = await startCached();
    const clients = ask(2);
    worker.last.head(200, fresh(), 4).data("ab").fail();
    expect(clients.map((x) => x.cut)).toEqual([true, true]);
    worker.ask("/x");
    expect(worker.calls).toHaveLength(2);
    worker.last.head(200, fresh()).data("cd").fail();
    worker.ask("/x");
    expect(worker.calls).toHaveLength(3);
    worker.last.head(200, fresh(), 0).end();
  });

  it("for want of room in the store is remembered for a second, not for ten", async () => {
    worker = await startCached();
    const { responses } = worker.services;
    const held = Array.from({ length: PINS }, (_, i) => responses.reserve(`held${i}`, { owner: 0, headBytes: 0, bodyBytes: 1 }));
    const [first] = ask(1) as [PlayedClient];
    worker.last.head(200, fresh(), 2).data("me").end();
    expect([first.body, dealt(first)]).toEqual(["me", expect.stringContaining("detail=not-stored")]);
    for (const each of held) each?.release();
    ask(2);
    expect(worker.calls).toHaveLength(3);
    for (const call of worker.calls.slice(1)) call.head(200, fresh(), 0).end();
    const laterMs = performance.now() + 1001;
    const clock = vi.spyOn(performance, "now").mockReturnValue(laterMs);
    ask(2);
    clock.mockRestore();
    expect(worker.calls).toHaveLength(4);
    worker.last.head(200, fresh(), 0).end();
  });

  it("is one of the origin's errors: it is remembered for a moment only, so that a recovering origin is not asked by all", async () => {
    worker = await startCached();
    const [a, b] = ask(2) as [PlayedClient, PlayedClient];
    worker.last.fail();
    expect([statusOf(a), statusOf(b)]).toEqual([502, 502]);
    ask(5);
    expect(worker.calls).toHaveLength(2);
    worker.last.head(200, fresh(), 0).end();
  });
});

describe("variants", () => {
  it("that turn out while the body comes are questions of their own, one for each (RFC 9111 section 4.1)", async () => {
    worker = await startCached();
    const langs = ["en", "de", "en", "de", "fr"];
    const clients = langs.map((lang) => worker.ask("/x", { headers: ["accept-language", lang] }));
    expect(worker.calls).toHaveLength(1);
    worker.calls[0]?.head(200, fresh("vary", "Accept-Language"), 2).data("e");
    expect(worker.calls).toHaveLength(3);
    const late = worker.ask("/x", { headers: ["accept-language", "de"] });
    expect(worker.calls).toHaveLength(3);
    worker.calls[1]?.head(200, fresh("vary", "Accept-Language"), 2).data("de").end();
    worker.calls[2]?.head(200, fresh("vary", "Accept-Language"), 2).data("fr").end();
    worker.calls[0]?.data("n").end();
    expect(clients.map((x) => x.body)).toEqual(langs);
    expect(late.body).toBe("de");
    for (const lang of ["en", "de", "fr"]) expect(worker.ask("/x", { headers: ["accept-language", lang] }).body).toBe(lang);
    expect(worker.calls).toHaveLength(3);
  });

  it("of an origin that changes its Vary from answer to answer are never crossed, and end", async () => {
    worker = await startCached();
    const clients = ["a", "b", "c"].map((v) => worker.ask("/x", { headers: ["x-a", v, "x-b", v] }));
    const varies = ["x-a", "x-b", "x-a"];
    for (let i = 0; i < worker.calls.length && i < 10; i++) {
      const call = worker.calls[i];
      const own = call?.request.headers[(call.request.headers.indexOf("x-a") ?? 0) + 1] ?? "";
      call
        ?.head(200, fresh("vary", varies[i % 3] ?? ""), 1)
        .data(own)
        .end();
    }
    expect(clients.map((x) => x.body)).toEqual(["a", "b", "c"]);
  });

  it("are told apart by what the origin was sent: an answer that varies by what the gateway writes for one client is nobody else's", async () => {
    worker = await startCached();
    for (const name of ["x-forwarded-for", "x-request-id", "x-real-ip", "forwarded", "via"]) {
      const before = worker.calls.length;
      worker.ask(`/${name}`);
      worker.last.head(200, fresh("vary", name), 1).data("1").end();
      worker.ask(`/${name}`);
      const isSent = worker.last.request.headers.includes(name);
      expect([name, worker.calls.length - before]).toEqual([name, isSent ? 2 : 1]);
      if (isSent) worker.last.head(200, fresh("vary", name), 1).data("2").end();
    }
  });
});

describe("what is one client's alone", () => {
  it("such as a cookie that `private=` or `no-cache=` names reaches the one who asked, and neither followers nor the store (RFC 9111 section 5.2.2.7)", async () => {
    worker = await startCached();
    const [first, second] = ask(2) as [PlayedClient, PlayedClient];
    worker.last
      .head(200, ["cache-control", 'max-age=60, private="set-cookie, x-own"', "set-cookie", "sid=first", "x-own", "1"], 2)
      .data("ab");
    const third = worker.ask("/x");
    worker.last.end();
    const fourth = worker.ask("/x");
    expect(field(first, "set-cookie")).toBe("sid=first");
    for (const x of [second, third, fourth]) expect([field(x, "set-cookie"), field(x, "x-own")]).toEqual([null, null]);
  });
});
