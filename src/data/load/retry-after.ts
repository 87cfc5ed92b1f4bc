// When to come again, for those who are refused for want of room: spread out, so that they do not come back all at once.
// Must never be the answer to who is over a limit of his own: there it is known.
import type { HeaderList } from "../../base/header-list.ts";

/** Within this time, s. */
const RETRY_AFTER_S_MAX = 5;

export const spreadRetryAfter = (): HeaderList => ["retry-after", String(1 + Math.floor(Math.random() * RETRY_AFTER_S_MAX))];
