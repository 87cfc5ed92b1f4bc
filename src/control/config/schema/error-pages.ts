// Owns the schema of error pages: at the top level, on routes, and in what lies under them. What is in files is read and judged by check/error-pages.ts.
import * as z from "zod";
import { ERRORS } from "../../../base/errors.ts";
import { type Objection, withRules } from "../../../base/rules.ts";
import { headerText, once } from "../../../base/schema.ts";
import { areTied as areTiedRanges, parseStatusRange, type StatusRange } from "../../../base/status-list.ts";
import { statusList } from "../../../base/status-schema.ts";
import { nearest } from "../source/problem.ts";
import { filePath } from "./fields.ts";

const PAGES_MAX = 100;
const VARIANTS_MAX = 8;
const URL_CHARS_MAX = 2048;
/** The lowest status of an error. */
const ERROR_STATUS_MIN = 400;

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  htm: "text/html; charset=utf-8",
  txt: "text/plain; charset=utf-8",
  json: "application/json",
  xml: "application/xml",
};

/** Those in which an error can be answered. */
const CODES: ReadonlySet<string> = new Set(Object.entries(ERRORS).flatMap(([code, { status }]) => (status === 0 ? [] : [code])));

/** The key that is none of a page. */
const INTERCEPT = "intercept";

