// The part of the plan that policies of the user's own are made of: sources, as workers import them, and what is known of each use. Must hold no logic.

/** Scheme of the addresses that modules have in a thread: `sluice-policy:HASH/path`. The hash is of the file and all that it imports, so that one address has one content for ever. */
export const MODULE_SCHEME = "sluice-policy:";

/** One file of a module. */
export interface ModuleFilePlan {
  readonly url: string;
  /** JavaScript (types are blanks already), or JSON. */
  readonly source: string;
  readonly format: "module" | "json";
  /** What it imports of these files: as written -> address. */
  readonly imports: Readonly<Record<string, string>>;
}

/** The phases that a policy may name: those of data/exchange/policy.ts. */
export type ModulePhase = "edge" | "identify" | "identified" | "origin";

/** One policy of one route. */
export interface ModulePolicyPlan {
  /** Of the module's first file. */
  readonly url: string;
  /** As the configuration names it, for messages. */
  readonly file: string;
  /** What the module calls itself. */
  readonly name: string;
  readonly phase: ModulePhase;
  /** The hooks that it has, for who looks at the table of routes. */
  readonly hooks: readonly string[];
  /** Upstreams that it may send to, by name. */
  readonly upstreams: readonly string[];
  /** Output of its schema: JSON. undefined for a policy that takes nothing. */
  readonly with: unknown;
  /** Of its metric cells, stable while the name lives. */
  readonly slot: number;
}

/** As {@link ModulePolicyPlan}, before the plan gives it a slot. */
export type ModuleUse = Omit<ModulePolicyPlan, "slot">;
