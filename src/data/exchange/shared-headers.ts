// Owns the headers of requests that came with the same header section: a client mostly sends the same one again, on the same connection.
// Must never be changed: exchanges that are under way at once have it. Of one runtime and one client, so that what is remembered here holds for all of them.
import type { HeaderList } from "../../base/header-list.ts";
import type { ClientInfo } from "../routing/request-view.ts";
import type { FieldBlock, Upstream } from "../upstream/upstream.ts";
import type { Route } from "./runtime.ts";

/** What goes upstream of them. */
export interface ForwardedFields extends FieldBlock {
  readonly route: Route;
  readonly upstream: Upstream;
  /** What Host says. */
  readonly host: string;
}

export class SharedHeaders {
  readonly list: HeaderList;
  /** Who asked, once somebody has wanted to know. */
  client: ClientInfo | null = null;
  /** Of the last route that they took. */
  forwarded: ForwardedFields | null = null;
  /** Which of the fields that the store of responses looks at are among them; -1: nobody has looked. */
  cacheMarks = -1;

  /** @param list no one may change it from now on: whoever tries is stopped by the engine */
  constructor(list: HeaderList) {
    Object.freeze(list);
    this.list = list;
  }
}
