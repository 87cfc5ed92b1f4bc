// Owns the form of the configuration that may be shown: `/config` on the admin listener. Must never let a secret through.
import { shownUrl } from "../../../base/shown-url.ts";
import type { RedisConfig } from "../schema/redis.ts";
import type { Config } from "../schema/schema.ts";

const HIDDEN = "***";
/** Headers and the like whose values are credentials more often than not. */
const SECRET_NAME = /authorization|cookie|token|secret|password|pepper|api-?key|credential/i;
/** Headers and parameters that are set are called so when what they carry is one. */
const SECRET_HEADER = /auth|cookie|token|secret|password|pepper|key|credential|signature|session|jwt/i;
/** Within what says how callers prove who they are: there a key is a key. */
const SECRET_NAME_OF_AUTH = /^key$|^k$|hash|pem|private|token|secret|password|pepper|credential/i;

/**
 * A plain copy for JSON: the admin token, private keys, hashes of API keys and whatever is called like a credential are `***`; so are the values of
 * headers and parameters that routes compare with, texts in expressions, and queries and passwords of URLs: any of them may be a shared secret.
 */
export function redactConfig(config: Config): unknown {
  const { certificateFiles: _keys, errorPageFiles: _pages, redisConsumers: _raw, modules, ...shown } = config;
  return copy({
    ...shown,
    modules: modules.map(({ url }) => url),
    admin: config.admin === null ? null : { ...config.admin, token: config.admin.token === null ? null : HIDDEN },
    auth: copy(config.auth, SECRET_NAME_OF_AUTH),
    identity: copy(config.identity, SECRET_NAME_OF_AUTH),
    // Hashes, but of what their owner may have chosen badly.
    consumers: config.consumers.map((consumer) => ({ ...consumer, keys: consumer.keys.map(() => HIDDEN) })),
    upstreams: config.upstreams.map(({ tls, sticky, ...upstream }) => ({
      ...upstream,
      ...(sticky === undefined ? {} : { sticky: { ...sticky, key: HIDDEN } }),
      ...(tls === undefined ? {} : { tls: { ...tls, key: tls.key === null ? null : HIDDEN } }),
    })),
    redis: config.redis === null ? null : redactRedis(config.redis),
  });
}

/** Passwords and the secret are hidden by their names; a private key is not named so. */
function redactRedis(redis: RedisConfig): unknown {
  return { ...redis, tls: redis.tls === null ? null : { ...redis.tls, key: redis.tls.key === null ? null : HIDDEN } };
}

/** @param secret names whose texts are hidden, alone or in a list */
function copy(value: unknown, secret = SECRET_NAME): unknown {
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) return value.map((each) => copy(each, secret));
  if (typeof value === "string") return shownUrl(value);
  if (typeof value !== "object" || value === null) return value;
  if ("kty" in value && value.kty === "oct") return { kty: "oct", k: HIDDEN }; // a JWK that is a shared secret (RFC 7518 section 6.4)
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, secret.test(key) ? hidden(inner, secret) : copyOf(key, inner, secret)]),
  );
}

function copyOf(key: string, value: unknown, secret: RegExp): unknown {
  if (key === "with") return withoutTexts(value); // of a policy of the user's own, which alone knows what is secret
  if (key === "match" || key === "expect") return redactMatch(value);
  if (key === "when" && typeof value === "string") return redactExpression(value);
  const isHeaders =
    (key === "set" || key === "setIfAbsent" || key === "add" || key === "headers" || key === "query") &&
    typeof value === "object" &&
    !Array.isArray(value);
  return copy(value, isHeaders ? SECRET_HEADER : secret);
}

/** Names of headers and the like stay, as in `header["x-tenant"]`. What is written in an odd way, with other quotes or escapes, is not told at all. */
function redactExpression(text: string): string {
  if (/\\|"""|'''/.test(text)) return HIDDEN;
  return text.replace(TEXT_IN_EXPRESSION, (all, index: string | undefined, quote: string) =>
    index === undefined || /^in\s*\[/.test(index) ? `${index ?? ""}${quote}${HIDDEN}${quote}` : all,
  );
}

/** With what makes it an index: a name or a closing bracket, and `[`. */
const TEXT_IN_EXPRESSION = /((?:\w+|[)\]])\s*\[\s*)?(["']).*?\2/gs;

/** What a route matches, or an answer must have: names of headers and parameters, and of their values only how they are compared. */
export function redactMatch(match: unknown): unknown {
  if (typeof match !== "object" || match === null) return match;
  const withoutValues = (list: unknown): unknown =>
    Array.isArray(list) ? list.map((each: object) => ("value" in each ? { ...each, value: HIDDEN } : each)) : list;
  return Object.fromEntries(
    Object.entries(match).map(([key, value]) => [key, key === "headers" || key === "query" ? withoutValues(value) : copy(value)]),
  );
}

function withoutTexts(value: unknown): unknown {
  if (typeof value === "string") return HIDDEN;
  if (Array.isArray(value)) return value.map(withoutTexts);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutTexts(inner)]));
}

function hidden(value: unknown, secret: RegExp): unknown {
  if (typeof value === "string") return HIDDEN;
  return Array.isArray(value) ? value.map((each) => hidden(each, secret)) : copy(value, secret);
}
