// Owns the `cors` key of a route: which web pages of other origins may use it (Fetch standard, CORS protocol). Schema, type and docs only.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { duration, headerName, once } from "../../../base/schema.ts";

const ORIGINS_MAX = 200;
const NAMES_MAX = 100;

/** scheme://host[:port] as browsers serialise an origin (RFC 6454 section 6.2); the first label may be `*`. */
const ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/(?:\*\.)?(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/;

function originProblem(text: string): string | null {
  if (text === "*") return null;
  if (text === "null")
    return "`null` is the origin of every sandboxed page: allowing it allows everyone; use `*` without credentials if that is meant";
  const lower = text.toLowerCase();
  if (lower !== text) return `origins are compared as browsers send them, in lower case: write ${lower}`;
  const match = ORIGIN.exec(text);
  if (match === null) return "expected an origin such as https://app.example.com, https://*.example.com or *, without a path";
  const [, scheme, port] = match;
  if ((scheme === "https" && port === "443") || (scheme === "http" && port === "80"))
    return `browsers leave out the default port: write ${text.slice(0, text.lastIndexOf(":"))}`;
  return null;
}

const origin = () =>
  z.string().superRefine((text, ctx) => {
    const problem = originProblem(text);
    if (problem !== null) ctx.addIssue({ code: "custom", message: problem });
  });

const method = () => z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "expected an HTTP method such as GET, in the case clients send it");

export const corsSchema = once(() =>
  withRules(
    z.strictObject({
      origins: z
        .array(origin())
        .min(1, "name at least one origin")
        .max(ORIGINS_MAX)
        .meta({
          description:
            "Origins whose pages may read the answers: exact (`https://app.example.com`), any subdomain at any depth (`https://*.example.com`, not example.com itself), or `*` for all.",
          examples: [["https://app.example.com", "https://*.example.com"]],
        }),
      methods: z.array(method()).max(NAMES_MAX).optional().meta({
        description:
          "Methods that a preflight lists. Default: the route's own methods; GET, HEAD, POST, PUT, PATCH and DELETE if it names none.",
      }),
      headers: z
        .array(z.union([z.literal("*"), headerName()]))
        .max(NAMES_MAX)
        .prefault(["authorization", "content-type", "x-requested-with", "x-request-id"])
        .meta({ description: "Request headers pages may set. `*` allows whatever the preflight requests (its names are echoed)." }),
      exposeHeaders: z
        .array(headerName())
        .max(NAMES_MAX)
        .prefault([])
        .meta({ description: "Response headers pages may read, besides those that the Fetch standard always allows." }),
      credentials: z
        .boolean()
        .default(false)
        .meta({ description: "Whether cookies and HTTP authentication of the browser may be sent. Refused together with the origin `*`." }),
      maxAge: duration().prefault("10m").meta({ description: "How long a browser may remember a preflight." }),
    }),
    ({ credentials, origins }, object) => {
      if (credentials && origins.includes("*"))
        object(
          "credentials with the origin `*` would let every site act as the signed-in user",
          ["credentials"],
          "where pages send no cookies (tokens in `Authorization` are none), remove `credentials`; else name the origins, or a pattern such as https://*.example.com",
        );
    },
  ).meta({
    description:
      "Cross-origin requests from web pages. Preflights are answered at the gateway; the upstream's own Access-Control-* headers are replaced. A WebSocket from an origin that is not listed is refused with 403 `origin_denied`.",
  }),
);

/** `maxAge` in ms. */
export type CorsConfig = z.output<ReturnType<typeof corsSchema>>;
