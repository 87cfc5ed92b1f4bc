// Holds the shared table of breakers to its model, alone and with real threads that race.
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { BreakerAdmin } from "../../../src/shared/breaker-admin.ts";
import { type BreakerOutcome, type BreakerRules, BreakerTable, OUTCOME, openForMs } from "../../../src/shared/breaker-table.ts";
import { epochOf, isTrial, nextWord, PHASE, REFUSED, TRIALS_MAX } from "../../../src/shared/breaker-word.ts";
import type { BreakerReport, BreakerTask } from "../../support/breaker-hammer.ts";
import { BreakerModel, breakerRules, type ModelPass } from "../../support/breaker-rig.ts";
import { seededRandom } from "../../support/upstreams.ts";

const SLOT = 1;

interface Rig {
  readonly admin: BreakerAdmin;
  readonly workers: readonly BreakerTable[];
  nowMs: number;
}

function rig(random: () => number = () => 0, workers = 2): Rig {
  const buffer = BreakerTable.allocate(workers, 4);
  return {
    admin: new BreakerAdmin(buffer, -1, random),
    workers: Array.from({ length: workers }, (_, i) => new BreakerTable(buffer, i, random)),
    nowMs: 1_000_000,
  };
}

const worker = ({ workers }: Rig, index = 0): BreakerTable => workers[index] as BreakerTable; // made above

function pass(at: Rig, rules: BreakerRules, index = 0): number {
  return worker(at, index).admit(SLOT, rules.recoveryMs, () => at.nowMs);
}

/** Lets requests pass and end one after the other. @returns how many passed */
function send(at: Rig, rules: BreakerRules, outcome: BreakerOutcome, count: number): number {
  let passed = 0;
  for (let i = 0; i < count; i++) {
    const ticket = pass(at, rules, i % 2);
    if (ticket === REFUSED) continue;
    passed++;
    worker(at, i % 2).settle(SLOT, ticket, outcome, rules, at.nowMs);
  }
  return passed;
}

/** An expectation for what is asked a million times: one by vitest costs more than all that is tested here. */
function same(step: number, what: string, got: number | boolean, expected: number | boolean): void {
  if (got !== expected) expect.fail(`step ${step}: ${what} is ${got}, the model says ${expected}`);
}

