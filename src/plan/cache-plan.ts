// The part of the plan that is the instance's response cache. Types only; bytes.

export interface CachePlan {
  /** Of the shared store, index included. */
  readonly memoryBytes: number;
  /** Of the largest body that is stored. */
  readonly maxObjectBytes: number;
  /** The token by which Cache-Status names this cache. */
  readonly name: string;
}
