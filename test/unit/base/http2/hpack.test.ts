// Holds HPACK to RFC 7541: the examples of its appendix C, the code of appendix B, and what must be refused.
import { describe, expect, it } from "vitest";
import type { HeaderSection } from "../../../../src/base/http2/header-section.ts";
import { HpackDecoder } from "../../../../src/base/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../../../src/base/http2/hpack-encoder.ts";
import { STATIC_TABLE } from "../../../../src/base/http2/hpack-fields.ts";
import { decodeHuffman } from "../../../../src/base/http2/huffman.ts";

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ""), "hex");

/** The fields of a section as `name: value` lines, pseudo-header fields first. */
function lines(section: HeaderSection | null): string[] | null {
  if (section === null) return null;
  const { method, scheme, path, authority, status, fields } = section;
  const pseudo: readonly (readonly [string, string])[] = [
    [":status", status === 0 ? "" : String(status)],
    [":method", method],
    [":scheme", scheme],
    [":path", path],
    [":authority", authority],
  ];
  const out = pseudo.filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${value}`);
  for (let i = 0; i < fields.length; i += 2) out.push(`${fields[i]}: ${fields[i + 1]}`);
  return out;
}

function decodeAll(blocks: readonly string[], tableBytes = 4096): (string[] | null)[] {
  const decoder = new HpackDecoder(tableBytes, 64 * 1024);
  return blocks.map((hex) => {
    const block = bytes(hex);
    return lines(decoder.decode(block, 0, block.length));
  });
}

const REQUESTS: readonly (readonly string[])[] = [
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
  [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"],
];
const COOKIE = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const RESPONSES: readonly (readonly string[])[] = [
  [":status: 302", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"],
  [":status: 307", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"],
  [
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    `set-cookie: ${COOKIE}`,
  ],
];

describe("RFC 7541, appendix C", () => {
  it.each<readonly [name: string, hex: string, want: readonly string[]]>([
    ["C.2.1 literal with indexing", "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", ["custom-key: custom-header"]],
    ["C.2.2 literal without indexing", "040c 2f73 616d 706c 652f 7061 7468", [":path: /sample/path"]],
    ["C.2.3 literal never indexed", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password: secret"]],
    ["C.2.4 indexed", "82", [":method: GET"]],
  ])("%s", (_, hex, want) => {
    expect(decodeAll([hex])).toEqual([want]);
  });

  it("C.3 requests without Huffman coding, over one table", () => {
    expect(
      decodeAll([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ]),
    ).toEqual(REQUESTS);
  });

  it("C.4 requests with Huffman coding, over one table", () => {
    expect(
      decodeAll([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ]),
    ).toEqual(REQUESTS);
  });

  it("C.5 responses without Huffman coding, over a table that evicts", () => {
    expect(
      decodeAll(
        [
          "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
          "4803 3330 37c1 c0bf",
          "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        256,
      ),
    ).toEqual(RESPONSES);
  });

  it("C.6 responses with Huffman coding, over a table that evicts", () => {
    expect(
      decodeAll(
        [
          "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
          "4883 640e ffc1 c0bf",
          "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
        256,
      ),
    ).toEqual(RESPONSES);
  });
});

describe("what is no field block (RFC 7541 sections 2.3.3, 4.2, 5.1, 5.2, 6.1)", () => {
  it.each<readonly [name: string, hex: string]>([
    ["an index of 0", "80"],
    ["an index beyond both tables", "be"],
    ["a name's index beyond both tables", "7f00 0161"],
    ["an integer that is cut", "ff80"],
    ["an integer of many octets", "ff80 8080 8080 8000"],
    ["an integer beyond what is meant", "ffff ffff ff0f"],
    ["a string that is cut", "0003 6162"],
    ["a string whose length is missing", "00"],
    ["a table larger than we allow", "3fe2 1f"],
    ["a table size behind a field", "8220"],
    ["three table sizes at the beginning", "2020 2082"],
    ["EOS in a string", "0084 ffff ffff 0161"],
    ["padding of eight ones", "0082 1fff 0161"],
    ["padding that is not ones", "0081 1e 0161"],
  ])("%s", (_, hex) => {
    expect(decodeAll([hex])).toEqual([null]);
  });

  it("two table sizes at the beginning, the smallest first, are taken", () => {
    expect(decodeAll(["203f e11f 82"])).toEqual([[":method: GET"]]);
  });

  it("a table size of 0 forgets what was there", () => {
    expect(decodeAll(["4001 6101 62", "be", "2082", "be"])).toEqual([["a: b"], ["a: b"], [":method: GET"], null]);
  });
});

describe("Huffman", () => {
  it.each<readonly [hex: string, text: string]>([
    ["f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"],
    ["", ""],
    ["1f", "a"],
  ])("%s is %j", (hex, text) => {
    const [source, out] = [bytes(hex), Buffer.alloc(64)];
    const written = decodeHuffman(source, 0, source.length, out);
    expect(out.toString("latin1", 0, written)).toBe(text);
  });
});

describe("bounds and meaning", () => {
  const literal = (name: string, value: string): Buffer =>
    Buffer.concat([Buffer.from([0x40, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value, "latin1")]);

  it("a section beyond its bound is decoded to its end, so that later blocks still mean what they say", () => {
    const decoder = new HpackDecoder(4096, 200);
    const first = Buffer.concat([literal("x-a", "v".repeat(100)), literal("x-b", "w".repeat(100)), literal("x-c", "z")]);
    const refused = decoder.decode(first, 0, first.length);
    expect([refused?.tooLarge, refused?.fields]).toEqual([true, []]);
    const next = decoder.decode(bytes("be"), 0, 1);
    expect(lines(next)).toEqual(["x-c: z"]);
  });

  it("an equal block gives the same section, unless the table has changed in between", () => {
    const decoder = new HpackDecoder(4096, 4096);
    const block = bytes("8286 84");
    const first = decoder.decode(block, 0, block.length);
    expect(decoder.decode(Buffer.from(block), 0, block.length)).toBe(first);
    const added = literal("x-a", "1");
    decoder.decode(added, 0, added.length);
    const indexed = decoder.decode(bytes("be"), 0, 1);
    const other = literal("x-a", "2");
    decoder.decode(other, 0, other.length);
    expect([lines(indexed), lines(decoder.decode(bytes("be"), 0, 1))]).toEqual([["x-a: 1"], ["x-a: 2"]]);
  });

  it.each<readonly [name: string, fields: readonly (readonly [string, string])[], fault: RegExp]>([
    ["an uppercase letter in a name", [["X-a", "1"]], /lowercase token/],
    ["a space in a name", [["x a", "1"]], /lowercase token/],
    ["an empty name", [["", "1"]], /lowercase token/],
    ["a colon in a name", [["a:b", "1"]], /lowercase token/],
    ["CR in a value", [["x-a", "1\r2"]], /character/],
    ["LF in a value", [["x-a", "1\n2"]], /character/],
    ["NUL in a value", [["x-a", "1\0"]], /character/],
    ["white space before a value", [["x-a", " 1"]], /character/],
    ["white space behind a value", [["x-a", "1\t"]], /character/],
    ["LF in a pseudo-header field", [[":path", "/a\n"]], /character/],
    ["connection", [["connection", "close"]], /HTTP\/1\.1/],
    ["transfer-encoding", [["transfer-encoding", "chunked"]], /HTTP\/1\.1/],
    ["upgrade", [["upgrade", "h2c"]], /HTTP\/1\.1/],
    ["keep-alive", [["keep-alive", "1"]], /HTTP\/1\.1/],
    ["proxy-connection", [["proxy-connection", "x"]], /HTTP\/1\.1/],
    ["te that says more than trailers", [["te", "trailers, gzip"]], /te says/],
    ["a pseudo-header field twice", [[":path", "/"], [":path", "/"]], /twice/], // biome-ignore format: a row
    ["a pseudo-header field behind a regular one", [["x-a", "1"], [":path", "/"]], /behind/], // biome-ignore format: a row
    ["an unknown pseudo-header field", [[":foo", "1"]], /unknown/],
    ["host twice", [["host", "a"], ["host", "b"]], /twice/], // biome-ignore format: a row
    ["two lengths", [["content-length", "1"], ["content-length", "2"]], /content-length/], // biome-ignore format: a row
    ["a length with a sign", [["content-length", "+1"]], /content-length/],
  ])("%s makes a message malformed (RFC 9113 section 8)", (_, fields, fault) => {
    const block = Buffer.concat(fields.map(([name, value]) => literal(name, value)));
    const section = new HpackDecoder(4096, 4096).decode(block, 0, block.length);
    expect(section?.fault).toMatch(fault);
  });

  it("cookie crumbs are joined where the first one stood (RFC 9113 section 8.2.3)", () => {
    const block = Buffer.concat([literal("cookie", "a=1"), literal("x-a", "2"), literal("cookie", "b=3"), literal("cookie", "c=4")]);
    const section = new HpackDecoder(4096, 4096).decode(block, 0, block.length);
    expect(section?.fields).toEqual(["cookie", "a=1; b=3; c=4", "x-a", "2"]);
  });
});

describe("encoding", () => {
  const decoded = (encoder: HpackEncoder): string[] | null => {
    const block = Buffer.from(encoder.bytes());
    return lines(new HpackDecoder(0, 1 << 20).decode(block, 0, block.length));
  };

  it("what is encoded is decoded again with a table of no size, whatever the lengths", () => {
    const encoder = new HpackEncoder();
    encoder.begin();
    const want: string[] = [];
    for (const length of [1, 2, 63, 64, 65, 126, 127, 128, 255, 256, 16_383, 16_384, 70_000]) {
      for (const name of ["x".repeat(Math.min(length, 300)), "accept", "authorization"]) {
        const value = `${"\xe9".repeat(length - 1)}z`;
        expect(encoder.field(name, value)).toBe(true);
        want.push(`${name}: ${value}`);
      }
    }
    expect(encoder.field("accept-encoding", "gzip, deflate")).toBe(true);
    expect(decoded(encoder)).toEqual([...want, "accept-encoding: gzip, deflate"]);
  });

  it.each([" a b ", "\ta b\t", "a b \t "])("white space at the ends of %j is left out, as peers take it for malformed", (value) => {
    const encoder = new HpackEncoder();
    encoder.begin();
    expect(encoder.field("x-a", value)).toBe(true);
    expect(decoded(encoder)).toEqual(["x-a: a b"]);
  });

  it("a name in capitals goes out in lowercase, as a policy may have written it", () => {
    const encoder = new HpackEncoder();
    encoder.begin();
    encoder.field("X-Upper", "1");
    expect(decoded(encoder)).toEqual(["x-upper: 1"]);
  });

  it.each<readonly [name: string, value: string]>([
    ["x-a", "1\r\n2"],
    ["x-a", "\0"],
    ["x-a", `${"v".repeat(100)}\n`],
    ["x-a", "\u0100"],
    ["x-a", `${"v".repeat(100)}\u0100`],
    ["x a", "1"],
    ["", "1"],
    [":path", "/"],
    ["connection", "close"],
    ["transfer-encoding", "chunked"],
  ])("%j: %j is not encoded, and leaves the block as it was", (name, value) => {
    const encoder = new HpackEncoder();
    encoder.begin();
    encoder.field("x-first", "1");
    expect(encoder.field(name, value)).toBe(false);
    expect(decoded(encoder)).toEqual(["x-first: 1"]);
  });

  it("credentials are never put into a table on the way (RFC 7541 section 7.1.3)", () => {
    const encoder = new HpackEncoder();
    for (const name of ["authorization", "cookie", "set-cookie", "proxy-authorization"]) {
      encoder.begin();
      encoder.field(name, "secret");
      expect((encoder.bytes()[0] as number) & 0xf0).toBe(0x10);
    }
  });

  it("the static table has the 61 fields of appendix A", () => {
    expect([STATIC_TABLE.length, STATIC_TABLE[2], STATIC_TABLE[61]?.name]).toMatchObject([
      62,
      { name: ":method", value: "GET" },
      "www-authenticate",
    ]);
  });
});
