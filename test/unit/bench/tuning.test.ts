// The knobs of bench/tuning: every setting is a configuration that loads, and differs from the others of its knob.
import { describe, expect, it } from "vitest";
import { configuration, KNOBS } from "../../../bench/tuning/knobs.ts";
import { parseConfig } from "../../../src/control/config/load.ts";
import { formatProblem } from "../../../src/control/config/source/problem.ts";

const PORTS = { own: 1, origin: 2 };

it("each knob has a name of its own", () => expect(new Set(KNOBS.map((knob) => knob.name)).size).toBe(KNOBS.length));

describe.each(KNOBS)("$name", (knob) => {
  const texts = knob.settings.map((setting) => configuration(knob, setting, PORTS));
  it.each(texts)("setting %$ loads", (text) => {
    const result = parseConfig({ texts: [{ file: "knob.yaml", text }] });
    expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([]);
  });
  it("its settings differ", () => {
    const whole = knob.settings.map((setting, i) => `${texts[i]}${JSON.stringify(setting.environment ?? {})}`);
    expect(new Set(whole).size).toBe(whole.length);
  });
});
