// What becomes of addresses in responses: the way back through prefixes and TLS, replacements, and what must never be made of one.
import { describe, expect, it } from "vitest";
import { type Answered, mapped } from "../../../../support/answered.ts";

const AUTO = { response: { location: "auto" } };
/** The client is at https://shop.example.com/shop, the service at http://app.internal:9001. */
const shop: Answered = {
  rewrite: { stripPrefix: "/shop", ...AUTO },
  request: { path: "/shop/a/b", authority: "shop.example.com", scheme: "https" },
};
/** The service knows nothing of its prefix, so that its paths are never taken for the client's. */
const unaware: Answered = { ...shop, rewrite: { stripPrefix: "/shop", forwardPrefix: false, ...AUTO } };
const version: Answered = { ...shop, rewrite: { stripPrefix: "/shop", addPrefix: "/v2", ...AUTO } };
const added: Answered = { ...shop, rewrite: { addPrefix: "/v2", ...AUTO } };
const plain: Answered = { ...shop, rewrite: AUTO };

const location = (setting: Answered, rows: readonly (readonly [from: string, to: string])[]) =>
  it.each(rows)("%s -> %s", (from, to) => {
    expect(mapped(setting, "location", from)).toBe(to);
    expect(mapped(setting, "content-location", from)).toBe(to);
    expect(mapped(setting, "refresh", `5; url=${from}`)).toBe(`5; url=${to}`);
  });

describe("auto, behind a prefix and TLS", () => {
  location(shop, [
    ["http://app.internal:9001/login?x=1#y", "/shop/login?x=1#y"],
    ["HTTP://APP.internal:9001/login", "/shop/login"],
    ["https://app.internal:9001/login", "/shop/login"],
    ["//app.internal:9001/login", "/shop/login"],
    ["http://app.internal:9001", "/shop/"],
    ["http://app.internal:9001?q", "/shop/?q"],
    ["/login?to=http://app.internal:9001/x", "/shop/login?to=http://app.internal:9001/x"],
    ["/", "/shop/"],
    // Services that know of the prefix, or of the client's host.
    ["/shop/login", "/shop/login"],
    ["/shopping", "/shop/shopping"],
    ["https://shop.example.com/shop/login", "/shop/login"],
    ["https://shop.example.com/login", "/shop/login"],
    ["http://shop.example.com:80/login", "/shop/login"],
    // Relative to the path that the service got, /a/b.
    ["c", "/shop/a/c"],
    ["./c?x", "/shop/a/c?x"],
    ["../c", "/shop/c"],
    ["../../../c", "/shop/c"],
    ["..", "/shop/"],
    ["?x", "?x"],
    ["#x", "#x"],
    ["/x/../../y", "/shop/y"],
    ["/x/%2E%2e/y", "/shop/y"],
    ["/caf\xc3\xa9 x", "/shop/caf\xc3\xa9 x"],
  ]);
});

describe("auto leaves alone what is not the service's own, and what it can't read", () => {
  location(
    shop,
    [
      "http://other.example/login",
      "http://app.internal/login",
      "http://app.internal:9002/login",
      "http://app.internal.evil.example/login",
      "http://app.internal:9001@evil.example/login",
      "http://user@app.internal:9001/login",
      "http://shop.example.com:8443/login",
      "//evil.example/x",
      "///evil.example/x",
      "http:///evil.example/x",
      "http:/x",
      "mailto:a@b.example",
      "myapp://callback",
      "javascript:alert(1)",
      "/\\evil.example",
      "\\\\evil.example",
      "http://app.internal:9001\\@evil.example/",
      "/\tx",
    ].map((each) => [each, each] as const),
  );
});

describe("auto, with a prefix that the route adds", () => {
  location(version, [
    ["/v2/login", "/shop/login"],
    ["/v2", "/shop"],
    ["/v2/", "/shop/"],
    ["/v2?x", "/shop?x"],
    ["http://app.internal:9001/v2/login", "/shop/login"],
    ["../c", "/shop/c"],
    // No path of the client's leads there.
    ["/v20/login", "/v20/login"],
    ["/login", "/login"],
    ["/v2/../login", "/v2/../login"],
    ["http://app.internal:9001/login", "http://app.internal:9001/login"],
  ]);
  location(added, [
    ["/v2/login", "/login"],
    ["/v2", "/"],
    ["/v2?x", "/?x"],
  ]);
});

describe("auto, without prefixes, is about the host alone", () => {
  location(plain, [
    ["http://app.internal:9001/a/../login", "/login"],
    ["http://app.internal:9001", "/"],
    ["/login", "/login"],
    ["../login", "../login"],
    ["http://shop.example.com/shop/a/b", "/shop/a/b"],
  ]);
});