describe("against the model", () => {
  const OUTCOMES = [OUTCOME.good, OUTCOME.good, OUTCOME.good, OUTCOME.failed, OUTCOME.failed, OUTCOME.slow, OUTCOME.failedSlow];
  const cases: [string, Partial<BreakerRules>][] = [
    ["failures only", {}],
    ["slow calls too", { slowCallRate: 0.4 }],
    ["no recovery", { recoveryMs: 0 }],
    ["failures in a row too", { consecutiveFailures: 3, errorRate: 0.9 }],
    ["a tight cap", { maxOpenForMs: 3000, minimumRequests: 3 }],
  ];

  it.each(cases.flatMap(([name, part]) => [1, 2, 3].map((seed) => [name, seed, part] as const)))(
    "%s, seed %i: every step of a random life is the same",
    (_name, seed, part) => {
      const rules = breakerRules(part);
      // The same numbers for both, drawn in the same order.
      const at = rig(seededRandom(seed));
      const model = new BreakerModel(rules, seededRandom(seed));
      const random = seededRandom(seed + 1000);
      const underWay: { ticket: number; pass: ModelPass; worker: number; good: boolean }[] = [];
      const phases = new Set<number>();
      for (let step = 0; step < 12_000; step++) {
        at.nowMs += random() < 0.01 ? random() * 20_000 : random() * 200;
        const dice = random();
        const index = random() < 0.5 ? 0 : 1;
        const entry = underWay[Math.floor(random() * underWay.length)];
        if (dice < 0.45) {
          const ticket = pass(at, rules, index);
          const expected = model.admit(at.nowMs);
          same(step, "admitted", ticket !== REFUSED, expected !== null);
          same(step, "a trial", isTrial(ticket), expected?.trial ?? false);
          if (expected !== null) underWay.push({ ticket, pass: expected, worker: index, good: false });
        } else if (dice < 0.9 && entry !== undefined) {
          const table = worker(at, entry.worker);
          if (entry.good) {
            table.failAfterHead(SLOT, entry.ticket & ~1, rules, at.nowMs);
            model.turnedBad(entry.pass, at.nowMs);
          } else if (random() < 0.1) {
            table.giveBack(SLOT, entry.ticket);
            model.giveBack(entry.pass);
          } else {
            // Ill for a while, well for a while.
            const well = Math.floor(step / 300) % 2 === 1 && random() < 0.95;
            const outcome = well ? OUTCOME.good : (OUTCOMES[Math.floor(random() * OUTCOMES.length)] ?? OUTCOME.good);
            table.settle(SLOT, entry.ticket, outcome, rules, at.nowMs);
            model.settle(entry.pass, outcome, at.nowMs);
            if (outcome === OUTCOME.good && random() < 0.1) {
              entry.good = true;
              continue;
            }
          }
          underWay.splice(underWay.indexOf(entry), 1);
        } else if (dice < 0.93 && at.nowMs >= model.openUntilMs) {
          at.admin.beginRound(SLOT, 3, at.nowMs);
          model.beginRound(3, at.nowMs);
        } else if (dice < 0.96) {
          at.admin.endRound(SLOT, rules.recoveryMs, at.nowMs);
          model.endRound(at.nowMs);
        } else if (dice < 0.97) {
          at.admin.renewRound(SLOT);
          model.renewRound();
        } else if (dice < 0.99 && at.nowMs >= model.sinceMs + rules.recoveryMs) {
          at.admin.close(SLOT, at.nowMs);
          model.close();
        } else if (dice > 0.998) {
          const phase = [PHASE.forcedOpen, PHASE.forcedClosed, PHASE.closed][Math.floor(random() * 3)] ?? PHASE.closed;
          at.admin.force(SLOT, phase, at.nowMs);
          model.force(phase, at.nowMs);
        }
        phases.add(model.phase);
        const reading = at.admin.read(SLOT);
        same(step, "phase", reading.phase, model.phase);
        same(step, "taken", reading.round.taken, model.taken);
        same(step, "succeeded", reading.round.succeeded, model.succeeded);
        same(step, "openUntilMs", reading.openUntilMs, model.openUntilMs);
        const [counts, expected] = [at.admin.counts(SLOT, rules.windowMs, at.nowMs), model.counts(at.nowMs)];
        for (const name of ["total", "failed", "slow"] as const) same(step, name, counts[name], expected[name]);
      }
      // The life must have had everything in it.
      const needed = [PHASE.open, PHASE.halfOpen, rules.recoveryMs > 0 ? PHASE.recovering : PHASE.closed];
      expect(needed.filter((phase) => !phases.has(phase))).toEqual([]);
      expect(at.admin.read(SLOT).trials).toBeGreaterThan(10);
    },
  );
});

