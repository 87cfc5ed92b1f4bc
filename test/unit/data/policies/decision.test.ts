// What a service's answer means, what the client gets for a refusal, and what is kept of it.
import { describe, expect, it } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import type { ExpectConfig } from "../../../../src/data/policies/config-subrequest.ts";
import { type Decision, decisionOf, denialReply, failedCall, type ServiceAnswer } from "../../../../src/data/policies/decision.ts";
import { DecisionCache } from "../../../../src/data/policies/decision-cache.ts";
import { flat } from "../../../support/exchange.ts";

const PASSES: ExpectConfig = { statuses: [{ min: 200, max: 299 }], headers: [] };
const answer = (
  status: number,
  fields: Readonly<Record<string, string | readonly string[]>> = {},
  body: string | null = "",
): ServiceAnswer => ({
  status,
  headers: flat(fields),
  body: body === null ? null : Buffer.from(body),
});
const kindOf = (given: ServiceAnswer, expect: ExpectConfig = PASSES) => decisionOf(given, expect, []).kind;

describe("an answer", () => {
  it.each([200, 201, 204, 299])("%d lets pass", (status) => expect(kindOf(answer(status))).toBe("allowed"));
  it.each([300, 301, 302, 307, 400, 401, 403, 404, 407, 418, 429, 499])("%d refuses", (status) =>
    expect(kindOf(answer(status))).toBe("denied"),
  );
  it.each([304, 500, 501, 502, 503, 504, 599, 0, 100, 101, 199])("%d decides nothing", (status) => {
    expect(decisionOf(answer(status), PASSES, [])).toMatchObject({ kind: "failed", code: "forward_auth_unavailable" });
  });

  const strict: ExpectConfig = { statuses: [{ min: 204, max: 204 }], headers: [{ name: "x-decision", value: "allow" }] };
  it("lets pass only with all that is expected", () => {
    expect(kindOf(answer(204, { "x-decision": "allow" }), strict)).toBe("allowed");
    expect(kindOf(answer(200, { "x-decision": "allow" }), strict)).toBe("denied");
    expect(kindOf(answer(204), strict)).toBe("denied");
    expect(kindOf(answer(204, { "x-decision": "deny" }), strict)).toBe("denied");
    expect(kindOf(answer(204, { "x-decision": ["allow", "deny"] }), strict)).toBe("denied");
    expect(kindOf(answer(204, { "x-decision": ["allow", "allow"] }), strict)).toBe("denied");
  });

  it("gives the upstream the headers that are named, line by line, and nothing else", () => {
    const given = answer(200, { "x-user": "ann", "x-group": ["a", "b"], "x-other": "no", "set-cookie": ["s=1", "t=2"] });
    expect(decisionOf(given, PASSES, ["x-user", "x-group"])).toEqual({
      kind: "allowed",
      headers: ["x-user", "ann", "x-group", "a", "x-group", "b"],
      cookies: ["s=1", "t=2"],
    });
  });

  it("of a service that is overloaded says when to come again, if it is a number", () => {
    expect(decisionOf(answer(503, { "retry-after": "7" }), PASSES, [])).toMatchObject({ headers: ["retry-after", "7"] });
    expect(decisionOf(answer(503, { "retry-after": "soon" }), PASSES, [])).toMatchObject({ headers: [] });
  });
});

describe("a failed call", () => {
  it.each(["connect_timeout", "response_timeout", "total_timeout", "upstream_idle_timeout"] as const)("%s came too late", (code) => {
    expect(failedCall(code, "")).toEqual({ kind: "failed", code: "forward_auth_timeout", detail: code, headers: [] });
  });
  it.each(["connect_failed", "upstream_reset", "upstream_aborted", "upstream_invalid", "upstream_tls", "no_healthy_target"] as const)(
    "%s: the service cannot be asked",
    (code) => {
      expect(failedCall(code, "why", ["retry-after", "1"])).toEqual({
        kind: "failed",
        code: "forward_auth_unavailable",
        detail: `${code}: why`,
        headers: [],
      });
    },
  );
  it.each(["breaker_open", "overloaded"] as const)("%s says when to come again", (code) => {
    expect(failedCall(code, "", ["retry-after", "5"])).toMatchObject({
      code: "forward_auth_unavailable",
      headers: ["retry-after", "5"],
    });
  });
});

