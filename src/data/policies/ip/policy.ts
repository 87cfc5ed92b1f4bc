// Owns the check of the caller's address against allow and deny lists.
import { CidrSet } from "../../../base/ip.ts";
import type { Policy, PolicyFactory, Reply } from "../../exchange/policy.ts";
import type { IpConfig } from "./config.ts";

const DENIED: Reply = { kind: "problem", code: "ip_denied", detail: "" };

/** Deny wins; an allow list denies everyone else, also callers whose address is unknown (Unix socket). */
export const createIp: PolicyFactory = (config): Policy => {
  const { allow, deny } = config as IpConfig; // parsed by ipSchema in the primary
  const allowed = allow === undefined ? null : new CidrSet(allow);
  const denied = deny.length === 0 ? null : new CidrSet(deny);
  return {
    name: "ip",
    onRequest(x) {
      const ip = x.clientInfo().ip;
      if (denied?.contains(ip)) return DENIED;
      return allowed === null || allowed.contains(ip) ? undefined : DENIED;
    },
  };
};
