// Owns the `respond` key of a route: a fixed answer (static file, mock, maintenance page). Schema, type and docs only.
import * as z from "zod";
import { isProtected } from "../../../base/protected-headers.ts";
import { withRules } from "../../../base/rules.ts";
import { duration, headerName, headerText, once } from "../../../base/schema.ts";

/** A fixed answer lives in every worker's memory. */
export const RESPOND_BODY_BYTES_MAX = 1024 * 1024;
const HEADERS_MAX = 50;

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  txt: "text/plain; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  xml: "application/xml",
  svg: "image/svg+xml",
  png: "image/png",
  ico: "image/x-icon",
};

const typeOfFile = (path: string): string => TYPES[path.slice(path.lastIndexOf(".") + 1).toLowerCase()] ?? "application/octet-stream";

const header = () => headerName().refine((name) => !isProtected(name), { error: "this header is the gateway's own business" });

const bodiesOf = (...bodies: readonly unknown[]): number => bodies.filter((body) => body !== undefined).length;

export const respondSchema = once(() =>
  withRules(
    z.strictObject({
      status: z
        .int()
        .min(200, "expected a final status, 200 to 599")
        .max(599, "expected a final status, 200 to 599")
        .default(200)
        .meta({ description: "Status code.", examples: [503] }),
      body: z.string().max(RESPOND_BODY_BYTES_MAX).optional().meta({ description: "Body as text." }),
      json: z
        .unknown()
        .optional()
        .meta({ description: "Body as a value, sent as JSON.", examples: [{ status: "ok" }] }),
      file: z.string().min(1).optional().meta({ description: "File to send, read when the configuration is loaded; at most 1MiB." }),
      contentType: headerText()
        .min(1)
        .optional()
        .meta({ description: "Content-Type. Default: text/plain for `body`, application/json for `json`, by file name for `file`." }),
      headers: z
        .record(header(), headerText())
        .refine((headers) => Object.keys(headers).length <= HEADERS_MAX, { error: `at most ${HEADERS_MAX} headers` })
        .prefault({})
        .meta({ description: "Further response headers.", examples: [{ "cache-control": "no-store" }] }),
      retryAfter: duration().optional().meta({ description: "Retry-After, rounded up to seconds: for maintenance with status 503." }),
    }),
    ({ body, json, file }, object) => {
      if (bodiesOf(body, json, file) > 1) object("give one of `body`, `json` and `file`");
    },
    ({ status, body, json, file }, object) => {
      if (bodiesOf(body, json, file) > 0 && (status === 204 || status === 304 || status === 205))
        object(`a ${status} response has no body (RFC 9110)`, ["status"]);
    },
  )
    .transform(({ status, body, json, file, contentType, headers, retryAfter }) => ({
      status,
      headers,
      body: (json === undefined ? (body ?? null) : JSON.stringify(json)) as string | Uint8Array | null, // a file's content comes in resolveRespond
      file: file ?? null,
      contentType:
        contentType ?? (json !== undefined ? "application/json" : file !== undefined ? typeOfFile(file) : "text/plain; charset=utf-8"),
      retryAfterSeconds: retryAfter === undefined ? null : Math.ceil(retryAfter / 1000),
    }))
    .meta({ description: "Answer with a fixed response instead of forwarding: a static page, a mock, maintenance. Needs no upstream." }),
);

export type RespondConfig = z.output<ReturnType<typeof respondSchema>>;

/**
 * Puts the file's content into the configuration.
 * @param readFile reads a file as named in the configuration (relative to it) and throws with a message for the operator
 * @throws Error when the file can't be read or is too large
 */
export function resolveRespond(config: RespondConfig, readFile: (path: string) => Uint8Array): RespondConfig {
  if (config.file === null) return config;
  const body = readFile(config.file);
  if (body.byteLength > RESPOND_BODY_BYTES_MAX) throw new Error(`${config.file} is larger than 1MiB: serve it from an upstream`);
  return { ...config, body };
}
