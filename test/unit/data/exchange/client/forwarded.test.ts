// Who is believed: the walk through X-Forwarded-For and Forwarded, spoofing attempts, and what upstreams are told.
import { describe, expect, test } from "vitest";
import type { HeaderList } from "../../../../../src/base/header-list.ts";
import { createClientResolver } from "../../../../../src/data/exchange/client/forwarded.ts";
import { FORWARDED_HOPS_MAX } from "../../../../../src/data/exchange/client/forwarded-chain.ts";
import { ReadExchange, type Sketch } from "../../../../support/read-exchange.ts";

const resolver = createClientResolver(["10.0.0.0/8", "fd00::/8", "127.0.0.1"]);
const request = (sketch: Sketch): ReadExchange => new ReadExchange({ resolver, ...sketch });
const xff = (...lines: readonly string[]): HeaderList => lines.flatMap((line) => ["x-forwarded-for", line]);
const fwd = (...lines: readonly string[]): HeaderList => lines.flatMap((line) => ["forwarded", line]);

describe("client address", () => {
  test.each<[string, string, HeaderList, string]>([
    ["nobody in front", "203.0.113.7", [], "203.0.113.7"],
    ["a stranger's claim is nothing", "203.0.113.7", xff("1.1.1.1"), "203.0.113.7"],
    ["a stranger's claim of being inside is nothing", "203.0.113.7", [...xff("10.0.0.1"), ...fwd("for=127.0.0.1")], "203.0.113.7"],
    ["one proxy", "10.0.0.1", xff("198.51.100.1"), "198.51.100.1"],
    ["a proxy that says nothing", "10.0.0.1", [], "10.0.0.1"],
    ["two proxies", "10.0.0.1", xff("198.51.100.1, 10.0.0.2"), "198.51.100.1"],
    ["two lines are one list", "10.0.0.1", xff("198.51.100.1", "10.0.0.2"), "198.51.100.1"],
    ["what the client put in front is not believed", "10.0.0.1", xff("1.1.1.1, 198.51.100.1"), "198.51.100.1"],
    ["nor when it claims a trusted address", "10.0.0.1", xff("127.0.0.1, 198.51.100.1"), "198.51.100.1"],
    ["nor in a line of its own", "10.0.0.1", xff("1.1.1.1", "198.51.100.1, 10.0.0.2"), "198.51.100.1"],
    ["a chain of trusted hops ends at its leftmost", "10.0.0.1", xff("10.0.0.3,10.0.0.2"), "10.0.0.3"],
    ["garbage in front does not matter", "10.0.0.1", xff("evil\u0000, ,, 198.51.100.1"), "198.51.100.1"],
    ["garbage from the proxy stops there", "10.0.0.1", xff("198.51.100.1, unknown"), "10.0.0.1"],
    ["garbage from the second proxy stops at it", "10.0.0.1", xff("198.51.100.1, -, 10.0.0.2"), "10.0.0.2"],
    ["an empty element stops", "10.0.0.1", xff("198.51.100.1,"), "10.0.0.1"],
    ["with port", "10.0.0.1", xff("198.51.100.1:4711"), "198.51.100.1"],
    ["IPv6", "10.0.0.1", xff("2001:DB8:0::1"), "2001:db8::1"],
    ["IPv6 with brackets and port", "10.0.0.1", xff("[2001:db8::1]:4711"), "2001:db8::1"],
    ["IPv6 proxy", "fd00::1", xff("2001:db8::1, fd00::2"), "2001:db8::1"],
    ["mapped", "10.0.0.1", xff("198.51.100.1, ::ffff:10.0.0.2"), "198.51.100.1"],
    ["leading zeros are no address", "10.0.0.1", xff("010.0.0.1"), "10.0.0.1"],
    ["a name is no address", "10.0.0.1", xff("client.example"), "10.0.0.1"],
    ["brackets with rubbish", "10.0.0.1", xff("[2001:db8::1]x"), "10.0.0.1"],
    ["Unix socket", "", xff("198.51.100.1"), ""],
    // RFC 7239
    ["Forwarded", "10.0.0.1", fwd("for=198.51.100.1"), "198.51.100.1"],
    ["Forwarded with all parameters", "10.0.0.1", fwd('For="198.51.100.1:4711";Proto=https;by=10.0.0.1;host=x'), "198.51.100.1"],
    ["Forwarded IPv6", "10.0.0.1", fwd('for="[2001:db8:cafe::17]:4711"'), "2001:db8:cafe::17"],
    ["Forwarded, two hops", "10.0.0.1", fwd("for=1.1.1.1, for=198.51.100.1, for=10.0.0.2"), "198.51.100.1"],
    ["Forwarded, two lines", "10.0.0.1", fwd("for=198.51.100.1", "for=10.0.0.2"), "198.51.100.1"],
    ["hidden", "10.0.0.1", fwd("for=198.51.100.1, for=unknown"), "10.0.0.1"],
    ["obfuscated", "10.0.0.1", fwd("for=198.51.100.1, for=_SEVKISEK"), "10.0.0.1"],
    ["a comma in quotes does not part elements", "10.0.0.1", fwd('for=198.51.100.1;x="a, for=1.1.1.1"'), "198.51.100.1"],
    ["an escaped quote does not end the string", "10.0.0.1", fwd('for=198.51.100.1;x="\\", for=1.1.1.1"'), "198.51.100.1"],
    ["an open quote that would swallow the proxy's word", "10.0.0.1", fwd('for=1.1.1.1;x=", for=198.51.100.1'), "10.0.0.1"],
    ["the same against a proxy that quotes", "10.0.0.1", fwd('for=1.1.1.1;x="a, for="[2001:db8::1]"'), "10.0.0.1"],
    ["the same with an escape", "10.0.0.1", fwd('for=1.1.1.1;x="\\', 'for="[2001:db8::1]"'), "10.0.0.1"],
    ["empty elements are no hops", "10.0.0.1", fwd("for=198.51.100.1, ,", ","), "198.51.100.1"],
    ["a list of nothing says nothing", "10.0.0.1", fwd(", ,"), "10.0.0.1"],
    ["an element without for", "10.0.0.1", fwd("proto=https"), "10.0.0.1"],
    [
      "X-Forwarded-For wins: many proxies pass Forwarded through",
      "10.0.0.1",
      [...fwd("for=1.1.1.1"), ...xff("198.51.100.1")],
      "198.51.100.1",
    ],
  ])("%s", (_, peer, headers, expected) => {
    expect(request({ peer, headers }).clientInfo().ip).toBe(expected);
  });

  test("no more than so many hops are followed", () => {
    const chain = Array.from({ length: FORWARDED_HOPS_MAX + 5 }, (_, i) => `10.1.0.${i}`).join(", ");
    expect(request({ peer: "10.0.0.1", headers: xff(chain) }).clientInfo().ip).toBe("10.1.0.5");
  });

  test("a peer on a Unix socket is believed only when the configuration says so", () => {
    const trusting = createClientResolver(["unix"]);
    expect(request({ resolver: trusting, peer: "", headers: xff("198.51.100.1") }).clientInfo().ip).toBe("198.51.100.1");
    expect(request({ resolver: trusting, peer: "10.0.0.1", headers: xff("198.51.100.1") }).clientInfo().ip).toBe("10.0.0.1");
  });
});

