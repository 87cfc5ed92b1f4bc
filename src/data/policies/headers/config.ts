// Owns the `headers` key of a route: headers set, added and removed on the way up and down. Schema, type and docs only.
import * as z from "zod";
import { isProtected } from "../../../base/protected-headers.ts";
import { type Objection, withRules } from "../../../base/rules.ts";
import { condition, headerName, headerText, mapOrList, once } from "../../../base/schema.ts";
import { CHANGES_MAX } from "../config-changes.ts";

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
  when: condition().meta({
    description: allowHost
      ? "A [condition](#conditions): only where it holds is the rest of this map done. Opens nothing where it does not hold: the client's own headers of the names under `set` never go upstream then (nor where it holds), and where it cannot be evaluated, what is under `remove` is removed all the same."
      : "A [condition](#conditions), also over `response.status` and `response.header`: only where it holds is the rest of this map done. Where it cannot be evaluated, what is under `remove` is removed all the same.",
    examples: [allowHost ? '"staff" in consumer.roles' : 'response.status >= 400 && !("cache-control" in response.header)'],
  }),
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

interface Change extends Actions {
  readonly when?: string | undefined;
  readonly add: object;
  readonly remove: readonly string[];
  readonly allow?: readonly string[] | undefined;
  readonly onTls?: object;
}

/** A map without changes is a mistake where it has a condition, or is one of several. */
const changesSomething = ({ set, setIfAbsent, add, remove, allow, onTls = {} }: Change): boolean =>
  allow !== undefined || remove.length > 0 || [set, setIfAbsent, add, onTls].some((map) => Object.keys(map).length > 0);

const CHANGES_NOTHING = "changes nothing";
const SAY_WHAT = "say what is to be set, added or removed, or take the map away";

const conditionOfSomething = (change: Change, object: Objection): void => {
  if (change.when !== undefined && change.allow !== undefined)
    object("`allow` has no condition", ["allow"], "write it in a map without `when`, or give those requests a route of their own");
  else if (change.when !== undefined && !changesSomething(change)) object(CHANGES_NOTHING, ["when"], SAY_WHAT);
};

/** One map, or several in order. */
const oneOrSeveral = <S extends z.ZodType<Change>>(change: S, description: string) =>
  mapOrList(
    change,
    z
      .array(change)
      .min(1)
      .max(CHANGES_MAX)
      .superRefine((list, ctx) => {
        for (const [i, each] of list.entries())
          if (each.when === undefined && !changesSomething(each))
            ctx.addIssue({ code: "custom", message: CHANGES_NOTHING, path: [i], params: { remedy: SAY_WHAT } });
      }),
    { description: `${description} A map, or a list of up to ${CHANGES_MAX}, done in order.` },
  );

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
    conditionOfSomething,
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
    conditionOfSomething,
  );

export const headersSchema = once(() =>
  z
    .strictObject({
      request: oneOrSeveral(request(), "What the upstream gets. Setting `host` changes the Host it sees.").prefault({}),
      response: oneOrSeveral(response(), "What the client gets, also with the gateway's own answers.").prefault({}),
    })
    .meta({
      description:
        "Change headers. Values may hold templates. Order: allow, remove, set, setIfAbsent, add; of a list, every `allow`, then map by map. All conditions are looked at before the first change. `defaults`, sets and the route are merged key by key as long as each has a map; a list replaces what is below it whole, and so does a map a list.",
    }),
);

export type HeadersConfig = z.output<ReturnType<typeof headersSchema>>;
