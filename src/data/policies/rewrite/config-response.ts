// Owns the key `rewrite.response`: how what a service says of itself (Location, cookies) becomes what the client can use. Schema, types and docs only.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { once } from "../../../base/schema.ts";
import { AUTO_COOKIES, cookies, type NamedCookieRule } from "./config-cookies.ts";
import { address, auto, expecting, isMap, type Mapping, mapping } from "./config-mapping.ts";

/** Of a replacement that stands in a list: the part of the address that is kept begins behind it. */
export interface LocationRule {
  /** `https://host[:port]` in normal form; '' for what the service says of itself, with its own authority or none. */
  readonly origin: string;
  /** Without trailing slash; '' for every path. */
  readonly path: string;
  /** A path or an absolute URL, without trailing slash; '' for the root. */
  readonly to: string;
}

export interface ResponseRewrite {
  /** Of Location, Content-Location and Refresh; null: they are left alone. */
  readonly location: Mapping<LocationRule> | null;
  readonly cookies: readonly NamedCookieRule[];
}

const AUTO_LOCATION: Mapping<LocationRule> = { rules: [], auto: true };

const locationRule = () =>
  z
    .strictObject({
      from: address().meta({
        description:
          "What the address begins with: `http(s)://host[:port]` with or without a path, or a path of the service's own, whether it comes with the service's authority or alone. Ends at a segment boundary; the longest that fits counts.",
        examples: ["http://login.internal:8080", "/v2"],
      }),
      to: address().meta({
        description: "What stands there instead: a path on the client's own host, or `http(s)://host[:port]` with or without a path.",
        examples: ["/shop", "https://login.example.com"],
      }),
    })
    .transform(({ from, to }): LocationRule => ({ ...from, to: to.origin + to.path }));

const location = () =>
  z.union(
    [
      mapping(locationRule(), { keyOf: ({ origin, path }) => `${origin} ${path}`, length: ({ path }) => path.length }),
      auto<LocationRule>(),
    ],
    expecting("expected auto, or a list such as `[{ from: ..., to: ... }]`", Array.isArray),
  );

export const responseRewrite = once(() =>
  z
    .union(
      [
        withRules(
          z.strictObject({
            location: location()
              .optional()
              .meta({
                description:
                  "Location, Content-Location and the URL of Refresh. `auto`: what has the service's own authority, or none, becomes a path on the client's own host, the way back through `stripPrefix` and `addPrefix`; every other host is left alone. Or a list of replacements, in which `auto` may stand for the rest.",
                examples: ["auto", [{ from: "http://login.internal", to: "https://login.example.com" }, "auto"]],
              }),
            cookies: cookies()
              .optional()
              .meta({
                description:
                  "Set-Cookie. `auto`: `{ path: auto, domain: auto }`; or what to do with all cookies; or a list of rules with `names`. Never those that the gateway sets itself (`sticky`).",
                examples: ["auto", { path: "auto", secure: "auto", sameSite: { ifAbsent: "lax" } }],
              }),
          }),
          ({ location: where, cookies: which }, object) => {
            if (where === undefined && which === undefined) object("changes nothing", [], "write `location: auto` or `cookies: auto`");
          },
        ),
        z.literal("auto"),
      ],
      expecting("expected auto, or a map with location and cookies", isMap),
    )
    .transform(
      (value): ResponseRewrite =>
        value === "auto"
          ? { location: AUTO_LOCATION, cookies: AUTO_COOKIES }
          : { location: value.location ?? null, cookies: value.cookies ?? [] },
    )
    .meta({
      description:
        "What becomes of the addresses and cookies in a service's responses. Left out: they go to the client as they are. `auto`: `{ location: auto, cookies: auto }`. What the gateway answers itself, and the cookies it sets, are never changed.",
      examples: ["auto"],
    }),
);
