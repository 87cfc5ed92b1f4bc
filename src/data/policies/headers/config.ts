// Owns the `headers` key of a route: headers set, added and removed on the way up and down. Schema, type and docs only.
import * as z from "zod";
import { isProtected } from "../../../base/protected-headers.ts";
import { type Objection, withRules } from "../../../base/rules.ts";
import { headerName, headerText, once } from "../../../base/schema.ts";

const HEADERS_MAX = 100;

const protectedMessage = "this header frames the message or belongs to one connection: the gateway writes it itself";

const settable = (allowHost: boolean) =>
  headerName().refine((name) => !isProtected(name) || (allowHost && name === "host"), { error: protectedMessage });

const values = (allowHost: boolean, description: string, example: Record<string, string>) =>
  z
    .record(settable(allowHost), headerText())
    .refine((map) => Object.keys(map).length <= HEADERS_MAX, { error: `at most ${HEADERS_MAX} headers` })
    .prefault({})
    .meta({ description, examples: [example] });

/** A name, or a prefix with a trailing `*`. */
const removable = () =>
  z
    .string()
    .regex(/^[!#$%&'+\-.^_`|~0-9A-Za-z]+\*?$/, "expected a header name, or a prefix such as x-internal-*")
    .transform((text) => text.toLowerCase())
    .refine((text) => !isProtected(text), { error: protectedMessage });

const removals = () =>
  z
    .array(removable())
    .max(HEADERS_MAX)
    .prefault([])
    .meta({ description: "Headers to remove: names, or prefixes such as `x-internal-*`. Done first.", examples: [["x-internal-*"]] });

const allowed = () =>
  z
    .array(
      z
        .string()
        .regex(/^[!#$%&'+\-.^_`|~0-9A-Za-z]+\*?$/, "expected a header name, or a prefix such as x-app-*")
        .transform((text) => text.toLowerCase()),
    )
    .max(HEADERS_MAX)
    .optional();

const side = (allowHost: boolean, direction: string) => ({
  set: values(
    allowHost,
    `Headers of the ${direction} to replace, whatever was there. A template without a value removes the header.`,
    allowHost ? { "x-tenant": "{path.tenant}" } : { "x-frame-options": "DENY" },
  ),
  add: values(false, `Headers of the ${direction} to add beside those that are there.`, { "x-seen-by": "sluice" }),
  setIfAbsent: values(
    false,
    `Headers of the ${direction} to add where there is none of that name, after \`remove\` and \`set\`.`,
    allowHost ? { accept: "application/json" } : { "cache-control": "no-store" },
  ),
  remove: removals(),
});

type Actions = Readonly<Record<"set" | "setIfAbsent", Readonly<Record<string, string>>>>;

/** What is set always is never absent. */
const onlyOnce = ({ set, setIfAbsent }: Actions, object: Objection): void => {
  for (const name of Object.keys(setIfAbsent))
    if (Object.hasOwn(set, name))
      object(`${name} is under \`set\` too, which replaces it always`, ["setIfAbsent", name], "keep one of them");
};

const request = () =>
  withRules(
    z.strictObject({
      allow: allowed().meta({
        description:
          "The client's headers that go upstream: names, or prefixes such as `x-app-*`; `[]` for none. Done first. Left out: all. What the gateway itself sends stays (Host, framing, `X-Forwarded-*`, `X-Request-Id`, who is calling), and so do `content-type`, `content-encoding` and `max-forwards`, which say what a request is; a WebSocket's handshake too. Credentials that are to be forwarded must be listed.",
        examples: [["accept", "accept-language", "x-app-*"]],
      }),
      ...side(true, "request"),
    }),
    onlyOnce,
  );

const response = () =>
  withRules(
    z.strictObject({
      ...side(false, "response"),
      onTls: values(false, "Headers to set on responses to clients that came by https, also to a trusted proxy that says so.", {
        "strict-transport-security": "max-age=31536000",
      }),
    }),
    onlyOnce,
  );

export const headersSchema = once(() =>
  z
    .strictObject({
      request: request().prefault({}).meta({ description: "What the upstream gets. Setting `host` changes the Host it sees." }),
      response: response().prefault({}).meta({ description: "What the client gets, also with the gateway's own answers." }),
    })
    .meta({ description: "Change headers. Values may hold templates. Order: allow, remove, set, setIfAbsent, add." }),
);

export type HeadersConfig = z.output<ReturnType<typeof headersSchema>>;
