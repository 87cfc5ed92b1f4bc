import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { secretBytes } from "../../../../../src/data/credentials/signing-secret.ts";
import { BODY_CHUNKED, BODY_FIXED } from "../../../../../src/data/exchange/exchange.ts";
import type { AuthOutcome } from "../../../../../src/data/exchange/identity/authenticator.ts";
import { stripPlaces } from "../../../../../src/data/policies/auth/places.ts";
import { signatureBase } from "../../../../../src/data/policies/auth/signature/message.ts";
import { parseSignatureInputs, serialiseInput } from "../../../../../src/data/policies/auth/signature/structured-fields.ts";
import { BASE, problemsOf } from "../../../../support/config-text.ts";
import { authenticatorOf, outcomeText, testServices } from "../../../../support/configured-authenticators.ts";
import { flat, type RequestSketch, TestExchange } from "../../../../support/exchange.ts";
import { contentDigest, signMessage } from "../../../../support/message-signer.ts";

const SECRET = "a secret that acme and the gateway share";
const OTHER = "another secret, of another consumer, as long";
const BYTES = Buffer.alloc(40, 0xfe);

const services = testServices();
/** The set of nonces is not older than what is signed now. */
const NOW_S = Math.max(Math.floor(Date.now() / 1000), services.replay.startedS);

const create = (options = "", of = services) =>
  authenticatorOf(
    `auth: { signed: { signature: { ${options} } } }
consumers:
  - { id: acme, signingSecrets: [{ keyId: acme-1, secret: "${SECRET}" }, { keyId: acme-2, secret: "base64:${BYTES.toString("base64")}" }] }
  - { id: other, signingSecrets: [{ keyId: other-1, secret: "${OTHER}" }] }
`,
    of,
  );

const authenticator = create();
let nonces = 0;
const nonce = () => `nonce-${++nonces}`;

const REQUEST = { method: "GET", path: "/orders/7", query: "a=1&b=%20", authority: "API.example.com" };
const COVERED: Record<string, string> = { "@method": "GET", "@authority": "api.example.com", "@path": "/orders/7", "@query": "?a=1&b=%20" };

interface Variation {
  readonly request?: RequestSketch;
  readonly headers?: Record<string, string | string[]>;
  readonly components?: Record<string, string>;
  readonly parameters?: string;
  readonly secret?: string | Buffer;
  /** Instead of the headers that the signer made. */
  readonly signed?: (headers: { signature: string; "signature-input": string }) => Record<string, string | string[]>;
}

const usual = (more = "") => `created=${NOW_S};keyid="acme-1";nonce="${nonce()}"${more}`;

function request({
  request: sketch = {},
  headers = {},
  components = COVERED,
  parameters = usual(),
  secret = SECRET,
  signed,
}: Variation = {}): TestExchange {
  const made = signMessage({ components, secret, parameters });
  const x = new TestExchange({ ...REQUEST, ...sketch, services, headers: { ...headers, ...(signed?.(made) ?? made) } });
  x.hasAmbiguousFieldNames = x.headers.some((name, i) => i % 2 === 0 && name.includes("_"));
  return x;
}

const outcome = (x: TestExchange, by = authenticator): string => outcomeText(by.authenticate(x) as AuthOutcome);

const WRONG = "refused: the signature does not fit the request";
const MALFORMED = "refused: Signature or Signature-Input is malformed, or uses what is not supported here";
const CREATED = "refused: the signature's created is missing, too old or in the future";
const KEY = "refused: the signature's keyid is missing or not known";
const WHICH = "refused: there is not exactly one signature to look at";
const ABSENT_COMPONENT =
  "refused: the signature covers a component that the request does not have, or has in a form that is not supported here";

