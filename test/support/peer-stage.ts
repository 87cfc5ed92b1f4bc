// Owns what a peer of the native bench needs in a test of its own: a directory, a secret, an origin in the test's process that it looks at.
import fs from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import type { Stage } from "../../native-bench/peers/peer.ts";
import { ISSUER, newSecret } from "./jwt.ts";
import { freePort } from "./redis.ts";

export class PeerStage implements AsyncDisposable {
  readonly stage: Stage;
  readonly secret: string;
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
    this.secret = newSecret();
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-peer-"));
    fs.chmodSync(directory, 0o755); // servers may run their workers as another user
    this.stage = {
      directory,
      originPort: (server.address() as AddressInfo).port, // a TCP server that listens has one
      certificate: { cert: "", key: "" },
      token: {
        bearer: { HS256: "", RS256: "" },
        secret: this.secret,
        publicKey: "",
        jwks: "",
        issuer: ISSUER,
        audience: "api",
        subject: "alice",
      },
      freePort,
    };
  }

  /** @param answer the origin's */
  static async open(answer: http.RequestListener): Promise<PeerStage> {
    const server = http.createServer({ keepAliveTimeout: 60_000 }, answer);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new PeerStage(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    fs.rmSync(this.stage.directory, { recursive: true, force: true });
  }
}
