// THE ordered list of response filters: the first one sees the response as the policies left it, the last one what goes to the client.
// Data plane side: name -> factory. The schemas stand in schemas.ts, which only the primary loads.
import type { FilterEntry } from "../exchange/response-filter.ts";
import { createCompress } from "./compress/filter.ts";

/** Every filter, in the order in which a response passes them. */
export const FILTERS: readonly FilterEntry[] = [{ name: "compress", create: createCompress }];
