// Owns many requests at once over many connections of their own, so that every worker gets some.
import { Agent, type IncomingHttpHeaders, request } from "node:http";

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Burst {
  readonly url: string;
  readonly requests: number;
  readonly connections: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the n-th request, over the others. */
  headersOf?(n: number): Readonly<Record<string, string>>;
}

/** @returns all answers, in no order. @throws Error when one does not come */
export async function burst({ url, requests, connections, headers = {}, headersOf = () => ({}) }: Burst): Promise<Answered[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  try {
    return await Promise.all(Array.from({ length: requests }, (_, n) => once(url, agent, { ...headers, ...headersOf(n) })));
  } finally {
    agent.destroy();
  }
}

/** One request on a connection of its own. */
export async function ask(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
  return await once(url, undefined, { connection: "close", ...headers });
}

function once(url: string, agent: Agent | undefined, headers: Readonly<Record<string, string>>): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent: agent ?? false, headers }, (response) => {
      let body = "";
      response.setEncoding("latin1").on("data", (chunk: string) => {
        body += chunk;
      });
      response.once("error", reject);
      response.once("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asked.once("error", reject);
    asked.end();
  });
}

/** How many answers had each status. */
export function byStatus(answers: readonly Answered[]): Readonly<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
