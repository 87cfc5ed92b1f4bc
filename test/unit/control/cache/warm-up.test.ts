// When what is asked for ahead of clients is asked for, how much at once, and what is said of it.
import { expect, test } from "vitest";
import { WarmUp } from "../../../../src/control/cache/warm-up.ts";
import { createLog } from "../../../../src/observe/log.ts";
import type { Plan } from "../../../../src/plan/plan.ts";
import type { WarmOutcome, WarmPlan, WarmRequest } from "../../../../src/plan/warm-plan.ts";
import { until } from "../../../support/until.ts";

const STORED: WarmOutcome = { result: "stored", reason: "" };

const list = (count: number, prefix = "a", concurrency = 3): WarmPlan => ({
  concurrency,
  requests: Array.from(
    { length: count },
    (_, i): WarmRequest => ({
      url: `http://x/${prefix}${i}`,
      scheme: "http",
      authority: "x",
      path: `/${prefix}${i}`,
      query: "",
      headers: ["user-agent", "w", "accept-encoding", "br"],
    }),
  ),
});

const planWith = (warm: WarmPlan | null): Pick<Plan, "cache"> => ({ cache: { warm } }) as unknown as Plan; // nothing else is read

function rig() {
  const lines: { message: string; url?: string; reason?: string }[] = [];
  const log = createLog({ output: { write: (text) => lines.push(JSON.parse(text)) } });
  const open: { request: WarmRequest; answer(outcome: WarmOutcome): void }[] = [];
  const asked: string[] = [];
  const warmUp = new WarmUp({
    log,
    ask: (request) => {
      asked.push(request.url);
      return new Promise((resolve) => {
        const one = {
          request,
          answer: (outcome: WarmOutcome) => {
            open.splice(open.indexOf(one), 1);
            resolve(outcome);
          },
        };
        open.push(one);
      });
    },
  });
  const said = (message: string) => lines.filter((line) => line.message === message);
  /** Answers all that comes until a run is over. */
  const finish = async (outcome = STORED): Promise<void> => {
    await until("the run is over", () => {
      for (const each of [...open]) each.answer(outcome);
      return warmUp.state()?.running === false;
    });
  };
  return { warmUp, open, asked, said, finish };
}

test("nothing is asked before the instance serves, and never more at once than is allowed", async () => {
  const { warmUp, open, asked, said, finish } = rig();
  warmUp.follow(planWith(list(10)));
  expect([asked.length, warmUp.state(), warmUp.order()]).toEqual([0, null, null]);
  warmUp.ready();
  expect(open).toHaveLength(3);
  open[1]?.answer(STORED);
  await until("the next is asked", () => asked.length === 4);
  expect(open).toHaveLength(3);
  await finish();
  expect(new Set(asked).size).toBe(10);
  expect(warmUp.state()).toMatchObject({ running: false, cause: "start", requests: 10, done: 10, stored: 10, failed: 0 });
  expect(said("warm-up is over")).toMatchObject([{ cause: "start", stored: 10, present: 0, failed: 0 }]);
});

test("a plan with the same list begins nothing, one with another ends what runs and begins anew", async () => {
  const { warmUp, open, asked, said, finish } = rig();
  warmUp.follow(planWith(list(10)));
  warmUp.ready();
  warmUp.follow(planWith(list(10)));
  expect(asked).toHaveLength(3);
  warmUp.follow(planWith(list(2, "b")));
  expect(asked.slice(3)).toEqual(["http://x/b0", "http://x/b1"]);
  expect(open).toHaveLength(5);
  await finish();
  expect(asked).toHaveLength(5); // the first list ends with what was under way
  await until("the first run says so", () => said("warm-up ended early").length === 1);
  expect(warmUp.state()).toMatchObject({ cause: "reload", requests: 2, done: 2 });
  warmUp.follow(planWith(null));
  expect(warmUp.order()).toBeNull();
});

test("an order begins a run, and waits for one that is under way", async () => {
  const { warmUp, asked, finish } = rig();
  warmUp.follow(planWith(list(2)));
  warmUp.ready();
  expect(warmUp.order()).toMatchObject({ running: true, cause: "start" });
  expect(asked).toHaveLength(2);
  await finish();
  expect(warmUp.order()).toMatchObject({ running: true, cause: "order", done: 0 });
  await finish({ result: "present", reason: "" });
  expect(warmUp.state()).toMatchObject({ present: 2, stored: 0 });
  warmUp.stop();
  warmUp.order();
  expect(asked).toHaveLength(4);
});

test("each failure is said once with its reason, at most a hundred of them, and the rest is counted", async () => {
  const { warmUp, said, finish } = rig();
  warmUp.follow(planWith(list(250)));
  warmUp.ready();
  await finish({ result: "failed", reason: "503 overloaded" });
  expect(warmUp.state()).toMatchObject({ failed: 250, stored: 0 });
  expect(warmUp.state()?.failures).toHaveLength(100);
  expect(warmUp.state()?.failures[0]).toEqual({ url: "http://x/a0", headers: ["accept-encoding", "br"], reason: "503 overloaded" });
  const told = said("a URL of cache.warm is not stored");
  expect(told[0]).toMatchObject({ url: "http://x/a0", reason: "503 overloaded" });
  expect(new Set(told.map(({ url }) => url)).size).toBe(100);
  expect(said("further URLs of cache.warm that are not stored are only counted")).toHaveLength(1);
});
