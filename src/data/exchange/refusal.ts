// Owns the form in which a step before the policies says that a request is not served. Types only.
import type { ErrorCode } from "../../base/errors.ts";

/** Why a request was refused: the code and, for the client and the log, the rule it broke. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
}
