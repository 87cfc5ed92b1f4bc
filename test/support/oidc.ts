// Owns a real OpenID Connect provider (the oidc-provider package) on a local port: client credentials in, JWT access tokens out, keys that rotate.
import { generateKeyPairSync } from "node:crypto";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** As far as it is used here; the package brings no types. */
interface ProviderModule {
  readonly default: new (issuer: string, configuration: unknown) => { callback(): RequestListener };
}

const CLIENT = { id: "billing", secret: "a-secret-of-the-tests" };

type PrivateJwk = Readonly<Record<string, unknown>> & { readonly kid: string };

export class OidcServer implements AsyncDisposable {
  readonly issuer: string;
  /** Key set requests so far. */
  fetches = 0;
  readonly #server: Server;
  readonly #Provider: ProviderModule["default"];
  #handler: RequestListener = () => {};
  #keys: readonly PrivateJwk[] = [];

  private constructor(server: Server, module: ProviderModule) {
    this.#server = server;
    this.#Provider = module.default;
    this.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server that listens has one
  }

  static async start(): Promise<OidcServer> {
    const name: string = "oidc-provider";
    const module = (await import(name)) as ProviderModule; // see there
    const server = createServer((request, response) => {
      if (request.url === "/jwks") oidc.fetches++;
      oidc.#handler(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const oidc = new OidcServer(server, module);
    oidc.rotate("k1");
    return oidc;
  }

  /** A new signing key. @param keep how many of the older ones stay published */
  rotate(kid: string, keep = 1): void {
    const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const key = { ...pair.privateKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" };
    this.#keys = [key, ...this.#keys.slice(0, keep)];
    const provider = new this.#Provider(this.issuer, configuration(this.#keys));
    this.#handler = provider.callback();
  }

  /** An access token for `audience: api`, as a service would get it. */
  async token(scope = "users:read"): Promise<string> {
    const response = await fetch(`${this.issuer}/token`, {
      method: "POST",
      headers: { authorization: `Basic ${btoa(`${CLIENT.id}:${CLIENT.secret}`)}` },
      body: new URLSearchParams({ grant_type: "client_credentials", resource: "urn:api", scope }),
    });
    const answer: unknown = await response.json();
    if (typeof answer === "object" && answer !== null && "access_token" in answer) return String(answer.access_token);
    throw new Error(`the provider gave no token: ${JSON.stringify(answer)}`);
  }

  async tokens(count: number): Promise<string[]> {
    return await Promise.all(Array.from({ length: count }, () => this.token()));
  }

  /** The provider goes away: its port refuses connections. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.stop();
  }
}

function configuration(keys: readonly PrivateJwk[]): unknown {
  return {
    clients: [
      { client_id: CLIENT.id, client_secret: CLIENT.secret, grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
    ],
    jwks: { keys },
    ttl: { ClientCredentials: 3600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: "users:read users:write",
          audience: "api",
          accessTokenTTL: 3600,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  };
}
