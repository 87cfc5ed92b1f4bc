// Owns comparing what came of a policy's test with what it expects. Pure.
import type { IncomingHttpHeaders } from "node:http";
import type { PolicyCase } from "./policy-test-file.ts";
import type { Asked } from "./test-upstream.ts";

/** @property status 0 when there was no answer: then the body says why */
export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** @returns one line for each thing that is not as expected */
export function differences({ upstream, response }: PolicyCase["expect"], answered: Answered, asked: readonly Asked[]): readonly string[] {
  return [...upstreamDifferences(upstream, asked), ...responseDifferences(response, answered)];
}

function upstreamDifferences(expected: PolicyCase["expect"]["upstream"], asked: readonly Asked[]): readonly string[] {
  if (expected === undefined) return [];
  const [got] = asked;
  if (expected === "none") return got === undefined ? [] : [`upstream: expected no request, got ${got.method} ${got.path} at ${got.name}`];
  if (got === undefined) return ["upstream: expected a request, got none"];
  return [
    ...different("upstream.name", expected.name, got.name),
    ...different("upstream.method", expected.method, got.method),
    ...different("upstream.path", expected.path, got.path),
    ...headerDifferences("upstream.headers", expected.headers, got.headers),
    ...different("upstream.body", expected.body, got.body),
  ];
}

function responseDifferences(expected: PolicyCase["expect"]["response"], { status, headers, body }: Answered): readonly string[] {
  if (expected === undefined) return [];
  if (status === 0) return [`response: expected one, got none: ${body}`];
  return [
    ...different("response.status", expected.status, status),
    ...headerDifferences("response.headers", expected.headers, headers),
    ...different("response.body", expected.body, body),
  ];
}

function headerDifferences(what: string, expected: Readonly<Record<string, string | null>>, got: IncomingHttpHeaders): readonly string[] {
  return Object.entries(expected).flatMap(([name, value]) => {
    const there = got[name.toLowerCase()];
    const text = Array.isArray(there) ? there.join(", ") : there;
    if (value === null) return text === undefined ? [] : [`${what}.${name}: expected none, got ${JSON.stringify(text)}`];
    return different(`${what}.${name}`, value, text);
  });
}

function different(what: string, expected: string | number | undefined, got: string | number | undefined): readonly string[] {
  if (expected === undefined || expected === got) return [];
  return [`${what}: expected ${JSON.stringify(expected)}, got ${got === undefined ? "none" : JSON.stringify(got)}`];
}