describe("opening", () => {
  it("needs the minimum of requests, and exactly the rate is enough", () => {
    const rules = breakerRules({ minimumRequests: 10, errorRate: 0.5 });
    const at = rig();
    send(at, rules, OUTCOME.failed, 5);
    send(at, rules, OUTCOME.good, 4);
    expect(at.admin.phase(SLOT)).toBe(PHASE.closed);
    send(at, rules, OUTCOME.good, 1);
    expect(at.admin.phase(SLOT)).toBe(PHASE.open);
    expect(at.admin.read(SLOT)).toMatchObject({ opened: 1, openings: 1, openUntilMs: at.nowMs + 1000 });
  });

  it.each([0.07, 0.29, 0.3, 0.57])("is not kept shut by arithmetic: %d of 100", (errorRate) => {
    const rules = breakerRules({ minimumRequests: 100, errorRate });
    const at = rig();
    send(at, rules, OUTCOME.good, 100 - Math.round(errorRate * 100));
    send(at, rules, OUTCOME.failed, Math.round(errorRate * 100) - 1);
    expect(at.admin.phase(SLOT)).toBe(PHASE.closed);
    send(at, rules, OUTCOME.failed, 1);
    expect(at.admin.phase(SLOT)).toBe(PHASE.open);
  });

  it("happens once, whoever asks, and outcomes of before do not reach beyond", () => {
    const rules = breakerRules({ minimumRequests: 1 });
    const at = rig();
    const late = pass(at, rules);
    send(at, rules, OUTCOME.failed, 20);
    worker(at).settle(SLOT, late, OUTCOME.failed, rules, at.nowMs);
    expect(at.admin.read(SLOT)).toMatchObject({ phase: PHASE.open, opened: 1 });
    at.admin.beginRound(SLOT, 1, at.nowMs);
    worker(at).settle(SLOT, late, OUTCOME.failed, rules, at.nowMs);
    expect(at.admin.phase(SLOT)).toBe(PHASE.halfOpen);
  });

  it("failures in a row open it however few calls the window holds, and one good outcome begins them anew", () => {
    const rules = breakerRules({ consecutiveFailures: 3, minimumRequests: 1e6 });
    const at = rig();
    for (let i = 0; i < 5; i++) {
      send(at, rules, OUTCOME.failed, 2);
      send(at, rules, OUTCOME.good, 1);
    }
    send(at, rules, OUTCOME.failedSlow, 2);
    expect(at.admin.phase(SLOT)).toBe(PHASE.closed);
    send(at, rules, OUTCOME.failed, 1);
    expect(at.admin.phase(SLOT)).toBe(PHASE.open);
    at.admin.force(SLOT, PHASE.closed, at.nowMs);
    send(at, rules, OUTCOME.failed, 2);
    expect(at.admin.phase(SLOT)).toBe(PHASE.closed);
  });

  it("slow calls open when a rate for them is set, and only then", () => {
    const at = rig();
    send(at, breakerRules({ slowCallRate: 0 }), OUTCOME.slow, 50);
    expect(at.admin.phase(SLOT)).toBe(PHASE.closed);
    send(at, breakerRules({ slowCallRate: 0.9 }), OUTCOME.slow, 1);
    expect(at.admin.phase(SLOT)).toBe(PHASE.open);
  });

  it("lasts twice as long each time, with jitter, up to the cap, and begins anew after it was closed", () => {
    const rules = breakerRules({ openForMs: 1000, maxOpenForMs: 6000 });
    expect([0, 1, 2, 3, 30].map((level) => openForMs(level, rules, () => 0))).toEqual([1000, 2000, 4000, 6000, 6000]);
    expect([0, 1, 2, 3].map((level) => openForMs(level, rules, () => 1))).toEqual([1000, 1500, 3000, 4500]);
    expect(openForMs(0, breakerRules({ openForMs: 9000, maxOpenForMs: 10 }), () => 0)).toBe(9000);
    const at = rig();
    for (const lasts of [1000, 2000, 4000, 6000, 6000]) {
      send(at, rules, OUTCOME.failed, at.admin.read(SLOT).opened === 0 ? 10 : 1);
      expect(at.admin.openUntilMs(SLOT) - at.nowMs).toBe(lasts);
      at.nowMs += lasts;
      at.admin.beginRound(SLOT, 2, at.nowMs);
    }
    send(at, rules, OUTCOME.good, 2);
    at.admin.endRound(SLOT, rules.recoveryMs, at.nowMs);
    at.admin.close(SLOT, at.nowMs);
    send(at, rules, OUTCOME.failed, 10);
    expect(at.admin.openUntilMs(SLOT) - at.nowMs).toBe(1000);
  });
});

