// Owns the headers of requests that came with the same header section: a client mostly sends the same one again, on the same connection.
// Must never be changed: exchanges that are under way at once have it. Of one runtime and one client, so that what is remembered here holds for all of them.
import type { HeaderList } from "../../base/header-list.ts";
import type { ClientInfo } from "../routing/request-view.ts";

export class SharedHeaders {
  readonly list: HeaderList;
  /** Who asked, once somebody has wanted to know. */
  client: ClientInfo | null = null;

  /** @param list no one may change it from now on: whoever tries is stopped by the engine */
  constructor(list: HeaderList) {
    Object.freeze(list);
    this.list = list;
  }
}
