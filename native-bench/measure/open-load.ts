// Runs the open-loop generator in a process of its own. Run: node open-load.ts URL RATE SECONDS CONNECTIONS; prints one line of JSON.
import { OpenLoop } from "../../src/cli/bench/open-loop.ts";

const [url = "", rate, seconds, connections] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4]), Number(process.argv[5])];
const target = new URL(url);
const TIMEOUT_MS = 5000;
const loop = new OpenLoop({
  target: { host: target.hostname, port: Number(target.port), tls: target.protocol === "https:" },
  shots: [{ method: "GET", bytes: Buffer.from(`GET ${target.pathname} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`, "latin1") }],
  connections,
  rate,
  durationMs: seconds * 1000,
  timeoutMs: TIMEOUT_MS,
});
const { shots, due, answered, late } = await loop.run();
const [shot] = shots;
const failed = [...(shot?.statuses ?? [])].reduce((sum, [status, count]) => sum + (status >= 400 ? count : 0), shot?.failed ?? 0);
const ms = (percent: number): number => (shot?.latency.percentile(percent) ?? 0) / 1000;
console.log(JSON.stringify({ due, answered, failed, p50: ms(50), p99: ms(99), p999: ms(99.9), late: late.percentile(99) / 1000 }));
process.exit(0);
