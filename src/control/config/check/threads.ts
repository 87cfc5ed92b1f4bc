// Owns the warning that passwords being checked could take all threads of the process's pool (libuv's), on which names are looked up and files are read too.
import type { BasicConfig } from "../../../data/policies/auth/basic/config.ts";
import type { Draft } from "../schema/sections.ts";
import type { Env } from "../source/interpolate.ts";
import type { Findings } from "./references.ts";
import { workersHere } from "./worker-count.ts";

/** libuv's own default and bounds. */
const THREADS_DEFAULT = 4;
const THREADS_MAX = 1024;

/** Only for numbers that somebody has chosen: by default each worker checks one at a time, and there is nothing to lower. */
export function checkThreads(draft: Draft, env: Env, { warn }: Findings): void {
  const { auth = [], workers: asked } = draft.sections;
  const kinds = auth.filter(({ kind }) => kind === "basic").map(({ name, config }) => ({ name, ...(config as BasicConfig) })); // output of the kind's schema
  if (kinds.length === 0 || asked === undefined) return;
  const workers = workersHere(asked).count;
  const atOnce = workers * kinds.reduce((sum, { concurrency }) => sum + concurrency, 0);
  const threads = threadsOf(env["UV_THREADPOOL_SIZE"]);
  if (atOnce <= threads) return;
  for (const { name, concurrency } of kinds) {
    if (concurrency === 1) continue;
    warn(
      ["auth", name, "basic", "concurrency"],
      `${workers} workers check up to ${atOnce} passwords at once, on ${threads} threads that names and files need too`,
      `lower it, or start the gateway with UV_THREADPOOL_SIZE=${atOnce + THREADS_DEFAULT} in its environment`,
    );
  }
}

/** As libuv reads it: a text that is no number is 0, and 0 is 1. */
function threadsOf(text: string | undefined): number {
  if (text === undefined) return THREADS_DEFAULT;
  const count = Number.parseInt(text, 10);
  return Math.min(Number.isNaN(count) || count < 1 ? 1 : count, THREADS_MAX);
}
