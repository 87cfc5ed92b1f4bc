import { describe, expect, it } from "vitest";
import {
  instanceName,
  REPORT_BREAKERS_MAX,
  REPORT_BYTES_MAX,
  type ReportedBreaker,
  readReport,
  writeReport,
} from "../../../../src/control/fleet/breaker-report.ts";
import { PHASE } from "../../../../src/shared/breaker-word.ts";

const breaker = (upstream: string, target: string | null, phase: number): ReportedBreaker => ({ upstream, target, phase });

describe("what was written is read", () => {
  it("but for closed breakers", () => {
    const breakers = [breaker("users", null, PHASE.closed), breaker("users", "http://10.0.0.1:80", PHASE.recovering)];
    expect(readReport(writeReport("gw-1:17", breakers))).toEqual({ name: "gw-1:17", breakers: breakers.slice(1), leftOut: 0 });
    expect(readReport(writeReport("gw-1:17", []))).toEqual({ name: "gw-1:17", breakers: [], leftOut: 0 });
  });

  it.each([
    "http://127.0.0.1:9001",
    "https://[::1]:443",
    "http://[fe80::1]:80",
    "https://api.example.com:8443#10.0.0.7",
    "http://svc_1.prod.svc.cluster.local:80#2001:db8::7",
    "http://xn--bcher-kva.example:80#fe80::1%eth0",
    "http://a-very-long.name.example:65535#10.1.2.3",
  ])("with the key %s", (target) => {
    const breakers = [breaker("u.p_s-1", target, PHASE.open)];
    expect(readReport(writeReport("gw:1", breakers))?.breakers).toEqual(breakers);
  });

  it("of services that are asked at a URL", () => {
    const breakers = [breaker("forwardAuth:shop.v2", null, PHASE.open), breaker("auth:oauth", null, PHASE.halfOpen)];
    expect(readReport(writeReport("gw:1", breakers))?.breakers).toEqual(breakers);
  });

  it("whatever the host is called", () => {
    for (const host of ["gw-1.example.com", "", "bücher<b>", "x".repeat(300), 'a"\n\\']) {
      const name = instanceName(host, 4711);
      expect(readReport(writeReport(name, []))?.name).toBe(name);
    }
  });
});

describe("bounds", () => {
  const many = Array.from({ length: 500 }, (_, i) =>
    breaker(`${"u".repeat(100)}${i}`, `http://${"h".repeat(200)}:${i + 1}`, i < 498 ? PHASE.recovering : PHASE.open),
  );

  it("a report has no more bytes than allowed, says the worst first, and how many are missing", () => {
    const text = writeReport("gw:1", many);
    const report = readReport(text);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(REPORT_BYTES_MAX);
    expect(report?.breakers.slice(0, 2)).toEqual(many.slice(498));
    expect(report?.breakers.length).toBeGreaterThan(10);
    expect((report?.leftOut ?? 0) + (report?.breakers.length ?? 0)).toBe(500);
  });

  it("and no more breakers", () => {
    const short = Array.from({ length: 100 }, (_, i) => breaker(`u${i}`, null, PHASE.halfOpen));
    expect(readReport(writeReport("gw:1", short))).toMatchObject({ leftOut: 100 - REPORT_BREAKERS_MAX });
  });

  it("a name that could not be read is left out", () => {
    const odd = [breaker("u", "http://a b", PHASE.open), breaker("u", null, PHASE.open)];
    expect(readReport(writeReport("gw:1", odd))).toEqual({ name: "gw:1", breakers: [odd[1]], leftOut: 1 });
  });
});

describe("what no instance writes", () => {
  it.each<[string, unknown]>([
    ["nothing", ""],
    ["null", null],
    ["a number", 7],
    ["no JSON", "[1,"],
    ["an object", '{"name":"gw:1"}'],
    ["another form", '[2,"gw:1",0,[]]'],
    ["too few parts", '[1,"gw:1",0]'],
    ["too many parts", '[1,"gw:1",0,[],0]'],
    ["an instance without a name", '[1,"",0,[]]'],
    ["an instance of markup", '[1,"<img>:1",0,[]]'],
    ["an instance with a line break", '[1,"gw:1\\n",0,[]]'],
    ["an instance with a long name", `[1,"${"g".repeat(65)}:1",0,[]]`],
    ["a negative count", '[1,"gw:1",-1,[]]'],
    ["a fraction", '[1,"gw:1",0.5,[]]'],
    ["a huge count", '[1,"gw:1",1e300,[]]'],
    ["a row that is none", '[1,"gw:1",0,[null]]'],
    ["a row too short", '[1,"gw:1",0,[["u",null]]]'],
    ["markup as upstream", '[1,"gw:1",0,[["<b>",null,1]]]'],
    ["a long upstream", `[1,"gw:1",0,[["${"u".repeat(129)}",null,1]]]`],
    ["no upstream", '[1,"gw:1",0,[[null,null,1]]]'],
    ["markup as target", '[1,"gw:1",0,[["u","http://<b>:1",1]]]'],
    ["a quote in a target", '[1,"gw:1",0,[["u","http://a\\":1",1]]]'],
    ["a script as target", '[1,"gw:1",0,[["u","javascript:1",1]]]'],
    ["credentials in a target", '[1,"gw:1",0,[["u","http://a:b@c:1",1]]]'],
    ["a long target", `[1,"gw:1",0,[["u","http://${"h".repeat(271)}",1]]]`],
    ["a state that is not", '[1,"gw:1",0,[["u",null,6]]]'],
    ["a closed one", '[1,"gw:1",0,[["u",null,0]]]'],
    ["a state as text", '[1,"gw:1",0,[["u",null,"1"]]]'],
    ["the same twice", '[1,"gw:1",0,[["u",null,1],["u",null,2]]]'],
    ["too many", `[1,"gw:1",0,[${Array.from({ length: 65 }, (_, i) => `["u${i}",null,1]`).join(",")}]]`],
    ["too much", `[1,"gw:1",0,[]${" ".repeat(REPORT_BYTES_MAX)}]`],
  ])("%s is not read", (_, text) => {
    expect(readReport(text)).toBeNull();
  });
});
