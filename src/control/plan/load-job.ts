// Owns one load of the configuration as a job that any thread can do: plain data in, plain data out. Must never put anything into force.

import { loadConfig, type MayLeaveOut } from "../config/load.ts";
import type { Config } from "../config/schema/schema.ts";
import { ConfigFiles, type ConfigFilesSnapshot, type WatchedFile } from "../config/source/files.ts";
import { NOT_PIPED, type PipedTexts } from "../config/source/piped.ts";
import { type ConfigProblem, formatProblem } from "../config/source/problem.ts";
import type { RedisConsumerSet } from "../config/source/redis-consumers.ts";
import { packConfig, unpackConfig } from "./packed-config.ts";

export interface LoadJob {
  readonly files: readonly string[];
  /** Those of the files that came through a pipe. */
  readonly piped?: PipedTexts;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Consumers of Redis to make it with: the first that gives a configuration without mistakes. */
  readonly sets: readonly (RedisConsumerSet | null)[];
  /** Which listeners may be left out when their certificates cannot be used, as long as others are left. */
  readonly leaveOut?: MayLeaveOut;
}

/** @property refused the first set, when it was another that could be used: its place in the job, and why */
export type LoadOutcome =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly warnings: readonly string[];
      readonly refused: { readonly set: number; readonly problems: readonly ConfigProblem[] } | null;
      /** Place in the job of the set that it was made with. */
      readonly set: number;
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** @param content what was read before stays as it was then. Never throws for a wrong configuration. */
export function runLoadJob({ files, piped = NOT_PIPED, env, sets, leaveOut = [] }: LoadJob, content: ConfigFiles): LoadOutcome {
  let refused: { set: number; problems: readonly ConfigProblem[] } | null = null;
  let problems: readonly ConfigProblem[] = [];
  for (const [set, redisConsumers] of sets.entries()) {
    const result = loadConfig({ files, piped, env, content, redisConsumers, leaveOut });
    if (result.ok) return { ok: true, config: result.config, warnings: result.warnings.map(formatProblem), refused, set };
    problems = result.problems;
    if (redisConsumers !== null) refused ??= { set, problems };
  }
  return { ok: false, problems };
}

/** What passes to a thread and back. */
export interface ThreadJob extends LoadJob {
  /** null: the files are read anew. */
  readonly before: ConfigFilesSnapshot | null;
}

export interface ThreadOutcome {
  readonly outcome: LoadOutcome;
  readonly watched: readonly WatchedFile[];
  /** The files as they were read, for whoever will want them again; null for others. */
  readonly content: ConfigFilesSnapshot | null;
}

/** As it comes out of the thread: the configuration as text, which takes half the time of a copy, and holds the primary up for a quarter of it. */
export interface ThreadMessage extends Omit<ThreadOutcome, "outcome"> {
  readonly outcome:
    | (Omit<LoadOutcome & { readonly ok: true }, "config"> & { readonly config: string })
    | (LoadOutcome & { readonly ok: false });
}

/** In the thread. */
export function runThreadJob(job: ThreadJob): ThreadMessage {
  const content = job.before === null ? new ConfigFiles() : ConfigFiles.from(job.before);
  const outcome = runLoadJob(job, content);
  const isKept = outcome.ok && outcome.config.consumersFrom.redis !== null;
  return {
    outcome: outcome.ok ? { ...outcome, config: packConfig(outcome.config) } : outcome,
    watched: job.before === null ? content.watched() : [],
    content: isKept ? content.snapshot() : null,
  };
}

/** In the primary. */
export function readMessage({ outcome, ...rest }: ThreadMessage): ThreadOutcome {
  return { ...rest, outcome: outcome.ok ? { ...outcome, config: unpackConfig(outcome.config) } : outcome };
}
