// Owns the schema of `auth.NAME.mtls`. Loaded by the primary only.
import * as z from "zod";
import { once } from "../../../../base/schema.ts";
import { consumerFields } from "../jwt/config-claims.ts";

export const mtlsConfig = once(() =>
  z
    .strictObject({
      consumerFrom: z.enum(["san", "subject", "fingerprint", "spiffe"]).meta({
        description:
          "What of the certificate names the consumer: `san` (its DNS, e-mail and URI names), `subject` (the common name), `spiffe` (its SPIFFE ID), or `fingerprint` (only certificates that `consumers[].certificates` lists).",
      }),
      ...consumerFields(),
    })
    .meta({
      description:
        "Client certificates, verified by the listener (`tls.clientCa`). A name in `consumers[].certificates` leads to that consumer, else the name is the consumer's id.",
    }),
);

export type MtlsConfig = z.output<ReturnType<typeof mtlsConfig>>;
