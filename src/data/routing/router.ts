// Interface of the compiled route table. See compile.ts for how it is built.
import type { RoutableRequest } from "./request-view.ts";
import type { VersionRefusal } from "./version.ts";

export const MATCH_NONE = -1;
export const MATCH_METHOD = -2;
export const MATCH_VERSION = -3;

export interface Router {
  /**
   * Finds the first route, in the total order (see order.ts), whose host, path, method, headers, query, client type and version all match.
   * Sets `x.params`. Allocates nothing but params.
   * @returns the route's index in the plan; MATCH_NONE (404); MATCH_METHOD (405: path known, method not) - then `allowedMethods(x)` tells;
   * MATCH_VERSION (path known, version not) - then `versionRefusal(x)` tells.
   */
  match(x: RoutableRequest): number;
  /** Methods that routes with this host and path accept, sorted, for the Allow header. Only after MATCH_METHOD. */
  allowedMethods(x: RoutableRequest): readonly string[];
  /** Why the version of the request leads to no route. Only after MATCH_VERSION. */
  versionRefusal(x: RoutableRequest): VersionRefusal;
  /** Header names, as `Vary` lists them, by which the last match could have come out differently (client type, version); '' for none. */
  readonly vary: string;
  /**
   * The route that came nearest, for the log: the first with this host and path, one that accepts the method before others. Not for the hot path.
   * @returns -1 when no route has the path
   */
  nearest(x: RoutableRequest): number;
}
