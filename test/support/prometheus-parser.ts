// Owns a strict reader of the Prometheus text format 0.0.4, stricter than Prometheus itself, for tests of what we render.

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: [""],
  gauge: [""],
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["_sum", "_count"],
};

/** @throws Error naming the line that is wrong. */
export function parsePrometheus(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line must end in a line feed");
  const families = new Map<string, Family>();
  const series = new Set<string>();
  let family: Family | null = null;
  const lines = text.slice(0, -1).split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\]+)$/.exec(line);
    if (help !== null) {
      const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(lines[++i] ?? "");
      if (type === null || type[1] !== help[1]) throw new Error(`HELP without its TYPE: ${line}`);
      family = { name: help[1] ?? "", type: type[2] ?? "", help: help[2] ?? "", samples: [] };
      if (families.has(family.name)) throw new Error(`family twice: ${family.name}`);
      families.set(family.name, family);
      continue;
    }
    const sample = parseSample(line);
    const { name, type } = family ?? { name: "", type: "" };
    if (!SUFFIXES[type]?.some((suffix) => sample.name === name + suffix)) throw new Error(`sample outside its family: ${line}`);
    if (type === "counter" && !(sample.value >= 0)) throw new Error(`counter below 0: ${line}`);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (series.has(key)) throw new Error(`series twice: ${line}`);
    series.add(key);
    family?.samples.push(sample);
  }
  for (const f of families.values()) if (f.type === "histogram") checkHistogram(f);
  return families;
}

function parseSample(line: string): Sample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = match[2] ?? "";
  while (rest !== "") {
    const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,(?=[a-zA-Z_])|$)/.exec(rest);
    if (label === null || Object.hasOwn(labels, label[1] ?? "")) throw new Error(`bad labels: ${line}`);
    labels[label[1] ?? ""] = (label[2] ?? "").replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
    rest = rest.slice(label[0].length);
  }
  if (!/^[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf)$|^NaN$/.test(match[3] ?? "")) throw new Error(`bad value: ${line}`);
  return { name: match[1] ?? "", labels, value: Number(match[3]) };
}

/** Buckets rise in le and in count, end in +Inf, and +Inf is the count. */
function checkHistogram(family: Family): void {
  const sets = Map.groupBy(family.samples, ({ labels: { le: _, ...rest } }) => JSON.stringify(rest));
  for (const [labels, samples] of sets) {
    const buckets = samples.filter((s) => s.name.endsWith("_bucket"));
    const bounds = buckets.map((b) => (b.labels["le"] === "+Inf" ? Number.POSITIVE_INFINITY : Number(b.labels["le"])));
    const rising = (list: readonly number[], strictly: boolean): boolean =>
      list.every((n, i) => i === 0 || (strictly ? n > (list[i - 1] ?? n) : n >= (list[i - 1] ?? n)));
    const count = samples.find((s) => s.name.endsWith("_count"))?.value;
    const ok =
      rising(bounds, true) &&
      rising(
        buckets.map((b) => b.value),
        false,
      ) &&
      bounds.at(-1) === Number.POSITIVE_INFINITY;
    if (!ok || buckets.at(-1)?.value !== count) throw new Error(`histogram ${family.name} ${labels} is not one`);
  }
}