describe("a half-open round", () => {
  it("whose worker died has its places back, and no more than those", () => {
    const rules = breakerRules();
    const at = rig();
    at.admin.force(SLOT, PHASE.closed, at.nowMs);
    send(at, rules, OUTCOME.failed, 10);
    at.admin.beginRound(SLOT, 4, at.nowMs);
    worker(at, 0).settle(SLOT, pass(at, rules, 0), OUTCOME.good, rules, at.nowMs);
    const [dead1, dead2, living] = [pass(at, rules, 0), pass(at, rules, 0), pass(at, rules, 1)];
    expect(pass(at, rules, 1)).toBe(REFUSED);
    at.admin.clearWorker(0);
    expect(at.admin.read(SLOT).round).toEqual({ trials: 4, taken: 2, succeeded: 1 });
    at.admin.clearWorker(0);
    const again = [pass(at, rules, 1), pass(at, rules, 1), pass(at, rules, 1)];
    expect(again.map((ticket) => ticket === REFUSED)).toEqual([false, false, true]);
    for (const ticket of [living, again[0] ?? REFUSED, again[1] ?? REFUSED])
      worker(at, 1).settle(SLOT, ticket, OUTCOME.good, rules, at.nowMs);
    expect(at.admin.isWon(SLOT)).toBe(true);
    expect([dead1, dead2].every(isTrial)).toBe(true);
  });

  it("that is renewed keeps what went well and forgets what is under way", () => {
    const rules = breakerRules();
    const at = rig();
    send(at, rules, OUTCOME.failed, 10);
    at.admin.beginRound(SLOT, 3, at.nowMs);
    const stuck = pass(at, rules);
    send(at, rules, OUTCOME.good, 2);
    expect(at.admin.renewRound(SLOT)).toBe(1);
    worker(at).settle(SLOT, stuck, OUTCOME.failed, rules, at.nowMs);
    expect(at.admin.phase(SLOT)).toBe(PHASE.halfOpen);
    expect(at.admin.renewRound(SLOT)).toBe(0);
    expect(send(at, rules, OUTCOME.good, 5)).toBe(1);
    expect(at.admin.isWon(SLOT)).toBe(true);
  });

  it("holds as many trials as the word has room for", () => {
    const rules = breakerRules();
    const at = rig();
    send(at, rules, OUTCOME.failed, 10);
    at.admin.beginRound(SLOT, TRIALS_MAX, at.nowMs);
    expect(send(at, rules, OUTCOME.good, 2 * TRIALS_MAX)).toBe(TRIALS_MAX);
    expect(at.admin.read(SLOT)).toMatchObject({ phase: PHASE.halfOpen, round: { taken: TRIALS_MAX, succeeded: TRIALS_MAX } });
  });
});

it("recovery lets a growing share pass", () => {
  const rules = breakerRules({ recoveryMs: 1000, minimumRequests: 1e6 });
  const at = rig(seededRandom(7));
  at.admin.force(SLOT, PHASE.closed, at.nowMs);
  send(at, breakerRules({ minimumRequests: 1 }), OUTCOME.failed, 1);
  at.admin.beginRound(SLOT, 1, at.nowMs);
  send(at, rules, OUTCOME.good, 1);
  at.admin.endRound(SLOT, rules.recoveryMs, at.nowMs);
  const start = at.nowMs;
  const shares = [0, 0.25, 0.5, 0.75, 1, 5].map((part) => {
    at.nowMs = start + part * rules.recoveryMs;
    return send(at, rules, OUTCOME.good, 10_000) / 10_000;
  });
  for (const [i, expected] of [0.1, 0.325, 0.55, 0.775, 1, 1].entries()) expect(shares[i]).toBeCloseTo(expected, 1.5);
});

it("the epoch wraps without touching its neighbours", () => {
  let word = 0;
  for (let i = 0; i < 0x8000; i++) word = nextWord(word, i === 0x7fff ? PHASE.closed : PHASE.forcedClosed);
  expect([word, epochOf(word)]).toEqual([0, 0]);
});

it("a slot that is given to another begins anew, and old tickets do not reach the new one", () => {
  const rules = breakerRules({ minimumRequests: 1 });
  const at = rig();
  const old = pass(at, rules);
  send(at, rules, OUTCOME.failed, 1);
  at.admin.reset(SLOT);
  worker(at).settle(SLOT, old, OUTCOME.failed, rules, at.nowMs);
  expect(at.admin.read(SLOT)).toMatchObject({ phase: PHASE.closed, opened: 0, openings: 0, sinceMs: 0 });
  expect(at.admin.counts(SLOT, rules.windowMs, at.nowMs).total).toBe(0);
});