describe("what can't be read of a trusted proxy's word", () => {
  const faultOf = (peer: string, headers: HeaderList): string => request({ peer, headers }).clientInfo().fault ?? "";
  test.each<[string, HeaderList]>([
    ["an open quote in a line of the client's own", fwd('for="', "for=198.51.100.1")],
    ["an open quote in front of the proxy's word", fwd('for=1.1.1.1;x=", for=198.51.100.1')],
    ["the same against a proxy that quotes", fwd('for=1.1.1.1;x="a, for="[2001:db8::1]"')],
    ["the same with an escape", fwd('for=1.1.1.1;x="\\', 'for="[2001:db8::1]"')],
    ["a quote within a value", fwd('for=198.51.100.1;x=a"b"')],
    ["something behind a quoted value", fwd('for="198.51.100.1"x')],
    ["an element that is no list of pairs", fwd("198.51.100.1")],
    ["two addresses in one element", fwd("for=198.51.100.1;for=198.51.100.2")],
    ["an empty address", fwd("for=")],
    ["an address that is none", fwd("for=198.51.100.1, for=elsewhere")],
    ["more parameters than an element has", fwd(`for=198.51.100.1;${"a=b;".repeat(16)}`)],
    ["an address that is none in X-Forwarded-For", xff("198.51.100.1, elsewhere")],
    ["an empty one", xff("198.51.100.1,")],
    ["one that the second proxy names", xff("198.51.100.1, -, 10.0.0.2")],
    ["a quote there", xff('"198.51.100.1"')],
  ])("%s", (_, headers) => {
    expect(faultOf("10.0.0.1", headers)).toMatch(/^(Forwarded|X-Forwarded-For) can't be read/);
    expect(faultOf("203.0.113.7", headers)).toBe("");
  });

  test.each<[string, HeaderList]>([
    ["what stands behind the client in the chain", xff("elsewhere, 198.51.100.1")],
    ["an element behind it", fwd("nonsense, for=198.51.100.1")],
    ["a hop that hides itself", xff("198.51.100.1, unknown")],
    ["a hop by another name", fwd("for=198.51.100.1, for=_SEVKISEK")],
    ["a peer on a Unix socket", xff("unix:")],
    ["an element without an address", fwd("proto=https")],
    ["empty parameters", fwd(";for=198.51.100.1;;")],
    ["a port of another name", fwd('for="198.51.100.1:_x"')],
    ["no value at all", [...xff(""), ...fwd("")]],
    ["Forwarded beside X-Forwarded-For", [...fwd('for="'), ...xff("198.51.100.1")]],
  ])("is not: %s", (_, headers) => {
    expect(faultOf("10.0.0.1", headers)).toBe("");
  });
});

describe("scheme", () => {
  test.each<[string, Sketch, "http" | "https"]>([
    ["the listener's", {}, "http"],
    ["the listener's, TLS", { secure: true }, "https"],
    ["a stranger's claim", { headers: ["x-forwarded-proto", "https"] }, "http"],
    ["a stranger's downgrade", { secure: true, headers: ["x-forwarded-proto", "http"] }, "https"],
    ["a proxy's word", { peer: "10.0.0.1", headers: ["x-forwarded-proto", "https"] }, "https"],
    ["a proxy's word with the address", { peer: "10.0.0.1", headers: [...xff("198.51.100.1"), "x-forwarded-proto", "HTTPS"] }, "https"],
    ["wss is https", { peer: "10.0.0.1", headers: ["x-forwarded-proto", "wss"] }, "https"],
    ["nonsense from a proxy", { peer: "10.0.0.1", headers: ["x-forwarded-proto", "gopher"] }, "http"],
    [
      "a client's claim in front of the proxy's",
      { peer: "10.0.0.1", headers: [...xff("198.51.100.1"), "x-forwarded-proto", "https, http"] },
      "http",
    ],
    [
      "a list along two trusted hops",
      { peer: "10.0.0.1", headers: [...xff("198.51.100.1, 10.0.0.2"), "x-forwarded-proto", "https, http"] },
      "https",
    ],
    ["Forwarded", { peer: "10.0.0.1", headers: fwd("for=198.51.100.1;proto=https") }, "https"],
    [
      "Forwarded, the hop that is believed",
      { peer: "10.0.0.1", headers: fwd("for=1.1.1.1;proto=https, for=198.51.100.1;proto=http") },
      "http",
    ],
    ["Forwarded without proto", { peer: "10.0.0.1", headers: [...fwd("for=198.51.100.1"), "x-forwarded-proto", "https"] }, "https"],
  ])("%s", (_, sketch, expected) => {
    expect(request(sketch).clientInfo().scheme).toBe(expected);
  });
});

describe("appendForwarding", () => {
  function appended(sketch: Sketch, authority?: string): Record<string, string> {
    const x = request(sketch);
    if (authority !== undefined) x.authority = authority;
    const out: HeaderList = [];
    resolver.appendForwarding(x, out);
    expect(x.peerReads).toBe(1);
    const names = out.filter((_, i) => i % 2 === 0);
    expect(new Set(names).size).toBe(names.length);
    return Object.fromEntries(names.map((name, i) => [name, out[2 * i + 1] ?? ""]));
  }

  test("a direct client, its own claims dropped", () => {
    expect(appended({ headers: [...xff("1.1.1.1"), ...fwd("for=1.1.1.1"), "x-forwarded-host", "evil"] })).toEqual({
      "x-forwarded-for": "203.0.113.7",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "api.example.com",
      "x-forwarded-port": "80",
      forwarded: "for=203.0.113.7;proto=http;host=api.example.com",
      via: "1.1 sluice",
    });
  });

  test("what else only proxies may say is passed on from trusted ones", () => {
    const headers = ["x-forwarded-prefix", "/shop", "x-original-url", "/a", "x-forwarded-port", "1", "x-client-ip", "1.1.1.1", "x-a", "1"];
    expect(appended({ headers })).not.toHaveProperty("x-forwarded-prefix");
    const believed = appended({ peer: "10.0.0.1", headers });
    expect(believed).toMatchObject({ "x-forwarded-prefix": "/shop", "x-original-url": "/a", "x-client-ip": "1.1.1.1" });
    expect(Object.keys(believed)).toHaveLength(9);
  });

  test("behind a proxy: the chain goes on from the client that is believed", () => {
    const headers = [
      ...xff("1.1.1.1, 198.51.100.1, 10.0.0.2"),
      "x-forwarded-proto",
      "https",
      "x-forwarded-host",
      "shop.example:8443",
      "via",
      "1.1 edge",
    ];
    expect(appended({ peer: "10.0.0.1", headers })).toEqual({
      "x-forwarded-for": "198.51.100.1, 10.0.0.2, 10.0.0.1",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "shop.example:8443",
      "x-forwarded-port": "8443",
      forwarded: 'for=198.51.100.1;proto=https;host="shop.example:8443", for=10.0.0.2, for=10.0.0.1',
      via: "1.1 edge, 1.1 sluice",
    });
  });

  test.each<[string, Sketch, string | undefined, Record<string, string>]>([
    [
      "IPv6 is quoted in Forwarded and bare in X-Forwarded-For",
      { peer: "2001:db8::1" },
      "[2001:db8::2]:8080",
      { "x-forwarded-for": "2001:db8::1", forwarded: 'for="[2001:db8::1]";proto=http;host="[2001:db8::2]:8080"' },
    ],
    ["several Via lines", { headers: ["via", "1.0 a", "via", "1.1 b"] }, undefined, { via: "1.0 a, 1.1 b, 1.1 sluice" }],
    [
      "a trusted peer that reports itself",
      { peer: "127.0.0.1", headers: xff("127.0.0.1") },
      undefined,
      { "x-forwarded-for": "127.0.0.1, 127.0.0.1", forwarded: "for=127.0.0.1;proto=http;host=api.example.com, for=127.0.0.1" },
    ],
    ["a trusted peer's malformed chain", { peer: "10.0.0.1", headers: xff("1.1.1.1, bad") }, undefined, { "x-forwarded-for": "10.0.0.1" }],
    [
      "a trusted peer's forwarded host that is none",
      { peer: "10.0.0.1", headers: ["x-forwarded-host", 'a";evil="b'] },
      undefined,
      { "x-forwarded-host": "api.example.com" },
    ],
    [
      "a client's host in front of the proxy's",
      { peer: "10.0.0.1", headers: ["x-forwarded-host", "evil, good.example"] },
      undefined,
      { "x-forwarded-host": "good.example" },
    ],
  ])("%s", (_, sketch, authority, expected) => {
    expect(appended(sketch, authority)).toMatchObject(expected);
  });

  const appending = (...names: readonly string[]): HeaderList => [
    ...xff("198.51.100.1, 10.0.0.2"),
    ...names.flatMap((name) => [
      `x-forwarded-${name}`,
      { proto: "https, http", host: "shop.example, inner:8080", port: "8443, 8080" }[name] ?? "",
    ]),
  ];
  test.each<[string, HeaderList, Record<string, string>]>([
    [
      "scheme, host and port are those of the hop that named the client, not of the nearest",
      appending("proto", "host", "port"),
      { "x-forwarded-proto": "https", "x-forwarded-host": "shop.example", "x-forwarded-port": "8443" },
    ],
    ["without a port field, that of the host", appending("host"), { "x-forwarded-host": "shop.example", "x-forwarded-port": "80" }],
    ["without one in the host, that of the scheme", appending("proto", "host"), { "x-forwarded-port": "443" }],
    [
      "a proxy that replaces what was there says it for all hops",
      [...xff("198.51.100.1, 10.0.0.2"), "x-forwarded-host", "shop.example:444", "x-forwarded-port", "0"],
      { "x-forwarded-host": "shop.example:444", "x-forwarded-port": "444" },
    ],
    [
      "what stands to the left of that hop is the client's own",
      [...xff("198.51.100.1"), "x-forwarded-host", "evil, shop.example", "x-forwarded-port", "1, 8443", "x-forwarded-proto", "https, http"],
      { "x-forwarded-proto": "http", "x-forwarded-host": "shop.example", "x-forwarded-port": "8443" },
    ],
    [
      "of Forwarded, all parts come from one element",
      fwd('for=198.51.100.1;proto=https;host="shop.example", for=10.0.0.2;proto=http;host=inner'),
      { "x-forwarded-for": "198.51.100.1, 10.0.0.2, 10.0.0.1", "x-forwarded-proto": "https", "x-forwarded-host": "shop.example" },
    ],
    ["an empty port is none", ["x-forwarded-host", "shop.example:"], { "x-forwarded-host": "shop.example", "x-forwarded-port": "80" }],
    ["IPv6 has a port behind its bracket only", ["x-forwarded-host", "[2001:db8::1]"], { "x-forwarded-port": "80" }],
    ["a port that is none is the host's", ["x-forwarded-host", "a:81", "x-forwarded-port", "70000"], { "x-forwarded-port": "81" }],
  ])("%s", (_, headers, expected) => {
    expect(appended({ peer: "10.0.0.1", headers })).toMatchObject(expected);
  });

  test("a stranger's port is nothing", () => {
    expect(appended({ secure: true, headers: ["x-forwarded-port", "1"] })).toMatchObject({ "x-forwarded-port": "443" });
    expect(appended({ headers: [] }, "api.example.com:8080")).toMatchObject({ "x-forwarded-port": "8080" });
  });

  test("a Unix socket peer has no address to tell", () => {
    const headers = appended({ peer: "" });
    expect(headers).not.toHaveProperty("x-forwarded-for");
    expect(headers).toMatchObject({ forwarded: "for=unknown;proto=http;host=api.example.com" });
  });

  test("what is remembered of a direct client is not told of another address, host or scheme", () => {
    const told = (by: ReturnType<typeof createClientResolver>, sketch: Sketch, authority: string): HeaderList => {
      const x = request({ ...sketch, resolver: by });
      x.authority = authority;
      const out: HeaderList = [];
      by.appendForwarding(x, out);
      return out;
    };
    const remembering = createClientResolver([]);
    for (let i = 0; i < 300; i++) {
      const sketch = { peer: ["203.0.113.7", "203.0.113.8", "2001:db8::1", ""][i % 4] ?? "", secure: i % 3 === 0 };
      const authority = ["a.example", "a.example:8080", "[2001:db8::2]", "[2001:db8::2]:81", ""][Math.floor(i / 7) % 5] ?? "";
      expect(told(remembering, sketch, authority)).toEqual(told(createClientResolver([]), sketch, authority));
    }
  });

  test("works for a client that another resolver described", () => {
    const x = new ReadExchange({
      resolver: {
        trusts: () => true,
        resolve: () => ({ ip: "9.9.9.9", scheme: "https" }),
        appendForwarding: () => {},
        toldOfTarget: () => "",
      },
    });
    const out: HeaderList = [];
    resolver.appendForwarding(x, out);
    expect(out[1]).toBe("203.0.113.7");
  });
});

describe("what is told of where the client asked", () => {
  const told = (sketch: Sketch): readonly string[] => resolver.toldOfTarget(request(sketch)).split("\u0003").slice(0, -1);
  const proxied = (...headers: HeaderList): Sketch => ({ peer: "10.0.0.1", headers });
  test.each<[string, Sketch, readonly string[]]>([
    ["nothing by a stranger", { headers: ["x-forwarded-host", "evil", "x-forwarded-prefix", "/evil"] }, []],
    [
      "nothing by a proxy that repeats Host and the scheme's port",
      proxied("x-forwarded-host", "API.example.com", "x-forwarded-port", "80"),
      [],
    ],
    ["another host", proxied("x-forwarded-host", "shop.example.com"), ["shop.example.com"]],
    ["another host, in Forwarded", proxied("forwarded", "for=198.51.100.1;host=shop.example.com"), ["shop.example.com"]],
    [
      "the host that the client's own proxy names, not what stands before it",
      proxied("x-forwarded-host", "evil, shop.example.com"),
      ["shop.example.com"],
    ],
    ["another port", proxied("x-forwarded-port", "8443"), ["8443"]],
    [
      "prefix and path",
      proxied("x-forwarded-prefix", "/outer", "x-original-url", "/a"),
      ["x-forwarded-prefix=/outer", "x-original-url=/a"],
    ],
  ])("%s", (_, sketch, expected) => expect(told(sketch)).toEqual(expected));
});

test("a block that is none is a named error", () => {
  expect(() => createClientResolver(["10.0.0.0/99"])).toThrow(/"10\.0\.0\.0\/99"/);
});
