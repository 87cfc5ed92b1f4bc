// One page of three answers, as a service written for it: fastify and undici's pool. Run: node fastify-aggregate.ts PORT ORIGIN-PORT
import { randomUUID } from "node:crypto";
import fastify from "fastify";
import { Pool } from "undici";

const [port, originPort] = [Number(process.argv[2]), Number(process.argv[3])];
const IDLE_MS = 600_000;
const TIMEOUT_MS = 5000;
const origin = new Pool(`http://127.0.0.1:${originPort}`, {
  connections: 128,
  pipelining: 1,
  keepAliveTimeout: IDLE_MS,
  headersTimeout: TIMEOUT_MS,
  bodyTimeout: TIMEOUT_MS,
});
const app = fastify({ logger: false, keepAliveTimeout: IDLE_MS, requestTimeout: 0 });

async function ask(path: string, id: string): Promise<unknown> {
  const { statusCode, body } = await origin.request({ method: "GET", path, headers: { accept: "application/json", "x-request-id": id } });
  if (statusCode === 200) return body.json();
  await body.dump();
  throw new Error(`${path}: ${statusCode}`);
}

app.get("/page", async (_request, reply) => {
  const id = randomUUID();
  const offers = ask("/json/offers", id).catch(() => undefined); // the page is good without them
  const [user, orders] = await Promise.all([ask("/json/user", id), ask("/json/orders", id)]);
  reply.header("x-request-id", id);
  return { user, orders, offers: await offers };
});
await app.listen({ host: "127.0.0.1", port });
