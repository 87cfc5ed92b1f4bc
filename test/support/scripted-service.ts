// Owns a real HTTP service whose answers a test scripts by path, and which knows what it was asked and what is still under way.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface AskedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  /** Flat, as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** Answers a request, now or later, or never. */
export type Script = (response: ServerResponse, request: AskedRequest) => void;

/** Answers with JSON. */
export const json =
  (value: unknown, status = 200, headers: Readonly<Record<string, string | readonly string[]>> = {}): Script =>
  (response) =>
    void response
      .writeHead(status, { "content-type": "application/json", ...(headers as Record<string, string>) })
      .end(JSON.stringify(value));

export class ScriptedService implements AsyncDisposable {
  readonly url: string;
  /** In the order of their arrival. */
  readonly requests: AskedRequest[] = [];
  /** Requests whose response is not over, and the most there ever were. */
  underWay = 0;
  underWayMax = 0;
  /** Responses that were cut before their end. */
  cut = 0;
  /** Path without query -> what is done; `*` for all others. */
  readonly scripts = new Map<string, Script>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server that listens has one
  }

  static async start(scripts: Readonly<Record<string, Script>> = {}): Promise<ScriptedService> {
    const server = createServer((request, response) => service.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const service = new ScriptedService(server);
    for (const [path, script] of Object.entries(scripts)) service.scripts.set(path, script);
    return service;
  }

  /** Of one path, without query. */
  asked(path: string): readonly AskedRequest[] {
    return this.requests.filter(({ url }) => url.split("?")[0] === path);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "", headers, rawHeaders } = request;
    this.underWayMax = Math.max(this.underWayMax, ++this.underWay);
    response.once("close", () => {
      this.underWay--;
      if (!response.writableFinished) this.cut++;
    });
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    request.once("end", () => {
      const asked = { method, url, headers, rawHeaders, body };
      this.requests.push(asked);
      const script = this.scripts.get(url.split("?")[0] ?? "") ?? this.scripts.get("*");
      if (script === undefined) response.writeHead(404, { "content-type": "application/json" }).end('{"error":"no script"}');
      else script(response, asked);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
