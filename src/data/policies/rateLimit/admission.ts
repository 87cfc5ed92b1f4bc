// Owns what an exchange has taken from the table of limits: what must be given back, charged or told when its answer is there.
// Must never be used by two exchanges at once: the policy that made it takes it back in onFinish.
import type { LimitAsk } from "../../../shared/limit-size.ts";

/** Filled by the policy rateLimit, part by part. Reused: an exchange allocates none as long as the pool has one. */
export class Admission {
  /** Asked in this order; the first `count` are in use. */
  readonly asks: LimitAsk[] = [];
  count = 0;
  /** Index of the part that refused; -1 for none. */
  refusedBy = -1;
  /** The upstream's answer has been charged. */
  charged = false;
}
