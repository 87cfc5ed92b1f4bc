// Introspection through a real gateway: its endpoint is an upstream as any other, and one breaker holds for all workers.
import { afterAll, beforeAll, beforeEach, expect, it, onTestFailed } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { IntrospectionProvider } from "../../support/introspection-provider.ts";
import { Origin } from "../../support/origin.ts";
import { untilAsync } from "../../support/until.ts";

let gateway: Gateway;
let provider: IntrospectionProvider;
let origin: Origin;
beforeAll(async () => {
  provider = await IntrospectionProvider.start();
  origin = await Origin.start("origin");
  const { port } = new URL(provider.url);
  const id = "clientId: gateway, clientSecret: secret, cacheFor: 0";
  gateway = await Gateway.start({
    config: `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners: [ { address: 127.0.0.1:0 } ]
upstreams:
  u: { targets: [ { url: "${origin.url}" } ] }
  id: { targets: [ { url: "http://127.0.0.1:${port}" } ] }
auth:
  own: { introspection: { endpoint: "${provider.url}", ${id}, breaker: { failures: 3, openFor: 1s } } }
  named: { introspection: { to: id, path: "/introspect?v=2", ${id} } }
routes:
  - { name: own, match: { path: /own }, auth: own, to: u }
  - { name: named, match: { path: /named }, auth: named, to: u }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});
beforeEach(() => {
  provider.asked.length = 0;
  provider.always = { active: true, sub: "ann" };
  onTestFailed(() => console.error(gateway.report()));
});

/** On a connection of its own, so that either worker may get it. */
async function ask(route: string): Promise<{ readonly status: number; readonly code: string }> {
  const response = await fetch(`${gateway.url}/${route}`, { headers: { authorization: "Bearer abc", connection: "close" } });
  const text = await response.text();
  return { status: response.status, code: response.ok ? "" : String(JSON.parse(text).code) };
}

interface Shown {
  readonly name: string;
  readonly breaker: { readonly state: string } | null;
  readonly targets: readonly { readonly key: string; readonly attempts: number }[];
}

const shown = async (name: string): Promise<Shown | undefined> =>
  ((await gateway.admin("GET", "/upstreams")).body as readonly Shown[]).find((each) => each.name === name);

it("an endpoint has an upstream of its own, with its target, counts and breaker", async () => {
  expect(await ask("own")).toEqual({ status: 200, code: "" });
  expect(provider.asked.map(({ method, url }) => [method, url])).toEqual([["POST", "/introspect?v=1"]]);
  expect(await shown("auth:own")).toMatchObject({
    breaker: { state: "closed" },
    targets: [{ key: `http://${new URL(provider.url).host}`, attempts: 1 }],
  });
  expect(String((await gateway.admin("GET", "/metrics")).body)).toContain('sluice_breaker_state{upstream="auth:own"} 0');
});

it("`to` asks a configured upstream, and makes none", async () => {
  expect(await ask("named")).toEqual({ status: 200, code: "" });
  expect(provider.asked.map(({ url }) => url)).toEqual(["/introspect?v=2"]);
  expect(await shown("auth:named")).toBeUndefined();
  expect((await shown("id"))?.targets[0]?.attempts).toBe(1);
});

it("a provider that fails is spared by all workers at once, nobody passes meanwhile, and one token finds out when it is back", async () => {
  provider.always = (response) => response.writeHead(503).end();
  for (let i = 0; i < 20; i++) {
    const answer = await ask("own");
    expect(answer).toEqual({ status: 503, code: "auth_unavailable" });
    if ((await shown("auth:own"))?.breaker?.state === "open") break;
  }
  // Further failures are trials: one each time that the breaker has been open for a second.
  expect(provider.asked.length).toBe(3);
  expect((await shown("auth:own"))?.breaker?.state).toBe("open");
  provider.always = { active: true, sub: "ann" };
  await untilAsync("the provider is asked again", async () => expect(await ask("own")).toEqual({ status: 200, code: "" }));
  await untilAsync("the breaker is closed", async () => expect((await shown("auth:own"))?.breaker?.state).toBe("closed"));
});
