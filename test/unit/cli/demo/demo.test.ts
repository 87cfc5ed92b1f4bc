// Holds the demo's arguments and the printed form of its tour.
import { describe, expect, it } from "vitest";
import { parsePorts, tourText } from "../../../../src/cli/demo/demo.ts";
import { tour } from "../../../../src/cli/demo/tour.ts";

describe("parsePorts", () => {
  it.each<[string[], number, number]>([
    [[], 8080, 9901],
    [["--port", "9000"], 9000, 9901],
    [["--port=0", "--admin-port", "1"], 0, 1],
  ])("%j", (argv, listener, admin) => {
    expect(parsePorts(argv)).toEqual({ listener, admin });
  });

  it.each<[string[], RegExp]>([
    [["--port"], /option '--port' needs a value/],
    [["--port", "x"], /needs a port number/],
    [["--port", "-1"], /option '--port' needs a value/],
    [["--port=-1"], /needs a port number/],
    [["8080"], /unexpected argument "8080"/],
    [["--port", "65536"], /needs a port number/],
    [["--prot", "1"], /unknown option '--prot'/],
  ])("refuses %j", (argv, message) => {
    expect(() => parsePorts(argv)).toThrow(message);
  });
});

describe("tour", () => {
  const legs = tour("http://g", "http://a", "/log");
  const stops = legs.flatMap((leg) => leg.stops);

  it("has a unique title for every stop", () => {
    expect(new Set(stops.map((stop) => stop.title)).size).toBe(stops.length);
  });

  it("prints every command on a line of its own, numbered", () => {
    const lines = tourText(legs).split("\n");
    for (const [i, stop] of stops.entries()) {
      expect(lines).toContain(`      ${stop.command}`);
      expect(lines.some((line) => line.trimStart().startsWith(`${i + 1}. ${stop.title}`))).toBe(true);
    }
  });
});