describe("auto makes no path that reads as another host", () => {
  location(plain, [
    ["http://app.internal:9001//evil.example/x", "/evil.example/x"],
    ["//app.internal:9001////evil.example", "/evil.example"],
    ["http://app.internal:9001/.//evil.example", "/evil.example"],
    ["http://app.internal:9001/\\evil.example", "http://app.internal:9001/\\evil.example"],
  ]);
  location(added, [
    ["/v2//evil.example", "/evil.example"],
    ["/v2/.//evil.example", "/evil.example"],
    ["/v2/\\evil.example", "/v2/\\evil.example"],
  ]);
  location(unaware, [
    ["//app.internal:9001//evil.example", "/shop//evil.example"],
    ["/..//evil.example", "/shop//evil.example"],
  ]);
});

describe("auto, for a service that is told nothing of its prefix", () => {
  location(unaware, [
    ["/shop/login", "/shop/shop/login"],
    ["/login", "/shop/login"],
  ]);
});

describe("auto, for a path that lacks the prefix", () => {
  location({ ...shop, request: { path: "/other", authority: "shop.example.com" } }, [["/login", "/login"]]);
});

describe("auto, for a client that came by http", () => {
  const request = { path: "/shop/a", authority: "shop.example.com:8080" };
  location({ ...shop, request }, [
    ["http://app.internal:9001/x", "/shop/x"],
    ["https://app.internal:9001/x", "/shop/x"],
    // Sent to https on purpose: a path alone would lead back here, for ever.
    ["https://shop.example.com:8080/x", "https://shop.example.com:8080/shop/x"],
    ["https://shop.example.com/x", "https://shop.example.com/x"],
  ]);
});

describe("auto, for hosts of every kind", () => {
  const own = (target: string, more: Partial<Answered>, from: string) =>
    mapped({ rewrite: AUTO, target, request: { authority: "shop.example.com", scheme: "https" }, ...more }, "location", from);
  it("a service that gets the client's Host may name it", () =>
    expect(own("10.0.0.1:80", { host: "shop.example.com" }, "http://shop.example.com/x")).toBe("/x"));
  it("a service that gets a Host of its own may name it", () =>
    expect(own("10.0.0.1:9001", { host: "cms.example" }, "https://cms.example/x")).toBe("/x"));
  it("addresses are hosts as well, in every spelling", () => {
    expect(own("[2001:db8::1]:9001", {}, "http://[2001:DB8:0::1]:9001/x")).toBe("/x");
    expect(own("10.0.0.1:9001", {}, "http://10.0.0.1:9001/x")).toBe("/x");
  });
  it("the port of the scheme need not be written", () => {
    expect(own("app.internal", {}, "http://app.internal:80/x")).toBe("/x");
    expect(own("app.internal:80", {}, "http://app.internal/x")).toBe("/x");
    expect(own("app.internal:443", {}, "https://app.internal/x")).toBe("/x");
  });
  it("the client's host is the one that a trusted proxy names", () => {
    const more = { forwardedHost: "public.example", request: { authority: "gateway.internal", scheme: "http" } } as const;
    expect(own("app.internal", more, "http://public.example/x")).toBe("/x");
    expect(own("app.internal", more, "https://public.example/x")).toBe("https://public.example/x");
    expect(own("app.internal", more, "http://gateway.internal/x")).toBe("/x");
  });
});

describe("auto, behind a trusted proxy that has removed a prefix of its own", () => {
  const behind: Answered = { ...shop, forwardedPrefix: ["/outer"] };
  location(behind, [
    ["/login", "/outer/shop/login"],
    ["/outer/shop/login", "/outer/shop/login"],
    ["/shop/login", "/outer/shop/shop/login"],
  ]);
  location({ ...behind, rewrite: AUTO }, [["http://app.internal:9001/login", "/outer/login"]]);
});

describe("replacements", () => {
  const rules = (list: readonly unknown[]): Answered => ({ ...shop, rewrite: { stripPrefix: "/shop", response: { location: list } } });
  const several = rules([
    { from: "/", to: "/root" },
    { from: "http://login.internal/", to: "https://login.example.com" },
    { from: "http://login.internal/admin", to: "/admin/" },
    { from: "/v2", to: "/shop/" },
  ]);
  location(several, [
    ["http://login.internal/x?y", "https://login.example.com/x?y"],
    ["http://LOGIN.internal:80", "https://login.example.com/"],
    ["http://login.internal/admin/x", "/admin/x"],
    ["http://login.internal/administrator", "https://login.example.com/administrator"],
    ["https://login.internal/x", "https://login.internal/x"],
    ["http://login.internal.evil.example/x", "http://login.internal.evil.example/x"],
    ["/v2/x", "/shop/x"],
    ["/v2", "/shop"],
    ["/v20", "/root/v20"],
    ["http://app.internal:9001/v2/x", "/shop/x"],
    ["http://other.example/v2/x", "http://other.example/v2/x"],
    ["?x", "?x"],
  ]);
  location(rules([{ from: "/v2", to: "/" }]), [
    ["/v2//evil.example", "/evil.example"],
    ["/v2", "/"],
    ["/x", "/x"],
  ]);
  location(rules([{ from: "/v2", to: "https://b.example" }, "auto"]), [
    ["/v2/x", "https://b.example/x"],
    ["/v2", "https://b.example"],
    ["/x", "/shop/x"],
  ]);
});

