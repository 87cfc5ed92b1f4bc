// Owns a storm of aggregated requests whose legs end in every way, by the roll of seeded dice: shared by the suite and the acceptance run.
// Knows for each request what must come of it, and counts what did not.
import { Agent, request } from "node:http";
import { json, type Script, ScriptedService } from "./scripted-service.ts";
import { until, untilAsync } from "./until.ts";
import { seededRandom } from "./upstreams.ts";

/** What a leg can be made to do, and the code of its failure; null: it gives its value. */
const ENDS: Readonly<Record<string, { readonly script: Script; readonly code: string | null; readonly weight: number }>> = {
  ok: { script: (response, asked) => json({ id: 1 })(response, asked), code: null, weight: 60 },
  later: { script: (response, asked) => void setTimeout(() => json({ id: 1 })(response, asked), 3), code: null, weight: 10 },
  refuses: { script: json({}, 500), code: "leg_status", weight: 8 },
  html: { script: (response) => void response.end("<html>"), code: "leg_invalid", weight: 5 },
  large: { script: (response) => void response.end(JSON.stringify("x".repeat(20_000))), code: "leg_too_large", weight: 5 },
  resets: { script: (response) => void response.destroy(), code: "upstream_reset", weight: 5 },
  cuts: {
    script: (response) => {
      response.writeHead(200, { "content-length": "10" }).write("{");
      setImmediate(() => response.destroy());
    },
    code: "upstream_aborted",
    weight: 5,
  },
  hangs: { script: () => {}, code: "total_timeout", weight: 0.2 },
};
const NAMES = Object.keys(ENDS);
const WEIGHT = Object.values(ENDS).reduce((sum, { weight }) => sum + weight, 0);

export const startStormService = (): Promise<ScriptedService> =>
  ScriptedService.start({
    ...Object.fromEntries(NAMES.map((name) => [`/${name}`, ENDS[name]?.script ?? json({})])),
    "/list": (response, { body }) => void response.end(body),
  });

/** A required leg, an optional one beside it, an optional one behind it, and one for each item of a list. */
export const stormRoutes = (url: string): string => `upstreams:
  service: { targets: [{ url: "${url}" }], retry: { attempts: 0 }, health: { passive: false }, pool: { connections: 256 } }
routes:
  - name: storm
    match: { path: /storm }
    aggregate:
      incomplete: member
      maxBytes: 16KiB
      legs:
        first: { to: service, path: "/{query.first}", timeout: 5s }
        beside: { to: service, path: "/{query.beside}", timeout: 5s, required: false }
        behind: { to: service, path: "/{query.behind}?id={legs.first.json.id}", timeout: 5s, required: false }
        each: { to: service, path: "/{item}", forEach: "{legs.list.json}", concurrency: 2, timeout: 5s, required: false }
        list: { to: service, method: POST, path: /list, body: { json: ["{query.one}", "{query.two}", ok] } }
`;

export interface StormResult {
  readonly answers: Readonly<Record<string, number>>;
  readonly aborted: number;
  /** What came otherwise than it must, the first few of it. */
  readonly wrong: readonly string[];
}

const SHOWN_MAX = 20;

/** @param url of the gateway's listener */
export async function runStorm(
  url: string,
  { requests, concurrency, seed }: { readonly requests: number; readonly concurrency: number; readonly seed: number },
): Promise<StormResult> {
  const random = seededRandom(seed);
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const answers: Record<string, number> = {};
  const wrong: string[] = [];
  let aborted = 0;
  let left = requests;
  const roll = (): string => {
    let at = random() * WEIGHT;
    return NAMES.find((name) => (at -= ENDS[name]?.weight ?? 0) < 0) ?? "ok";
  };
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const ends = { first: roll(), beside: roll(), behind: roll(), one: roll(), two: roll() };
      const abortAfterMs = random() < 0.05 ? random() * 6 : -1;
      const target = `${url}/storm?${new URLSearchParams(ends).toString()}`;
      const got = await ask(target, agent, abortAfterMs);
      if (got === null) {
        aborted++;
        continue;
      }
      answers[got.status] = (answers[got.status] ?? 0) + 1;
      const problem = judge(got, ends);
      if (problem !== "" && wrong.length < SHOWN_MAX) wrong.push(`${target}: ${problem}: ${got.status} ${got.text}`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, one));
  agent.destroy();
  return { answers, aborted, wrong };
}

