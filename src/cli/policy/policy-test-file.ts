// Owns the form of a policy's test: requests, what the upstream answers, and what is expected. Reads it with the place of each mistake.
import * as z from "zod";
import { withRules } from "../../base/rules.ts";
import { headerName, name, once } from "../../base/schema.ts";
import { decodeUtf8 } from "../../base/utf8.ts";
import { parseAt } from "../../control/config/schema/parse.ts";
import { readDocument } from "../../control/config/source/document.ts";
import { ConfigFiles } from "../../control/config/source/files.ts";
import type { LocatedMap } from "../../control/config/source/located.ts";
import type { ConfigProblem } from "../../control/config/source/problem.ts";

const CASES_MAX = 1000;
/** The upstream that the route goes to. */
export const MAIN_UPSTREAM = "main";

const headers = once(() => z.record(headerName(), z.string()).prefault({}));
/** null: must not be there. */
const expectedHeaders = once(() => z.record(headerName(), z.string().nullable()).prefault({}));
const status = once(() => z.int().min(200).max(599));

const request = once(() =>
  z.strictObject({
    method: z
      .string()
      .regex(/^[A-Z]+$/, "expected a method in upper case")
      .prefault("GET"),
    /** A path, or a URL whose host becomes the Host header. */
    url: z.string().regex(/^(\/|https?:\/\/)/, "expected a path, or a URL whose host becomes the Host header"),
    headers: headers(),
    body: z.string().optional(),
    caller: z
      .strictObject({
        consumer: z.string().min(1),
        scopes: z.array(z.string()).prefault([]),
        roles: z.array(z.string()).prefault([]),
        groups: z.array(z.string()).prefault([]),
      })
      .optional(),
  }),
);

const answer = once(() =>
  z.union([z.literal("fails"), z.strictObject({ status: status().prefault(200), headers: headers(), body: z.string().prefault("") })]),
);

const expectation = once(() =>
  z.strictObject({
    upstream: z
      .union([
        z.literal("none"),
        z.strictObject({
          name: name().optional(),
          method: z.string().optional(),
          path: z.string().optional(),
          headers: expectedHeaders(),
          body: z.string().optional(),
        }),
      ])
      .optional(),
    response: z.strictObject({ status: status().optional(), headers: expectedHeaders(), body: z.string().optional() }).optional(),
  }),
);

const policyTest = once(() =>
  z.strictObject({
    module: z.string().min(1),
    with: z.unknown().optional(),
    path: z.string().prefault("/**"),
    upstreams: z.array(name()).prefault([]),
    cases: z
      .array(
        withRules(
          z.strictObject({ name: z.string().min(1), request: request(), upstream: answer().prefault({}), expect: expectation() }),
          ({ expect: { upstream, response } }, object) => {
            if (upstream === undefined && response === undefined)
              object("nothing is expected: say what of `upstream` or `response`", ["expect"]);
          },
        ),
      )
      .min(1)
      .max(CASES_MAX),
  }),
);

export type PolicyTest = z.output<ReturnType<typeof policyTest>>;
export type PolicyCase = PolicyTest["cases"][number];
export type UpstreamAnswer = PolicyCase["upstream"];

export type ReadPolicyTest =
  | { readonly ok: true; readonly test: PolicyTest; readonly root: LocatedMap }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** @param env for `${VAR}` in it */
export function readPolicyTest(file: string, env: Readonly<Record<string, string | undefined>>): ReadPolicyTest {
  const files = new ConfigFiles();
  const content = files.read(files.resolve(`${process.cwd()}/.`, file));
  const at = { file, line: 1, column: 1 };
  if (content instanceof Error)
    return { ok: false, problems: [{ at, path: "", message: `can't read it: ${content.message}`, remedy: "" }] };
  const text = decodeUtf8(content);
  if (typeof text !== "string")
    return { ok: false, problems: [{ at: { ...at, line: text.line, column: text.column }, path: "", message: text.what, remedy: "" }] };
  const { root, problems } = readDocument({ file, text }, env);
  if (root === null || problems.length > 0) return { ok: false, problems };
  const parsed = parseAt(policyTest(), root, []);
  return "value" in parsed ? { ok: true, test: parsed.value, root } : { ok: false, problems: parsed.problems };
}
