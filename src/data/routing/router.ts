// Interface of the compiled route table. See compile.ts for how it is built.
import type { RoutableRequest } from "./request-view.ts";

export const MATCH_NONE = -1;
export const MATCH_METHOD = -2;

export interface Router {
  /**
   * Finds the first route, in the total order (see order.ts), whose host, path, method, headers, query and client type all match.
   * Sets `x.params`. Allocates nothing but params.
   * @returns the route's index in the plan; MATCH_NONE (404); MATCH_METHOD (405: path known, method not) - then `allowedMethods(x)` tells.
   */
  match(x: RoutableRequest): number;
  /** Methods that routes with this host and path accept, sorted, for the Allow header. Only after MATCH_METHOD. */
  allowedMethods(x: RoutableRequest): readonly string[];
  /**
   * The route that came nearest, for the log: the first with this host and path, one that accepts the method before others. Not for the hot path.
   * @returns -1 when no route has the path
   */
  nearest(x: RoutableRequest): number;
}