interface Got {
  readonly status: number;
  readonly text: string;
  readonly incomplete: string;
}

/** @returns null when the client went away before the end, as it was told to */
function ask(target: string, agent: Agent, abortAfterMs: number): Promise<Got | null> {
  return new Promise((resolve, reject) => {
    const sent = request(target, { agent }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.once("end", () =>
        resolve({ status: response.statusCode ?? 0, text, incomplete: String(response.headers["x-aggregate-incomplete"] ?? "") }),
      );
      response.once("error", (error) => (sent.destroyed && abortAfterMs >= 0 ? resolve(null) : reject(error)));
    });
    sent.once("error", (error) => (abortAfterMs >= 0 ? resolve(null) : reject(error)));
    sent.end();
    if (abortAfterMs >= 0) setTimeout(() => sent.destroy(), abortAfterMs);
  });
}

type Ends = Readonly<Record<"first" | "beside" | "behind" | "one" | "two", string>>;

const codeOf = (end: string): string | null => ENDS[end]?.code ?? null;

/** @returns '' when the answer is what it must be */
function judge({ status, text, incomplete }: Got, ends: Ends): string {
  const body = JSON.parse(text) as Record<string, unknown>;
  const first = codeOf(ends.first);
  if (first !== null) {
    if (status === 200) return "a failed required leg, and 200";
    return body["code"] === first && incomplete === "first" ? "" : `${first} was due`;
  }
  if (status !== 200) return "every required leg is well";
  const failed: Record<string, string | null> = { beside: codeOf(ends.beside), behind: codeOf(ends.behind) };
  const names = Object.keys(failed).filter((name) => failed[name] !== null);
  const items = [codeOf(ends.one), codeOf(ends.two)].filter((code) => code !== null);
  if (items.length > 0) names.push("each");
  if (incomplete !== names.join(", ")) return `incomplete: ${incomplete}, not ${names.join(", ")}`;
  const expected: Record<string, unknown> = { first: { id: 1 } };
  for (const name of ["beside", "behind"]) if (failed[name] === null) expected[name] = { id: 1 };
  if (items.length === 0) expected["each"] = [{ id: 1 }, { id: 1 }, { id: 1 }];
  for (const [name, value] of Object.entries(expected)) if (JSON.stringify(body[name]) !== JSON.stringify(value)) return `${name} is wrong`;
  const told = body["incomplete"] as readonly { readonly leg: string; readonly code: string }[] | undefined;
  for (const { leg, code } of told ?? []) {
    if (leg === "each" ? !items.includes(code) : failed[leg] !== code) return `${leg} did not fail with ${code}`;
  }
  return (told ?? []).length === names.length ? "" : "not every failed leg is named";
}

/**
 * When the storm is over: no call is left, gauges are back at 0, and each leg of each exchange has ended exactly once.
 * @param metrics reads the gateway's metrics
 * @returns what is not so; '' when all is
 */
export async function leftBehind(service: ScriptedService, metrics: () => Promise<string>): Promise<string> {
  const problems: string[] = [];
  try {
    await until("no call is under way", () => service.underWay === 0);
  } catch {
    problems.push(`${service.underWay} calls are under way`);
  }
  try {
    // Workers write their gauges from time to time.
    await untilAsync("the counters agree", async () => {
      const wrong = disagreements(await metrics());
      if (wrong.length > 0) throw new Error(wrong.join("; "));
    });
  } catch (error) {
    problems.push(error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error));
  }
  return problems.join("; ");
}

function disagreements(page: string): readonly string[] {
  const sum = (pattern: RegExp): number => [...page.matchAll(pattern)].reduce((total, [, count]) => total + Number(count), 0);
  const wrong: string[] = [];
  for (const gauge of ["target_in_flight", "worker_in_flight", "worker_pool_queued"]) {
    const count = sum(new RegExp(`^sluice_${gauge}\\{[^}]*\\} (\\d+)$`, "gm"));
    if (count !== 0) wrong.push(`${gauge} is ${count}`);
  }
  const requests = sum(/^sluice_requests_total\{route="storm",[^}]*\} (\d+)$/gm);
  for (const leg of ["first", "beside", "behind", "each", "list"]) {
    const ends = sum(new RegExp(`^sluice_leg_outcomes_total\\{route="storm",leg="${leg}",[^}]*\\} (\\d+)$`, "gm"));
    if (ends !== requests) wrong.push(`${leg} has ended ${ends} times in ${requests} requests`);
  }
  return wrong;
}
