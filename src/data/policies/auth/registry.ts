// Owns the list of authenticator kinds on the data plane: kind -> factory. Their schemas stand in schemas.ts, which only the primary loads.

import type { AuthenticatorFactory } from "../../exchange/identity/authenticator.ts";
import { createApiKeyAuthenticator } from "./api-key/authenticator.ts";
import { createBasicAuthenticator } from "./basic/authenticator.ts";
import { createForwardAuthenticator } from "./forward-auth/authenticator.ts";
import { createIntrospectionAuthenticator } from "./introspection/authenticator.ts";
import { createJwt } from "./jwt/authenticator.ts";
import { createMtlsAuthenticator } from "./mtls/authenticator.ts";
import { createSignatureAuthenticator } from "./signature/authenticator.ts";

/** By the key that users write under `auth.<name>`. */
export const AUTHENTICATORS: Readonly<Record<string, AuthenticatorFactory>> = {
  jwt: createJwt,
  apiKey: createApiKeyAuthenticator,
  introspection: createIntrospectionAuthenticator,
  forwardAuth: createForwardAuthenticator,
  basic: createBasicAuthenticator,
  signature: createSignatureAuthenticator,
  mtls: createMtlsAuthenticator,
};
