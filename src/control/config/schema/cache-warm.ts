// Owns the schema of `cache.warm`: what the gateway asks for ahead of clients, and how it is written.
import * as z from "zod";
import { isHopByHop, parseAuthority } from "../../../base/http.ts";
import { headerName, once } from "../../../base/schema.ts";
import { CREDENTIAL_HEADERS } from "../../../data/cache/config-credentials.ts";
import { isQuery, normalisePath } from "../../../data/routing/normalise.ts";
import type { WarmPlan, WarmRequest } from "../../../plan/warm-plan.ts";
import { count } from "./fields.ts";

const URLS_MAX = 10_000;
const VARIANTS_MAX = 16;
/** URLs, each in every variant. */
const REQUESTS_MAX = 20_000;
/** Fields that say something else than which variant is wanted. */
const OTHER_FIELDS =
  /^(?:host|expect|te|range|if-.*|content-.*|cache-control|pragma|forwarded|x-forwarded-.*|x-real-ip|x-request-id|user-agent)$/;
const USER_AGENT = "sluice-warm-up";

type WarmUrl = Omit<WarmRequest, "headers">;

/** @returns what is wrong with it */
function parseUrl(text: string): WarmUrl | string {
  const [, scheme = "", authority = "", target = ""] = /^(https?):\/\/([^/?#]+)(\/[^#]*)?$/i.exec(text) ?? [];
  if (parseAuthority(authority) === null || !URL.canParse(text)) return "expected a URL such as https://shop.example.com/catalog?page=1";
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? "" : target.slice(mark + 1);
  if (normalisePath(path === "" ? "/" : path) === null || !isQuery(query))
    return "the gateway refuses this path or query: percent-encode it";
  return { url: text, scheme: scheme.toLowerCase() === "https" ? "https" : "http", authority, path: path === "" ? "/" : path, query };
}

const urls = once(() =>
  z
    .union([z.array(z.string()), z.string()], { error: "expected a list of URLs, or `file:path` of a file with one a line" })
    .transform((value, context): readonly WarmUrl[] => {
      const lines = typeof value === "string" ? value.split(/\r?\n/).map((line) => line.trim()) : value;
      const found: WarmUrl[] = [];
      for (const [i, text] of lines.entries()) {
        if (typeof value === "string" && (text === "" || text.startsWith("#"))) continue;
        const url = parseUrl(text);
        if (typeof url !== "string") found.push(url);
        else
          context.addIssue({
            code: "custom",
            message: typeof value === "string" ? `line ${i + 1}: ${url}` : url,
            path: typeof value === "string" ? [] : [i],
          });
      }
      if (found.length > URLS_MAX) context.addIssue({ code: "custom", message: `more than ${URLS_MAX} URLs` });
      return found;
    })
    .meta({
      description:
        "Whole URLs, as clients write them. `file:path`: a file with one a line; empty lines and those that begin with `#` do not count.",
      examples: [["https://shop.example.com/"], "file:warm.txt"],
    }),
);

const variants = once(() =>
  z
    .array(
      z.record(
        headerName().refine((name) => !CREDENTIAL_HEADERS.has(name) && !isHopByHop(name) && !OTHER_FIELDS.test(name), {
          error: "expected a header by which variants are told apart, such as accept-encoding",
        }),
        z
          .string()
          .max(1024)
          .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, "expected visible ASCII characters"),
      ),
    )
    .min(1)
    .max(VARIANTS_MAX)
    .prefault([{}])
    .meta({
      description: "Request headers, once for each variant: every URL is asked for with each of them.",
      examples: [[{ "accept-encoding": "gzip" }, { "accept-encoding": "br" }]],
    }),
);

export const cacheWarm = once(() =>
  z
    .strictObject({
      urls: urls(),
      variants: variants(),
      concurrency: count(1, 64).prefault(4).meta({ description: "Requests at once." }),
    })
    .superRefine(({ urls, variants }, context) => {
      if (urls.length * variants.length > REQUESTS_MAX)
        context.addIssue({ code: "custom", message: `URLs times variants are more than ${REQUESTS_MAX}`, path: ["urls"] });
    })
    .transform(
      (v): WarmPlan => ({
        requests: v.urls.flatMap((url) =>
          v.variants.map((fields): WarmRequest => ({ ...url, headers: ["user-agent", USER_AGENT, ...Object.entries(fields).flat()] })),
        ),
        concurrency: v.concurrency,
      }),
    )
    .meta({
      description:
        "URLs that are asked for when the instance is ready, when this list has changed, and by `sluice cache warm`, so that clients find them stored. They go through the routes as a client's requests do, without credentials, and wait behind those at upstreams that have too much to do.",
    }),
);