describe("with real threads", () => {
  const THREADS = 4;

  /** Runs rounds in all threads at once; `prepare` stands between them. */
  async function race(
    kinds: readonly BreakerTask["kind"][],
    options: { rounds: number; tries: number; buffer: SharedArrayBuffer; prepare(): void; after?(): void },
  ) {
    const gate = new SharedArrayBuffer(8);
    const words = new Int32Array(gate);
    const reports = kinds.map((kind, index) => {
      const workerData: BreakerTask = { buffer: options.buffer, gate, worker: index, kind, tries: options.tries };
      const thread = new Worker(new URL("../../support/breaker-hammer.ts", import.meta.url), { workerData });
      return new Promise<BreakerReport>((resolve, reject) => {
        thread.once("message", resolve);
        thread.once("error", reject);
      });
    });
    for (let round = 1; round <= options.rounds; round++) {
      options.prepare();
      Atomics.store(words, 1, 0);
      Atomics.store(words, 0, round);
      Atomics.notify(words, 0);
      for (let done = 0; done < kinds.length; done = Atomics.load(words, 1)) {
        const waiting = Atomics.waitAsync(words, 1, done, 50);
        if (waiting.async) await waiting.value;
      }
      options.after?.();
    }
    Atomics.store(words, 0, -1);
    Atomics.notify(words, 0);
    return Promise.all(reports);
  }

  const open = (admin: BreakerAdmin, trials: number): void => {
    admin.force(0, PHASE.closed, 1);
    const table = new BreakerTable(admin.buffer, THREADS);
    const rules = breakerRules({ minimumRequests: 1 });
    table.settle(
      0,
      table.admit(0, 0, () => 0),
      OUTCOME.failed,
      rules,
      1e9,
    );
    if (trials > 0) admin.beginRound(0, trials, 2);
  };
  const perRound = (reports: readonly BreakerReport[], field: "passed" | "succeeded" | "opened", rounds: number): number[] =>
    Array.from({ length: rounds }, (_, round) => reports.reduce((sum, report) => sum + (report[field][round] ?? 0), 0));

  it("exactly so many trials pass, whoever races for them", async () => {
    const buffer = BreakerTable.allocate(THREADS + 1, 1);
    const admin = new BreakerAdmin(buffer);
    const won: boolean[] = [];
    const reports = await race(Array(THREADS).fill("race"), {
      buffer,
      rounds: 300,
      tries: 200,
      prepare: () => open(admin, 7),
      after: () => won.push(admin.isWon(0)),
    });
    expect(new Set(perRound(reports, "passed", 300))).toEqual(new Set([7]));
    expect(won).toEqual(Array(300).fill(true));
    // The test means something only if several threads got some.
    expect(reports.filter((report) => report.passed.some((count) => count > 0)).length).toBeGreaterThan(1);
  });

  it("trials that are given back are taken again, and exactly so many succeed", async () => {
    const buffer = BreakerTable.allocate(THREADS + 1, 1);
    const admin = new BreakerAdmin(buffer);
    const reports = await race(Array(THREADS).fill("untidy"), { buffer, rounds: 100, tries: 2000, prepare: () => open(admin, 7) });
    expect(new Set(perRound(reports, "succeeded", 100))).toEqual(new Set([7]));
    expect(perRound(reports, "passed", 100).reduce((a, b) => a + b)).toBeGreaterThan(700);
  });

  it("what a dead thread held is free again, to the last one", async () => {
    const buffer = BreakerTable.allocate(THREADS + 1, 1);
    const admin = new BreakerAdmin(buffer);
    const left: number[] = [];
    await race(["die", "die", "untidy", "untidy"], {
      buffer,
      rounds: 100,
      tries: 500,
      prepare: () => open(admin, 50),
      after: () => {
        for (let i = 0; i < 2; i++) admin.clearWorker(i);
        const { taken, succeeded } = admin.read(0).round;
        left.push(taken - succeeded);
      },
    });
    expect(left).toEqual(Array(100).fill(0));
  });

  it("opens once for all, and nobody passes any more", async () => {
    const buffer = BreakerTable.allocate(THREADS + 1, 1);
    const admin = new BreakerAdmin(buffer);
    const reports = await race(Array(THREADS).fill("fail"), {
      buffer,
      rounds: 200,
      tries: 500,
      prepare: () => admin.force(0, PHASE.closed, 1),
      after: () => expect(admin.phase(0)).toBe(PHASE.open),
    });
    expect(new Set(perRound(reports, "opened", 200))).toEqual(new Set([1]));
    expect(reports.map((report) => report.passedAfterRefusal)).toEqual(Array(THREADS).fill(0));
    for (const passed of perRound(reports, "passed", 200)) {
      expect(passed).toBeGreaterThanOrEqual(50);
      // Those that had passed when it opened: one a thread.
      expect(passed).toBeLessThan(50 + THREADS);
    }
  });

  it("loses no count", async () => {
    const buffer = BreakerTable.allocate(THREADS + 1, 1);
    const admin = new BreakerAdmin(buffer);
    await race(Array(THREADS).fill("count"), { buffer, rounds: 1, tries: 50_000, prepare: () => {} });
    expect(admin.counts(0, breakerRules().windowMs, 1e6)).toEqual({ total: THREADS * 50_000, failed: 0, slow: 0 });
  });
});
