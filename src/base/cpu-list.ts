// Owns lists of CPU numbers as Linux writes them (`0-3,8`): cpuset(7), /proc/PID/status, taskset(1). Pure.

/** More than any kernel is built for (CONFIG_NR_CPUS is at most 8192 on x86-64). */
export const CPU_NUMBER_MAX = 8191;

/** @returns the CPUs in order, each once; null for what is no list, or an empty one. */
export function parseCpuList(text: string): readonly number[] | null {
  const cpus = new Set<number>();
  for (const part of text.split(",")) {
    const m = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part);
    if (m === null) return null;
    const first = Number(m[1]);
    const last = Number(m[2] ?? m[1]);
    if (last < first || last > CPU_NUMBER_MAX) return null;
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/** The shortest form: neighbours become a range. */
export function formatCpuList(cpus: readonly number[]): string {
  const parts: string[] = [];
  const sorted = [...new Set(cpus)].sort((a, b) => a - b);
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end++;
    parts.push(end === i ? `${sorted[i]}` : `${sorted[i]}-${sorted[end]}`);
    i = end + 1;
  }
  return parts.join(",");
}

/** @returns `Cpus_allowed_list` of a /proc/PID/status; null when there is none. */
export function allowedCpusOf(status: string): readonly number[] | null {
  const line = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status);
  return line?.[1] === undefined ? null : parseCpuList(line[1]);
}
