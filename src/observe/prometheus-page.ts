// Owns the form of one page in the Prometheus text format 0.0.4: families and their samples. Must never know a metric.

export type Kind = "counter" | "gauge" | "histogram" | "summary";
export type Labels = Readonly<Record<string, string | number>>;

/** Collects lines; a family's samples must follow its header. */
export class Page {
  private readonly lines: string[] = [];

  family(name: string, kind: Kind, help: string): void {
    this.lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
  }

  sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(String(text))}"`);
    this.lines.push(`${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`);
  }

  /** A family of one sample without labels. */
  one(name: string, kind: Kind, help: string, value: number): void {
    this.family(name, kind, help);
    this.sample(name, {}, value);
  }

  text(): string {
    return `${this.lines.join("\n")}\n`;
  }
}

function escapeLabel(text: string): string {
  return /[\\"\n]/.test(text) ? text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n") : text;
}
