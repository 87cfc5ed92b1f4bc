// Owns the list of authenticator schemas, by the key that users write under `auth.<name>`. For the primary only: a worker must never load zod.
import type { z } from "zod";
import { apiKeyConfig } from "./api-key/config.ts";
import { basicConfig } from "./basic/config.ts";
import { forwardAuthConfig } from "./forward-auth/config.ts";
import { introspectionConfig } from "./introspection/config.ts";
import { jwtSchema } from "./jwt/config.ts";
import { mtlsConfig } from "./mtls/config.ts";
import { signatureConfig } from "./signature/config.ts";

/** The parsed output crosses to the workers as {@link AuthenticatorPlan.config}, so it must be structured-clonable. */
export const AUTHENTICATOR_SCHEMAS: Readonly<Record<string, () => z.ZodType>> = {
  jwt: jwtSchema,
  apiKey: apiKeyConfig,
  introspection: introspectionConfig,
  forwardAuth: forwardAuthConfig,
  basic: basicConfig,
  signature: signatureConfig,
  mtls: mtlsConfig,
};
