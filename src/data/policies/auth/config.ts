// Owns the `auth` key of a route: which authenticators must prove who is calling. Schema, type and docs only.
import * as z from "zod";
import { name, once } from "../../../base/schema.ts";

/** Nesting below the outermost level. */
export const AUTH_DEPTH_MAX = 5;
/** Authenticators named in one tree. */
export const AUTH_LEAVES_MAX = 32;
/** The word for a public route; no authenticator may be called so. */
export const PUBLIC = "none";

/** Which credentials a route asks for. */
export type AuthTree =
  | { readonly kind: "one"; readonly name: string }
  | { readonly kind: "any" | "all"; readonly of: readonly AuthTree[] }
  | { readonly kind: "optional"; readonly of: AuthTree };

export interface AuthConfig {
  /** null: public. */
  readonly tree: AuthTree | null;
  /** Leave the credentials in what goes upstream; null: as each authenticator has it. */
  readonly forwardCredentials: boolean | null;
}

const branches = (of: z.ZodType<AuthTree>) => ({
  any: z.array(of).min(1).max(AUTH_LEAVES_MAX).optional().meta({
    description:
      "One of these must prove who is calling; the first in this order that does, wins. When none does, the response names a credential that was refused, else that there is none.",
  }),
  all: z.array(of).min(1).max(AUTH_LEAVES_MAX).optional().meta({
    description:
      "Every one of these must prove the same consumer; what each grants (scopes, roles, groups) is joined. Claims on which they disagree are left out.",
  }),
  optional: of.optional().meta({
    description: "Without a credential the request goes on, as nobody; a credential that is there and not good is refused.",
  }),
});

interface Branches {
  readonly any?: readonly AuthTree[] | undefined;
  readonly all?: readonly AuthTree[] | undefined;
  readonly optional?: AuthTree | undefined;
}

/** @returns null when not exactly one branch is given */
function treeOf({ any, all, optional }: Branches): AuthTree | null {
  if ([any, all, optional].filter((branch) => branch !== undefined).length !== 1) return null;
  if (any !== undefined) return { kind: "any", of: any };
  if (all !== undefined) return { kind: "all", of: all };
  return optional === undefined ? null : { kind: "optional", of: optional };
}

const ONE_BRANCH = "expected exactly one of any, all and optional";

function orIssue(tree: AuthTree | null, ctx: z.RefinementCtx): AuthTree {
  if (tree !== null) return tree;
  ctx.addIssue({ code: "custom", message: ONE_BRANCH });
  return z.NEVER;
}

const leaf = once(() => name().transform((text): AuthTree => ({ kind: "one", name: text })));

/** By itself in the JSON Schema, since it holds itself. */
const node: () => z.ZodType<AuthTree> = once(() =>
  z
    .union([leaf(), z.lazy(() => z.strictObject(branches(node()))).transform((value, ctx) => orIssue(treeOf(value), ctx))])
    .meta({ id: "authTree", description: "The name of an authenticator, or one of `any`, `all` and `optional`." }),
);

const root = once(() =>
  z
    .strictObject({
      ...branches(node()),
      forwardCredentials: z.boolean().optional().meta({
        description:
          "`true`: services get the credentials too that have proven the caller, whatever the authenticators have; other credentials that the route takes are removed from what is forwarded, as nothing has verified them: header, cookie or query parameter. `false`: all are removed. By default each authenticator's own `forwardCredentials` decides.",
      }),
    })
    .transform((value, ctx): AuthConfig => ({ tree: orIssue(treeOf(value), ctx), forwardCredentials: value.forwardCredentials ?? null })),
);

export const authSchema = once(() =>
  z
    .union([
      name().transform((text): AuthConfig => ({ tree: text === PUBLIC ? null : { kind: "one", name: text }, forwardCredentials: null })),
      root(),
    ])
    .superRefine(({ tree }, ctx) => {
      if (tree === null) return;
      if (depthOf(tree) > AUTH_DEPTH_MAX) ctx.addIssue({ code: "custom", message: `nested deeper than ${AUTH_DEPTH_MAX} levels` });
      if (namesOf(tree).length > AUTH_LEAVES_MAX)
        ctx.addIssue({ code: "custom", message: `names more than ${AUTH_LEAVES_MAX} authenticators` });
    })
    .meta({
      description:
        "Who may call: `none` (public), the name of an authenticator, or a tree of them with `any`, `all` and `optional`. When the file has authenticators, every route must choose, by itself or by `defaults`.",
      examples: ["none", "corp-jwt", { any: ["corp-jwt", "partner-keys"] }, { optional: "corp-jwt" }],
    }),
);

/** Names of the authenticators in a tree, in order, repetitions included. */
export function namesOf(tree: AuthTree): readonly string[] {
  if (tree.kind === "one") return [tree.name];
  return tree.kind === "optional" ? namesOf(tree.of) : tree.of.flatMap(namesOf);
}

function depthOf(tree: AuthTree): number {
  if (tree.kind === "one") return 0;
  return 1 + (tree.kind === "optional" ? depthOf(tree.of) : Math.max(...tree.of.map(depthOf)));
}
