// What passes between the loader of a configuration and the thread that looks at policy modules. Types only.
import type { ModuleFilePlan, ModulePhase } from "../../../plan/module-plan.ts";
import type { Located } from "../source/located.ts";
import type { ConfigProblem } from "../source/problem.ts";

/** A route, as far as a policy may know it. */
export interface RouteFacts {
  readonly name: string;
  readonly path: string;
  readonly parameters: readonly string[];
  readonly methods: readonly string[];
}

/** A place in a file of a module; 0 where only the file is known. */
export interface ModulePlace {
  /** Absolute. */
  readonly path: string;
  readonly line: number;
  readonly column: number;
}

export interface ModuleFault {
  readonly message: string;
  readonly place: ModulePlace | null;
}

export type ToModuleThread =
  /** Take the types out, and say what it imports. */
  | { readonly kind: "read"; readonly path: string; readonly text: string; readonly hasTypes: boolean }
  /** Import it, check its configuration, make it for each route. @property config null for none */
  | {
      readonly kind: "use";
      readonly url: string;
      readonly files: readonly ModuleFilePlan[];
      readonly config: Located | null;
      readonly routes: readonly RouteFacts[];
    };

export type FromModuleThread =
  | { readonly kind: "read"; readonly source: string; readonly imports: readonly { readonly specifier: string; readonly json: boolean }[] }
  | {
      readonly kind: "use";
      readonly name: string;
      readonly phase: ModulePhase;
      readonly hooks: readonly string[];
      readonly upstreams: readonly string[];
      readonly with: unknown;
    }
  /** The module is wrong. */
  | { readonly kind: "fault"; readonly fault: ModuleFault }
  /** Its configuration is; paths from there on. */
  | { readonly kind: "problems"; readonly problems: readonly ConfigProblem[] };

/** What the thread has from its birth. */
export interface ModuleThreadData {
  readonly port: import("node:worker_threads").MessagePort;
  /** Int32: number of answers. Written by the thread behind each answer; who asks waits for it. */
  readonly answers: SharedArrayBuffer;
}