describe("Refresh", () => {
  it.each([
    ["0;url=http://app.internal:9001/x", "0;url=/shop/x"],
    ["5 ; URL = '/x'; foo", "5 ; URL = '/shop/x'; foo"],
    ['5,url="/x', '5,url="/shop/x'],
    ["0.5; /x", "0.5; /shop/x"],
    ["3 /x", "3 /shop/x"],
    ["5", "5"],
    ["5; url=", "5; url="],
    ["url=/x", "url=/x"],
    ["5; url='http://other.example/'", "5; url='http://other.example/'"],
  ])("%s -> %s", (from, to) => expect(mapped(shop, "refresh", from)).toBe(to));

  it("a replacement that would end the quotes is not made", () => {
    const quoting: Answered = { ...shop, rewrite: { response: { location: [{ from: "/x", to: "/it's" }] } } };
    expect(mapped(quoting, "refresh", "5; url='/x'")).toBe("5; url='/x'");
    expect(mapped(quoting, "refresh", '5; url="/x"')).toBe(`5; url="/it's"`);
  });
  it("takes no more than linear time, whatever a service sends", () => {
    const long = `5${" ".repeat(100_000)}x\t;`;
    expect(mapped(shop, "refresh", `${"\t".repeat(100_000)}${long}`)).toHaveLength(200_004);
  });
});

describe("whatever a service says", () => {
  /** Deterministic (mulberry32). */
  function* dice(seed: number): Generator<number, never> {
    for (let state = seed; ; ) {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      yield ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    }
  }
  const PIECES = ["http:", "https:", "/", "/", "//", "\\", "app.internal", ":9001", "shop.example.com", "evil.example", "@", "?", "#", ".", "..", "%2e", "%2F", "v2", "shop", "a", ":", ";", " ", "\t", "[::1]"]; // biome-ignore format: a list
  const roll = dice(20_260_113);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(roll.next().value * list.length)] as T; // in range
  const reference = (): string => Array.from({ length: 1 + Math.floor(roll.next().value * 9) }, () => pick(PIECES)).join("");
  const settings = [shop, unaware, version, added, plain];
  const hostOf = (text: string, base: string): string | null =>
    URL.canParse(text, base) ? new URL(text, base).host.replace(/\.(?=:|$)/, "") : null; // a root label changes nothing

  it("no browser is sent to a host that the service has not named", () => {
    for (let i = 0; i < 20_000; i++) {
      const text = reference();
      const setting = pick(settings);
      const got = mapped(setting, "location", text);
      if (got === text) continue;
      const named = hostOf(text, "http://app.internal:9001/a/b");
      const led = hostOf(got, "https://shop.example.com/shop/a/b");
      expect(["app.internal:9001", "shop.example.com"], `${JSON.stringify(text)} -> ${got}`).toContain(named);
      expect(led, `${JSON.stringify(text)} -> ${got}`).toBe("shop.example.com");
    }
  });

  it("the way back is the way there: who follows it gets the path that the service has named", () => {
    const prefixes = [
      { strip: "/shop", add: "" },
      { strip: "/shop", add: "/v2" },
      { strip: "", add: "/v2" },
    ];
    let followed = 0;
    for (let i = 0; i < 20_000; i++) {
      const text = reference();
      const { strip, add } = pick(prefixes);
      const rewrite = {
        ...(strip === "" ? {} : { stripPrefix: strip }),
        ...(add === "" ? {} : { addPrefix: add }),
        forwardPrefix: false,
        ...AUTO,
      };
      const got = mapped({ ...shop, rewrite, request: { path: `${strip}/a/b`, authority: "shop.example.com" } }, "location", text);
      if (got === text || /^https:/.test(got)) continue;
      const named = new URL(text, `http://app.internal:9001${add}/a/b`).pathname;
      const client = new URL(got, `http://shop.example.com${strip}/a/b`).pathname;
      expect(client.startsWith(strip), `${JSON.stringify(text)} -> ${got}`).toBe(true);
      const back = add + client.slice(strip.length);
      if (/\/\/|%2f/i.test(named)) continue; // the listener has refused such paths
      expect(back.replace(/(.)\/$/, "$1"), `${JSON.stringify(text)} -> ${got}`).toBe(named.replace(/(.)\/$/, "$1"));
      followed++;
    }
    expect(followed).toBeGreaterThan(1000);
  });
});
