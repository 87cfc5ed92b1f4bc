// Owns counting the versions of policy modules that were in force: Node unloads no module, so that each stays in the memory of the workers.
import type { Plan } from "../../plan/plan.ts";

/** Versions that a process may have had without a word; as many more are a word more. */
export const MODULE_VERSIONS_MAX = 100;
/** Most that are told apart. */
const KNOWN_MAX = 10_000;

export class ModuleVersions {
  readonly #urls = new Set<string>();

  /** @param plan in force from now on. @returns how many there were by now, when that is worth a word; else null */
  count(plan: Plan): number | null {
    const before = this.#urls.size;
    for (const { url } of plan.routes.flatMap((route) => route.modules)) if (this.#urls.size < KNOWN_MAX) this.#urls.add(url);
    const [was, is] = [before, this.#urls.size].map((count) => Math.floor(count / MODULE_VERSIONS_MAX));
    return was === is ? null : this.#urls.size;
  }
}
