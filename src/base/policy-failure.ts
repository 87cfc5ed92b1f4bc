// Owns what stands for the failure of a policy where it can only be thrown or handed on: it has been told of already, and is answered with `policy_failed`.
import type { ErrorCode } from "./errors.ts";

export class PolicyFailure extends Error {
  override readonly name = "PolicyFailure";
}

/** The client has reset its connection, and nothing can be known of it any more: there is nobody to answer. */
export class PeerGone extends PolicyFailure {}

/** The code of a fault inside the gateway. */
export const faultCode = (error: unknown): ErrorCode => (error instanceof PolicyFailure ? "policy_failed" : "internal_error");
