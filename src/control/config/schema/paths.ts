// Owns the schema of what request paths may hold: the `paths` of listeners, which decide the form, and of routes, which permit what it holds.
import * as z from "zod";
import { once } from "../../../base/schema.ts";
import type { PathSpelling, PathsPlan } from "../../../plan/paths.ts";

export const STRICT_PATHS: PathsPlan = {
  encodedSlashes: "refuse",
  doubleEncodings: "refuse",
  emptySegments: "refuse",
  backslashes: "refuse",
  matrixParameters: "refuse",
  case: "keep",
};

export const listenerPaths = once(() =>
  z
    .strictObject({
      encodedSlashes: z.enum(["refuse", "keep", "decode"]).prefault(STRICT_PATHS.encodedSlashes).meta({
        description:
          "`%2F`. `keep`: it stays a part of its segment, `/a%2Fb` is one segment to `{id}` and to the service. `decode`: it is a `/` for matching and for the service.",
      }),
      doubleEncodings: z.enum(["refuse", "keep", "decode"]).prefault(STRICT_PATHS.doubleEncodings).meta({
        description: "`%25` and two hexadecimal digits. `keep`: they stay as sent. `decode`: decoded once, then judged like any path.",
      }),
      emptySegments: z.enum(["refuse", "keep", "merge"]).prefault(STRICT_PATHS.emptySegments).meta({
        description:
          "`//`. `keep`: they stay, but at the start of a path and before `..`. `merge`: slashes that follow each other are one.",
      }),
      backslashes: z.enum(["refuse", "keep", "decode"]).prefault(STRICT_PATHS.backslashes).meta({
        description: "`\\` and `%5C`. `keep`: both are `%5C`, a part of their segment. `decode`: both are a `/`.",
      }),
      matrixParameters: z.enum(["refuse", "keep"]).prefault(STRICT_PATHS.matrixParameters).meta({
        description:
          "`;` and what follows it in a segment (`/a;v=1`), `%3B` too. `keep`: they stay a part of their segment, also for matching.",
      }),
      case: z.enum(["keep", "fold"]).prefault(STRICT_PATHS.case).meta({
        description: "`fold`: A to Z become lower case, for matching and for the service. Paths of routes are then written in lower case.",
      }),
    })
    // Whoever writes the defaults pays nothing for it.
    .transform((paths): PathsPlan | null => (isStrict(paths) ? null : paths)),
);

const isStrict = (paths: PathsPlan): boolean => PATH_KEYS.every((key) => paths[key] === STRICT_PATHS[key]);
const PATH_KEYS = Object.keys(STRICT_PATHS) as readonly (keyof PathsPlan)[]; // of the constant above

const permission = (what: string) =>
  z
    .enum(["refuse", "allow"])
    .prefault("refuse")
    .meta({ description: `${what} Only what the listener keeps or decodes gets here.` });

export const routePaths = once(() =>
  z.strictObject({
    encodedSlashes: permission("Paths that came with `%2F`."),
    doubleEncodings: permission("Paths that came with double encodings."),
    emptySegments: permission("Paths with `//`; where the listener merges them there are none."),
    backslashes: permission("Paths that came with `\\` or `%5C`."),
    matrixParameters: permission("Paths with `;` or `%3B`."),
  }),
);

export type RoutePaths = z.output<ReturnType<typeof routePaths>>;

/** By default: all that listeners refuse. */
const STRICT_REFUSALS: readonly PathSpelling[] = ["encodedSlashes", "doubleEncodings", "emptySegments", "backslashes", "matrixParameters"];

/** @param paths undefined: not written */
export const refusedSpellings = (paths: RoutePaths | undefined): readonly PathSpelling[] =>
  paths === undefined ? STRICT_REFUSALS : STRICT_REFUSALS.filter((name) => paths[name] === "refuse");
