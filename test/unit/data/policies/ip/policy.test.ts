import { expect, test } from "vitest";
import { ask, buildPolicy, parsePolicy, TestExchange } from "../../../../support/exchange.ts";

function check(config: unknown, ip: string, expected: "passes" | "ip_denied"): void {
  const reply = ask(buildPolicy("ip", config), new TestExchange({ ip }));
  const got = reply === undefined ? "passes" : reply.kind === "problem" ? reply.code : reply.kind;
  expect(got, `${JSON.stringify(config)} ${ip}`).toBe(expected);
}

test("allow and deny", () => {
  check({ allow: ["10.0.0.0/8"] }, "10.1.2.3", "passes");
  check({ allow: ["10.0.0.0/8"] }, "11.1.2.3", "ip_denied");
  check({ allow: ["10.0.0.0/8"] }, "", "ip_denied");
  check({ allow: ["10.0.0.0/8"] }, "2001:db8::1", "ip_denied");
  check({ allow: ["0.0.0.0/0", "::/0"] }, "", "ip_denied");
  check({ allow: ["2001:db8::/32", "192.0.2.7"] }, "2001:db8:ffff::1", "passes");
  check({ allow: ["2001:db8::/32", "192.0.2.7"] }, "192.0.2.7", "passes");
  check({ allow: ["2001:db8::/32", "192.0.2.7"] }, "192.0.2.8", "ip_denied");
  check({ deny: ["192.0.2.0/24"] }, "192.0.2.255", "ip_denied");
  check({ deny: ["192.0.2.0/24"] }, "192.0.3.0", "passes");
  check({ deny: ["192.0.2.0/24"] }, "", "passes");
  check({ allow: ["10.0.0.0/8"], deny: ["10.6.6.0/24"] }, "10.6.6.6", "ip_denied");
  check({ allow: ["10.0.0.0/8"], deny: ["10.6.6.0/24"] }, "10.6.7.6", "passes");
});

test("configurations that can't be meant are refused", () => {
  for (const config of [{}, { allow: [] }, { allow: ["10.0.0.0/33"] }, { deny: ["example.com"] }, { deny: ["10.0.0.1"], permit: [] }])
    expect(parsePolicy("ip", config), JSON.stringify(config)).toHaveProperty("problems");
});