/** An absolute URL with a fixed host, or a path on the host that was asked. */
const REDIRECT =
  /^(?:https?:\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:[/?#][\x21-\x5b\x5d-\x7e]*)?|\/(?!\/)[\x21-\x5b\x5d-\x7e]*)$/;

const MEDIA_TYPE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\s*;.*)?$/;

/** One form of a page, with placeholders. */
export type ErrorVariantConfig =
  | { readonly kind: "file"; readonly file: string; readonly type: string }
  | { readonly kind: "text"; readonly text: string; readonly type: string }
  | { readonly kind: "redirect"; readonly to: string };

export interface ErrorPageConfig {
  /** As written. */
  readonly key: string;
  /** A code of the table of errors, or statuses. */
  readonly on: string | StatusRange;
  readonly variants: readonly ErrorVariantConfig[];
  /** Written as a list: for positions. */
  readonly isList: boolean;
}

export interface ErrorPagesConfig {
  /** The more specific first. */
  readonly pages: readonly ErrorPageConfig[];
  readonly intercept: readonly StatusRange[];
}

const writtenVariant = once(() =>
  z.strictObject({
    file: filePath().optional().meta({
      description: "File with the page, UTF-8, read when the configuration is loaded; at most `limits.errorPageBytes`.",
    }),
    body: z.string().optional().meta({ description: "The page as text." }),
    json: z
      .unknown()
      .optional()
      .meta({
        description: 'The page as a value, sent as JSON; a text that is `"{status}"` becomes the number.',
        examples: [{ error: "{code}" }],
      }),
    redirect: z
      .string()
      .max(URL_CHARS_MAX)
      .regex(REDIRECT, "expected http(s)://host/..., or a path that starts with one `/`; the host is fixed text")
      .optional()
      .meta({
        description:
          "Instead of a page: 303 to this address, for clients that want HTML. Placeholders are percent-encoded; `{url}` is what was asked for, without credentials.",
        examples: ["https://login.example.com/?rd={url}"],
      }),
    contentType: headerText()
      .regex(MEDIA_TYPE, "expected a media type such as text/html; charset=utf-8")
      .optional()
      .meta({ description: "Content-Type. Default: by file name for `file`, text/plain for `body`, application/json for `json`." }),
  }),
);

type Written = z.output<ReturnType<typeof writtenVariant>>;

const oneForm = ({ file, body, json, redirect, contentType }: Written, object: Objection): void => {
  if ([file, body, json, redirect].filter((form) => form !== undefined).length !== 1)
    return object("expected exactly one of file, body, json and redirect");
  if (redirect !== undefined && contentType !== undefined) return object("a redirect has no body", ["contentType"], "remove it");
  if (file !== undefined && contentType === undefined && typeOfFile(file) === undefined)
    object(
      "nothing says what kind of text the file is",
      ["file"],
      `write \`contentType\`, or name it ${Object.keys(TYPES)
        .map((end) => `.${end}`)
        .join(", ")}`,
    );
};

const typeOfFile = (path: string): string | undefined => TYPES[path.slice(path.lastIndexOf(".") + 1).toLowerCase()];

const variant = once(() =>
  withRules(writtenVariant(), oneForm).transform(({ file, body, json, redirect, contentType }): ErrorVariantConfig => {
    if (redirect !== undefined) return { kind: "redirect", to: redirect };
    if (file !== undefined) return { kind: "file", file, type: contentType ?? typeOfFile(file) ?? "" };
    if (body !== undefined) return { kind: "text", text: body, type: contentType ?? "text/plain; charset=utf-8" };
    return { kind: "text", text: jsonText(json), type: contentType ?? "application/json" };
  }),
);

/** What no configuration holds, as it is made anew in each process. No secret. */
const NUMBER_MARK = `(status ${Math.random()})`;

function jsonText(value: unknown): string {
  const marked = JSON.stringify(value ?? null, (_, each: unknown) => (each === "{status}" ? NUMBER_MARK : each));
  return marked.replaceAll(JSON.stringify(NUMBER_MARK), "{status}");
}

/** By which it is negotiated. */
export const mediaTypeOf = (each: ErrorVariantConfig): string =>
  each.kind === "redirect" ? "text/html" : (each.type.split(";", 1)[0] ?? "").trim().toLowerCase();

const page = once(() =>
  z
    .union([z.array(variant()).min(1).max(VARIANTS_MAX), variant()])
    .superRefine((value, ctx) => {
      const types = [value].flat().map(mediaTypeOf);
      const again = types.findIndex((type, i) => types.indexOf(type) < i);
      if (again > 0)
        ctx.addIssue({
          code: "custom",
          path: [again],
          message: `there is a form in ${types[again]} already`,
          params: { remedy: "give each form a type of its own" },
        });
    })
    .transform((value) => ({ variants: [value].flat(), isList: Array.isArray(value) })),
);

export const errorPages = once(() =>
  z
    .object({
      intercept: statusList({ min: ERROR_STATUS_MIN, example: "500-599" }).optional().meta({
        description:
          "Responses of services with these statuses are replaced, after all retries: by the page for `upstream_status` or for the status, or by a problem document. Of the service's response go on: the status, `Retry-After`, `WWW-Authenticate`, `Allow`, `Set-Cookie`, `Vary`, CORS and rate limit fields.",
      }),
    })
    .catchall(page())
    .meta({ propertyNames: { pattern: `^(${INTERCEPT}|[45]\\d\\d(-[45]\\d\\d)?|${[...CODES].join("|")})$` } })
    .transform(({ intercept, ...pages }, ctx): ErrorPagesConfig => {
      const found = Object.entries(pages).map(([key, { variants, isList }]) => ({ key, on: keyOf(key), variants, isList }));
      if (found.length > PAGES_MAX) ctx.addIssue({ code: "custom", message: `expected at most ${PAGES_MAX} pages` });
      const known: ErrorPageConfig[] = [];
      for (const { on, ...rest } of found) {
        if (on === null)
          ctx.addIssue({
            code: "custom",
            path: [rest.key],
            message: "expected a status from 400 to 599, a range such as 500-599, a code of an error, or intercept",
            params: { remedy: remedyForKey(rest.key) },
          });
        else known.push({ ...rest, on });
      }
      return { pages: known.sort(bySpecificity), intercept: intercept ?? [] };
    })
    .meta({
      description:
        "What clients get instead of a problem document when the gateway answers with an error. Keys: a status, a range, or a [code](../docs/errors.md#codes) such as `rate_limited`; the code wins, then the narrower range. Values: one form, or a list of forms, of which `Accept` chooses. Placeholders: `{status}`, `{code}`, `{title}`, `{requestId}`. A route's own lie over those of its sets, `defaults` and the top level, page by page; `key: null` takes one away.",
      examples: [
        {
          "404": { file: "pages/404.html" },
          "500-599": [{ file: "pages/5xx.html" }, { json: { error: "{code}" } }],
          intercept: [502, 503],
        },
      ],
    }),
);

/** @returns null for what is neither code nor statuses of errors */
function keyOf(key: string): string | StatusRange | null {
  if (CODES.has(key)) return key;
  const range = parseStatusRange(key);
  return range === null || range.min < ERROR_STATUS_MIN ? null : range;
}

function remedyForKey(key: string): string {
  const hundred = /^([45])xx$/i.exec(key)?.[1];
  if (hundred !== undefined) return `write \`${hundred}00-${hundred}99\``;
  if (key.includes(",")) return "write a key for each, or a range";
  if (Object.hasOwn(ERRORS, key)) return "no response is sent for this code";
  const meant = nearest(key, [...CODES, INTERCEPT]);
  return meant === null ? "docs/errors.md lists the codes" : `did you mean \`${meant}\`?`;
}

const widthOf = ({ on }: ErrorPageConfig): number => (typeof on === "string" ? 0 : on.max - on.min + 1);

const bySpecificity = (a: ErrorPageConfig, b: ErrorPageConfig): number => widthOf(a) - widthOf(b);

/** Two pages for the same error, of which neither is more specific. */
export const areTied = (a: ErrorPageConfig, b: ErrorPageConfig): boolean =>
  typeof a.on !== "string" && typeof b.on !== "string" && areTiedRanges(a.on, b.on);
