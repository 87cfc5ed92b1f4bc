// What is known of a client's connection before its first byte of HTTP. No logic.
import type { X509Certificate } from "node:crypto";
import type { ProtocolName } from "./channel.ts";

/** Fields as in Channel. */
export interface ClientFacts {
  readonly peer: string;
  readonly secure: boolean;
  readonly certificate: X509Certificate | null;
  readonly serverName: string;
  readonly protocol: ProtocolName;
}
