// Owns the introspection of one token: the request to the provider, and what its response means. The call itself is as any other to an upstream.
// Must never take an answer that is in any doubt for a yes; must never log a token.

import type { HeaderList } from "../../../../base/header-list.ts";
import { parseStrictObject, strictUtf8 } from "../../../../base/strict-json.ts";
import type { Collected } from "../../../upstream/collect.ts";
import type { Upstream } from "../../../upstream/upstream.ts";
import { type SubrequestContext, sendSubrequest } from "../../subrequest-call.ts";
import type { IntrospectionConfig } from "./config.ts";

/** Beyond any honest answer. */
const ANSWER_BYTES_MAX = 64 * 1024;

export type Answer =
  | { readonly kind: "active"; readonly claims: Readonly<Record<string, unknown>> }
  | { readonly kind: "inactive" }
  /** The provider took the request and not the token: it is too long, malformed, or the like. @property reason for operators */
  | { readonly kind: "rejected"; readonly reason: string }
  /** The provider answered, and not what the token is worth: that says nothing about other tokens. @property reason for operators */
  | { readonly kind: "unclear"; readonly reason: string }
  /** The provider cannot introspect any token. @property reason for operators; '' when no request was sent */
  | { readonly kind: "failed"; readonly reason: string };

/** About the token that was sent, by the meaning of the status: it cannot be good. */
const REJECTED: ReadonlySet<number> = new Set([400, 413, 414, 422, 431]);

/** About every request: the gateway's own credentials (RFC 7662 section 2.3), the URL, the method, an intermediary. With them 5xx. The breaker counts them alike (config.ts). */
const NOT_ABOUT_A_TOKEN: ReadonlySet<number> = new Set([401, 404, 405, 407, 408, 410, 421]);

/** So many failures, or answers of no use, in a row are worth a report where no breaker of the authenticator's own says how many. */
const REPORT_AFTER = 5;
/** Answers of no use are reported once in this time, ms: strangers choose the tokens. */
const REPORT_MS_MIN = 60_000;

export class IntrospectionClient {
  private readonly config: IntrospectionConfig;
  private readonly headers: HeaderList;
  private readonly reportAfter: number;
  /** Told when the provider begins to fail, and now and then of answers that are of no use. */
  private readonly onTrouble: (reason: string) => void;
  private failedInARow = 0;
  /** Answers that said nothing of a token, or rejected it. */
  private uselessInARow = 0;
  private reportAgainMs = 0;

  constructor(config: IntrospectionConfig, onTrouble: (reason: string) => void) {
    this.config = config;
    this.onTrouble = onTrouble;
    this.reportAfter = config.service.own?.failures ?? REPORT_AFTER;
    const credentials = Buffer.from(`${formEncode(config.clientId)}:${formEncode(config.clientSecret)}`).toString("base64");
    this.headers = [
      "authorization",
      `Basic ${credentials}`,
      "content-type",
      "application/x-www-form-urlencoded",
      "accept",
      "application/json",
    ];
  }

  /** Never rejects. */
  async introspect(token: string, upstream: Upstream, context: SubrequestContext): Promise<Answer> {
    const { service, timeoutMs } = this.config;
    const body = Buffer.from(`token=${formEncode(token)}&token_type_hint=access_token`, "latin1");
    const subrequest = { method: "POST", path: service.path, headers: this.headers, body, timeoutMs, bytesMax: ANSWER_BYTES_MAX };
    // Concurrent requests with the same token share this response, so that one client's abort does not end it.
    const answer = answerOf(await sendSubrequest(upstream, subrequest, context, null));
    this.judge(answer);
    return answer;
  }

  private judge(answer: Answer): void {
    const useless = answer.kind === "rejected" || answer.kind === "unclear";
    this.uselessInARow = useless ? this.uselessInARow + 1 : 0;
    if (answer.kind !== "failed") {
      this.failedInARow = 0;
      if (useless) this.reportUseless(answer.reason);
    } else if (answer.reason !== "" && ++this.failedInARow === this.reportAfter) this.onTrouble(answer.reason);
  }

  /** No breaker opens over them, so nothing else would say that the endpoint may be the wrong one. */
  private reportUseless(reason: string): void {
    const nowMs = performance.now();
    if (this.uselessInARow < this.reportAfter || nowMs < this.reportAgainMs) return;
    this.reportAgainMs = nowMs + REPORT_MS_MIN;
    this.onTrouble(`${this.uselessInARow} answers in a row that do not say whether a token is active, the last: ${reason}`);
  }
}

/** RFC 7662 section 2.2. */
function answerOf(outcome: Collected): Answer {
  if (outcome.kind === "failed") {
    const { code, detail } = outcome.failure;
    return failed(code === "breaker_open" ? "" : detail === "" ? code : `${code}: ${detail}`);
  }
  const { status } = outcome;
  if (status !== 200) return ofStatus(status);
  if (outcome.kind === "too-large") return unclear("the answer is too large");
  const encoded = outcome.headers.some((name, i) => i % 2 === 0 && name === "content-encoding");
  const text = encoded ? null : strictUtf8(outcome.body);
  if (text === null) return unclear("the answer is compressed or no UTF-8");
  const parsed = parseStrictObject(withoutMark(text));
  if ("problem" in parsed) return unclear(`the answer ${parsed.problem}`);
  const { active } = parsed.value;
  if (active === true) return activeUnlessEndless(parsed.value);
  return active === false ? { kind: "inactive" } : unclear("the answer does not say whether the token is active");
}

function ofStatus(status: number): Answer {
  const reason = `status ${status}${status === 401 ? ": are clientId and clientSecret right?" : ""}`;
  if (REJECTED.has(status)) return { kind: "rejected", reason };
  return status >= 500 || NOT_ABOUT_A_TOKEN.has(status) ? failed(reason) : unclear(reason);
}

const failed = (reason: string): Answer => ({ kind: "failed", reason });
const unclear = (reason: string): Answer => ({ kind: "unclear", reason });

/** Some write a byte order mark before their JSON. */
const withoutMark = (text: string): string => (text.startsWith("\ufeff") ? text.slice(1) : text);

/** RFC 7662 section 2.2: `exp` in seconds. One that is no number leaves open how long the answer holds. */
function activeUnlessEndless(claims: Readonly<Record<string, unknown>>): Answer {
  const { exp } = claims;
  if (exp !== undefined && (typeof exp !== "number" || !Number.isFinite(exp))) return unclear("the answer's `exp` is no number");
  return { kind: "active", claims };
}

/** `application/x-www-form-urlencoded`, without the blank's `+` that some providers read as a plus. */
const formEncode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