describe("what the client gets for a refusal", () => {
  it("is the service's answer with the gateway's own framing", () => {
    const fields = {
      "content-type": "text/html",
      "content-length": "9999",
      "transfer-encoding": "chunked",
      connection: "close",
      date: "x",
      "x-request-id": "y",
      location: "/login",
      "set-cookie": ["a=1", "b=2"],
      "cache-control": "private",
    };
    expect(denialReply(answer(302, fields, "go"), "relay")).toEqual({
      kind: "response",
      status: 302,
      headers: ["content-type", "text/html", "location", "/login", "set-cookie", "a=1", "set-cookie", "b=2", "cache-control", "private"],
      body: Buffer.from("go"),
    });
  });
  it("is not kept by shared caches unless the service says so", () => {
    expect(denialReply(answer(404), "relay")).toMatchObject({ headers: ["cache-control", "no-store"] });
  });
  it("has no body, and nothing that describes one, when that was too long", () => {
    expect(
      denialReply(answer(403, { "content-type": "text/html", "content-encoding": "gzip", etag: "x", "x-why": "no" }, null), "relay"),
    ).toEqual({
      kind: "response",
      status: 403,
      headers: ["x-why", "no", "cache-control", "no-store"],
      body: null,
    });
  });
  it("never looks like a success", () => {
    expect(denialReply(answer(200, {}, "welcome"), "relay")).toMatchObject({ kind: "problem", code: "access_denied" });
  });
  it("is a problem where that is wanted, with the challenges of the service", () => {
    const challenges = { "www-authenticate": ["Bearer a", "Basic b"] };
    expect(denialReply(answer(401, challenges), "problem")).toMatchObject({
      code: "credentials_invalid",
      headers: ["www-authenticate", "Bearer a", "www-authenticate", "Basic b"],
    });
    expect(denialReply(answer(401), "problem")).toMatchObject({ headers: ["www-authenticate", 'Credential realm="forwardAuth"'] });
    for (const status of [302, 403, 404, 429]) expect(denialReply(answer(status), "problem")).toMatchObject({ code: "access_denied" });
  });
});

describe("what is kept", () => {
  const cacheOf = (part: { readonly entries?: number; readonly deniedForMs?: number } = {}) =>
    new DecisionCache({ forMs: 30_000, deniedForMs: 1000, key: null, entries: 10, ...part });
  /** For how long, ms. */
  function keptMs(given: ServiceAnswer, cache = cacheOf()): number {
    cache.keep("k", decisionOf(given, PASSES, ["x-user"]), given, 0);
    let ms = 0;
    while (cache.recall("k", ms) !== undefined) ms += 500;
    return ms;
  }
  it("a decision that lets pass, with its headers", () => {
    expect(keptMs(answer(200))).toBe(30_000);
    const cache = cacheOf();
    const given = answer(200, { "x-user": "ann" });
    cache.keep("k", decisionOf(given, PASSES, ["x-user"]), given, 0);
    expect(cache.recall("k", 1)).toMatchObject({ kind: "allowed", headers: ["x-user", "ann"] });
    expect(cache.recall("other", 1)).toBeUndefined();
  });
  it.each([401, 403])("%d, briefly", (status) => expect(keptMs(answer(status))).toBe(1000));
  it("no refusal where none is to be kept", () => expect(keptMs(answer(401), cacheOf({ deniedForMs: 0 }))).toBe(0));
  it.each([302, 400, 404, 429, 500, 503])("never %d", (status) => expect(keptMs(answer(status))).toBe(0));
  it("never a failed call", () => {
    const cache = cacheOf();
    cache.keep("k", failedCall("connect_failed", ""), { headers: [] }, 0);
    expect(cache.recall("k", 0)).toBeUndefined();
  });
  it("never an answer that sets cookies", () => {
    expect(keptMs(answer(200, { "set-cookie": "s=1" }))).toBe(0);
    expect(keptMs(answer(401, { "set-cookie": "s=1" }))).toBe(0);
  });
  it.each([
    ["no-store", 0],
    ["No-Cache", 0],
    ["max-age=0", 0],
    ["max-age=5", 5000],
    ['private, max-age="5"', 5000],
    ["max-age=600", 30_000],
    ["max-age=soon", 0],
    ["private", 30_000],
  ])("as long as the answer's own %s lets it be", (value, ms) => expect(keptMs(answer(200, { "cache-control": value }))).toBe(ms));
  it("nothing that is large", () => {
    expect(keptMs(answer(403, {}, "x".repeat(9000)))).toBe(0);
    expect(keptMs(answer(200, { "x-user": "x".repeat(9000) }))).toBe(0);
  });
  it("so many decisions, of which a flood of refusals drives out none that lets pass", () => {
    const cache = cacheOf({ entries: 3 });
    const keep = (key: string, given: ServiceAnswer) => cache.keep(key, decisionOf(given, PASSES, []), given, 0);
    keep("good", answer(200));
    for (let i = 0; i < 10; i++) keep(`bad${i}`, answer(403));
    const known = (key: string): Decision["kind"] | undefined => cache.recall(key, 1)?.kind;
    expect([known("good"), known("bad0"), known("bad9")]).toEqual(["allowed", undefined, "denied"]);
    for (let i = 0; i < 3; i++) keep(`more${i}`, answer(200));
    expect(known("good")).toBeUndefined();
  });
  it("the later of two decisions about the same", () => {
    const cache = cacheOf();
    const keep = (given: ServiceAnswer) => cache.keep("k", decisionOf(given, PASSES, []), given, 0);
    keep(answer(200));
    keep(answer(403));
    expect(cache.recall("k", 1)?.kind).toBe("denied");
    keep(answer(200));
    expect(cache.recall("k", 1)?.kind).toBe("allowed");
  });
  it("the client's challenge with a refusal, so that it is the same from the cache", () => {
    const cache = cacheOf();
    const given = answer(401, { "www-authenticate": "Bearer" }, "no");
    cache.keep("k", decisionOf(given, PASSES, []), given, 0);
    const kept = cache.recall("k", 1);
    expect(kept?.kind === "denied" && denialReply(kept.answer, "relay")).toMatchObject({
      headers: expect.arrayContaining(["www-authenticate"]) as HeaderList,
      body: Buffer.from("no"),
    });
  });
});