describe("the example of RFC 9421, appendix B.2.5", () => {
  const key =
    secretBytes("base64:uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==") ?? Buffer.alloc(0);
  const input = parseSignatureInputs('sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"')?.get(
    "sig-b25",
  );
  it("gives its base and its signature", () => {
    const x = new TestExchange({
      method: "POST",
      authority: "example.com",
      scheme: "https",
      headers: { date: "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json" },
    });
    if (input === undefined) throw new Error("not parsed");
    const signed = signatureBase(x, input);
    if (!("base" in signed)) throw new Error(signed.missing);
    expect(createHmac("sha256", key).update(signed.base).digest("base64")).toBe("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
  });
});

describe("a signature", () => {
  const check = (name: string, variation: () => Variation, expected: string) =>
    it(name, () => expect(outcome(request(variation()))).toBe(expected));
  check("right", () => ({}), "acme");
  check("with alg, expires and tag", () => ({ parameters: usual(`;alg="hmac-sha256";expires=${NOW_S + 60};tag="x"`) }), "acme");
  check("with another of its secrets", () => ({ secret: BYTES, parameters: usual().replace("acme-1", "acme-2") }), "acme");
  check("of another consumer", () => ({ secret: OTHER, parameters: usual().replace("acme-1", "other-1") }), "other");
  check("in another order", () => ({ components: Object.fromEntries(Object.entries(COVERED).reverse()) }), "acme");
  check(
    "over more",
    () => ({ components: { ...COVERED, "x-a": "1, 2", date: "today" }, headers: { "x-a": ["1", " 2\t"], date: "today" } }),
    "acme",
  );
  check("over an empty header", () => ({ components: { ...COVERED, "x-a": "" }, headers: { "x-a": "" } }), "acme");
  check("on the scheme's own port", () => ({ request: { authority: "api.example.com:80" } }), "acme");
  check(
    "on another port",
    () => ({ request: { authority: "api.example.com:8080" }, components: { ...COVERED, "@authority": "api.example.com:8080" } }),
    "acme",
  );
  check("without a query", () => ({ request: { query: "" }, components: { ...COVERED, "@query": "?" } }), "acme");
  check(
    "over the whole target",
    () => ({
      components: {
        ...COVERED,
        "@target-uri": "http://api.example.com/orders/7?a=1&b=%20",
        "@request-target": "/orders/7?a=1&b=%20",
        "@scheme": "http",
      },
    }),
    "acme",
  );
  check(
    "written with more blanks",
    () => ({
      signed: (h) => ({ signature: ` ${h.signature} `, "signature-input": h["signature-input"].replace("(", "( ").replace(")", " )") }),
    }),
    "acme",
  );

  check("over another method", () => ({ request: { method: "POST" } }), WRONG);
  check("over another path", () => ({ request: { path: "/orders/8" } }), WRONG);
  check("over another query", () => ({ request: { query: "a=1&b=+" } }), WRONG);
  check("over another authority", () => ({ request: { authority: "api.example.org" } }), WRONG);
  check("with another's secret", () => ({ secret: OTHER }), WRONG);
  check("with the secret's base64", () => ({ secret: BYTES.toString("base64"), parameters: usual().replace("acme-1", "acme-2") }), WRONG);
  check(
    "with a changed nonce",
    () => ({ signed: (h) => ({ ...h, "signature-input": h["signature-input"].replace("nonce-", "nonce_") }) }),
    WRONG,
  );
  check(
    "one byte shorter",
    () => ({
      signed: (h) => ({ ...h, signature: `sig=:${Buffer.from(h.signature.slice(5, -1), "base64").subarray(1).toString("base64")}:` }),
    }),
    WRONG,
  );
  check("empty", () => ({ signed: (h) => ({ ...h, signature: "sig=::" }) }), WRONG);

  check("with an unknown key", () => ({ parameters: usual().replace("acme-1", "acme-9") }), KEY);
  check("without a key", () => ({ parameters: usual().replace(/keyid="[^"]*";/, "") }), KEY);
  check("with a number for a key", () => ({ parameters: usual().replace('"acme-1"', "1") }), KEY);
  for (const alg of ["none", "HMAC-SHA256", "hmac-sha512", "rsa-pss-sha512", ""])
    check(`by ${JSON.stringify(alg)}`, () => ({ parameters: usual(`;alg="${alg}"`) }), "refused: the signature's alg is not hmac-sha256");
  check("with an unknown parameter", () => ({ parameters: usual(';context="x"') }), "refused: the signature has an unknown parameter");

  const at = (created: string) => usual().replace(`created=${NOW_S}`, created);
  check("without created", () => ({ parameters: usual().replace(/created=\d+;/, "") }), CREATED);
  check("created as text", () => ({ parameters: at(`created="${NOW_S}"`) }), CREATED);
  check("created too long ago", () => ({ parameters: at(`created=${NOW_S - 66}`) }), CREATED);
  check("created in the future", () => ({ parameters: at(`created=${NOW_S + 20}`) }), CREATED);
  check("created a little in the future", () => ({ parameters: at(`created=${NOW_S + 3}`) }), "acme");
  check("created before the nonces are known", () => ({ parameters: at(`created=${services.replay.startedS - 1}`) }), "auth_unavailable");
  check("expired", () => ({ parameters: usual(`;expires=${NOW_S - 6}`) }), "refused: the signature has expired");
  check("expires as text", () => ({ parameters: usual(';expires="never"') }), "refused: the signature has expired");

  check("without a nonce", () => ({ parameters: `created=${NOW_S};keyid="acme-1"` }), "refused: the signature has no nonce");
  check("with an empty nonce", () => ({ parameters: `created=${NOW_S};keyid="acme-1";nonce=""` }), "refused: the signature has no nonce");
  check(
    "with a number for a nonce",
    () => ({ parameters: `created=${NOW_S};keyid="acme-1";nonce=7` }),
    "refused: the signature has no nonce",
  );

  for (const name of Object.keys(COVERED))
    check(
      `that leaves out ${name}`,
      () => ({ components: Object.fromEntries(Object.entries(COVERED).filter(([each]) => each !== name)) }),
      `refused: the signature does not cover ${name}`,
    );
  check("over a header that is not there", () => ({ components: { ...COVERED, "x-a": "" } }), ABSENT_COMPONENT);
  check("over a header in capitals", () => ({ components: { ...COVERED, "X-A": "1" }, headers: { "x-a": "1" } }), ABSENT_COMPONENT);
  check(
    "over a header with a look-alike beside it",
    () => ({ components: { ...COVERED, "x-a": "1" }, headers: { "x-a": "1", x_a: "2" } }),
    ABSENT_COMPONENT,
  );
  check(
    "over bytes that are not ASCII",
    () => ({ components: { ...COVERED, "x-a": "\xe9" }, headers: { "x-a": "\xe9" } }),
    ABSENT_COMPONENT,
  );
  check("over what only responses have", () => ({ components: { ...COVERED, "@status": "200" } }), ABSENT_COMPONENT);
  check("over an inherited name", () => ({ components: { ...COVERED, "@constructor": "" } }), ABSENT_COMPONENT);
  check(
    "over a component twice",
    () => ({ signed: (h) => ({ ...h, "signature-input": h["signature-input"].replace('("@method"', '("@method" "@method"') }) }),
    ABSENT_COMPONENT,
  );
  check(
    "over a component with a parameter",
    () => ({ signed: (h) => ({ ...h, "signature-input": h["signature-input"].replace('"@method"', '"@method";req') }) }),
    MALFORMED,
  );

  check("none", () => ({ signed: () => ({}) }), "absent");
  const half = "refused: Signature and Signature-Input go together (RFC 9421 section 4)";
  check("without Signature-Input", () => ({ signed: ({ signature }) => ({ signature }) }), half);
  check("without Signature", () => ({ signed: ({ signature: _, ...rest }) => rest }), half);
  check("with another label", () => ({ signed: (h) => ({ ...h, signature: h.signature.replace("sig=", "gis=") }) }), half);
  check(
    "beside a second one",
    () => ({ signed: (h) => ({ "signature-input": `${h["signature-input"]}, b=("@method")`, signature: `${h.signature}, b=:AAAA:` }) }),
    WHICH,
  );
  check(
    "beside a second in lines of its own",
    () => ({ signed: (h) => ({ "signature-input": [h["signature-input"], 'b=("@method")'], signature: [h.signature, "b=:AAAA:"] }) }),
    WHICH,
  );
  check("beside a signature without input", () => ({ signed: (h) => ({ ...h, signature: `${h.signature}, b=:AAAA:` }) }), WHICH);
  check(
    "the same label twice",
    () => ({ signed: (h) => ({ ...h, "signature-input": `${h["signature-input"]}, ${h["signature-input"]}` }) }),
    MALFORMED,
  );
  for (const junk of [
    "",
    "sig",
    "sig=",
    "sig=()x",
    "sig=(",
    'sig=("@method")',
    'sig=("@method" ";created=1',
    "sig=1",
    "sig=(@method)",
    'sig=("@method"),',
    "Sig=()",
    "sig=();created=1.5",
    "sig=();a=1;a=2",
  ])
    check(`input ${junk}`, () => ({ signed: (h) => ({ ...h, "signature-input": junk }) }), junk === 'sig=("@method")' ? KEY : MALFORMED);
  for (const junk of ["", "sig", "sig=AAAA", "sig=:AA AA:", "sig=:AAA:", "sig=:AAB=:", "sig=:__-_:", 'sig="AAAA"', "sig=:AAAA:;x=1"])
    check(`signature ${junk}`, () => ({ signed: (h) => ({ ...h, signature: junk }) }), MALFORMED);
});

describe("a nonce", () => {
  const REPLAYED = "refused: the signature's nonce was used before";
  it("is taken once, whatever it is sent with", () => {
    const parameters = usual();
    expect(outcome(request({ parameters }))).toBe("acme");
    expect(outcome(request({ parameters }))).toBe(REPLAYED);
    expect(outcome(request({ parameters: parameters.replace("created", `expires=${NOW_S + 5};created`) }))).toBe(REPLAYED);
    expect(outcome(request({ parameters }), create("maxAge: 2m"))).toBe(REPLAYED);
  });
  it("is that of one key", () => {
    const parameters = usual();
    expect(outcome(request({ parameters }))).toBe("acme");
    expect(outcome(request({ parameters: parameters.replace("acme-1", "other-1"), secret: OTHER }))).toBe("other");
  });
  it("is not used up by a signature that is wrong", () => {
    const parameters = usual();
    expect(outcome(request({ parameters, secret: OTHER }))).toBe(WRONG);
    expect(outcome(request({ parameters }))).toBe("acme");
  });
  it("is refused when there is no room for it", () => {
    const full = testServices();
    for (let i = 0; i < 5000; i++) full.replay.take(`filler ${i}`, NOW_S + 1000, NOW_S);
    expect(
      outcomeText(
        authenticator.authenticate(
          new TestExchange({
            ...REQUEST,
            services: full,
            headers: signMessage({
              components: COVERED,
              secret: SECRET,
              parameters: usual().replace(`created=${NOW_S}`, `created=${full.replay.startedS}`),
            }),
          }),
        ) as AuthOutcome,
      ),
    ).toBe("auth_overloaded");
  });
  it("need not be there with requireNonce: false, but is looked at when it is", () => {
    const lax = create("requireNonce: false");
    const without = `created=${NOW_S};keyid="acme-1"`;
    expect([outcome(request({ parameters: without }), lax), outcome(request({ parameters: without }), lax)]).toEqual(["acme", "acme"]);
    const parameters = usual();
    expect([outcome(request({ parameters }), lax), outcome(request({ parameters }), lax)]).toEqual(["acme", REPLAYED]);
  });
});

describe("options", () => {
  it("tag: one among several signatures, and no other", () => {
    const tagged = create("tag: gateway");
    const mine = signMessage({ components: COVERED, secret: SECRET, parameters: usual(';tag="gateway"'), label: "mine" });
    const theirs = signMessage({ components: { "@method": "GET" }, secret: OTHER, parameters: 'tag="other"', label: "theirs" });
    const both = () => ({
      signature: `${theirs.signature}, ${mine.signature}`,
      "signature-input": `${theirs["signature-input"]}, ${mine["signature-input"]}`,
    });
    expect(outcome(request({ signed: both }), tagged)).toBe("acme");
    expect(outcome(request({ signed: () => theirs }), tagged)).toBe(WHICH);
    expect(outcome(request(), tagged)).toBe(WHICH);
  });
  it("components: what must be covered", () => {
    const dated = create('components: ["@method", "@target-uri", date]');
    const components = { "@method": "GET", "@target-uri": "http://api.example.com/orders/7?a=1&b=%20", date: "today" };
    expect(outcome(request({ components, headers: { date: "today" } }), dated)).toBe("acme");
    expect(outcome(request(), dated)).toBe("refused: the signature does not cover @target-uri");
  });
  it("maxAge", () => {
    const young = create("maxAge: 1s, clockSkew: 0", services);
    expect(outcome(request({ parameters: usual().replace(`created=${NOW_S}`, `created=${NOW_S - 30}`) }), young)).toBe(CREATED);
  });
});

describe("a body", () => {
  const BODY = "some body";
  const covered = (digest: string) => ({ ...COVERED, "content-digest": digest });
  const withBody = (digest: string | null, more: Variation = {}, length = BODY.length): TestExchange => {
    const x = request({ ...more, ...(digest === null ? {} : { headers: { "content-digest": digest }, components: covered(digest) }) });
    x.bodyKind = length < 0 ? BODY_CHUNKED : BODY_FIXED;
    x.contentLength = length;
    x.bodyDone = false;
    return x;
  };
  const send = async (x: TestExchange, chunks: readonly string[], by = authenticator): Promise<string> => {
    const outcome = by.authenticate(x);
    for (const [i, chunk] of chunks.entries()) x.sink?.bodyChunk(Buffer.from(chunk), i === chunks.length - 1);
    return outcomeText(await outcome);
  };
  const DIFFERS = "refused: the body does not fit Content-Digest";
  const NO_DIGEST = "refused: Content-Digest has no sha-256 or sha-512 (RFC 9530)";
  const sha256 = contentDigest(BODY);

  const check = (name: string, digest: string | null, chunks: readonly string[], expected: string) =>
    it(name, async () => {
      const x = withBody(digest);
      expect(await send(x, chunks)).toBe(expected);
      expect(x.bufferedBody?.toString() ?? null).toBe(expected === "acme" || expected === DIFFERS ? chunks.join("") : null);
    });
  check("that fits", sha256, [BODY], "acme");
  check("in pieces", sha256, ["some", "", " ", "body"], "acme");
  check("by SHA-512", contentDigest(BODY, "sha-512"), [BODY], "acme");
  check("by both", `${sha256}, ${contentDigest(BODY, "sha-512")}`, [BODY], "acme");
  check("by one that fits and one that does not", `${sha256}, ${contentDigest("x", "sha-512")}`, [BODY], DIFFERS);
  check("beside one that is not known", `md5=:AAAA:, ${sha256}`, [BODY], "acme");
  check("changed", sha256, ["some Body"], DIFFERS);
  check("that is longer", sha256, [BODY, "!"], DIFFERS);
  check("cut", sha256, ["some bod"], DIFFERS);
  check("by a weak digest only", "md5=:AAAA:", [], NO_DIGEST);
  check("by a malformed digest", "sha-256=AAAA", [], NO_DIGEST);
  check("by an empty digest", "sha-256=::", [BODY], DIFFERS);
  check("that is not covered", null, [], "refused: the request has a body and the signature does not cover content-digest");

  it("of unknown length", async () => expect(await send(withBody(sha256, {}, -1), ["some ", "body"])).toBe("acme"));
  it("that is announced too large is not read", async () => {
    const x = withBody(sha256, {}, 2 ** 20 + 1);
    expect([await send(x, []), x.sink]).toEqual(["body_too_large", null]);
  });
  it("that turns out too large", async () => {
    expect(await send(withBody(sha256, {}, -1), ["x".repeat(2 ** 20), "x"])).toBe("body_too_large");
  });
  it("of a signature that is wrong is not read", async () => {
    const x = withBody(sha256, { secret: OTHER });
    expect([await send(x, []), x.sink]).toEqual([WRONG, null]);
  });
  it("of a client that goes away ends the waiting", async () => {
    const x = withBody(sha256);
    const outcome = authenticator.authenticate(x);
    x.sink?.bodyChunk(Buffer.from("some"), false);
    x.abort();
    expect(outcomeText(await outcome)).toBe("request_timeout");
  });
  it("body: unsigned does not look at it", async () => {
    const lax = create("body: unsigned");
    const x = withBody(null);
    expect([outcome(x, lax), x.sink]).toEqual(["acme", null]);
  });
  it("that is not there fits the digest of nothing only", () => {
    expect(outcome(request({ components: covered(contentDigest("")), headers: { "content-digest": contentDigest("") } }))).toBe("acme");
    expect(outcome(request({ components: covered(sha256), headers: { "content-digest": sha256 } }))).toBe(DIFFERS);
  });
});

it("is taken out of what goes upstream; the digest stays", () => {
  const headers = flat({ signature: "a", "signature-input": ["b", "c"], signature_input: "d", "content-digest": "e", a: "1" });
  stripPlaces(authenticator.places, { path: "/", headers });
  expect(headers).toEqual(["content-digest", "e", "a", "1"]);
});

it("an input is written the one way that the RFC has", () => {
  const input = parseSignatureInputs('  a=(  "@method"   "x-y" ); created=-5;  nonce="q\\"\\\\";tag=""  ')?.get("a");
  expect(input === undefined ? "" : serialiseInput(input)).toBe('("@method" "x-y");created=-5;nonce="q\\"\\\\";tag=""');
});

describe("configuration", () => {
  const check = (name: string, signature: string, secret: string, ...expected: string[]) =>
    it(name, () => {
      const text = `${BASE}auth: { a: { signature: { ${signature} } } }\ndefaults: { auth: a }\nconsumers: [{ id: acme, signingSecrets: [{ keyId: k, secret: "${secret}" }] }]\n`;
      expect(problemsOf(text).map((problem) => problem.replace(/^c\.yaml:\d:\d+: /, ""))).toEqual(expected);
    });
  check("good", "", SECRET);
  check(
    "short secret",
    "",
    "short",
    "consumers[0].signingSecrets[0].secret: expected a secret of 32 to 1024 bytes, as text or as `base64:` and base64",
  );
  check(
    "short base64",
    "",
    `base64:${"A".repeat(40)}`,
    "consumers[0].signingSecrets[0].secret: expected a secret of 32 to 1024 bytes, as text or as `base64:` and base64",
  );
  check(
    "no base64",
    "",
    `base64:${"!".repeat(60)}`,
    "consumers[0].signingSecrets[0].secret: expected a secret of 32 to 1024 bytes, as text or as `base64:` and base64",
  );
  check(
    "no method",
    'components: ["@path"]',
    SECRET,
    "auth.a.signature.components: without @method a signature for one method would do for all",
  );
  check(
    "no target",
    'components: ["@method", date]',
    SECRET,
    "auth.a.signature.components: without one of @path, @target-uri, @request-target a signature for one resource would do for all",
  );
  check(
    "a component that is none",
    'components: ["@method", "@path", "@status"]',
    SECRET,
    "auth.a.signature.components[2]: expected a header's name in lowercase, or one of @method, @authority, @scheme, @path, @query, @request-target, @target-uri",
  );
});
