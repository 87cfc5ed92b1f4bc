// Owns the rule from where keys may be fetched: for the schema, and for what a provider names later. Must not load the schema.

/** @param allowHttp the operator wrote `insecure: [http-jwks]`. @returns null when keys may be fetched from there: TLS, or this machine */
export function keyUrlProblem(text: string, allowHttp: boolean): string | null {
  if (!URL.canParse(text)) return "expected an absolute URL";
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return "expected a URL without credentials";
  if (url.protocol === "https:") return null;
  if (url.protocol !== "http:") return "expected an https:// URL";
  if (allowHttp) return null;
  const isLoopback = url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d+){3}$/.test(url.hostname);
  return isLoopback ? null : "keys must not be fetched over plain http";
}
