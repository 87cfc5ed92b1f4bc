import { expect, test } from "vitest";
import { Reloader, type ReloadResult } from "../../../../src/control/plan/reload.ts";

/** A reload that ends when told. */
function controlled() {
  const runs: { reasons: readonly string[]; finish: (version: number) => void }[] = [];
  const reloader = new Reloader(
    (reasons) =>
      new Promise<ReloadResult>((resolve) => {
        runs.push({ reasons, finish: (version) => resolve({ ok: true, version, changes: [], warnings: [] }) });
      }),
  );
  return { runs, reloader };
}

test("one at a time; requests that come meanwhile share the next", async () => {
  const { runs, reloader } = controlled();
  const first = reloader.request("signal");
  const second = reloader.request("file");
  const third = reloader.request("admin");
  const fourth = reloader.request("file");
  expect(runs.map((run) => run.reasons)).toEqual([["signal"]]);
  runs[0]?.finish(2);
  expect(await first).toMatchObject({ version: 2 });
  expect(runs.map((run) => run.reasons)).toEqual([["signal"], ["file", "admin"]]);
  runs[1]?.finish(3);
  expect(await Promise.all([second, third, fourth])).toMatchObject([{ version: 3 }, { version: 3 }, { version: 3 }]);
  const fifth = reloader.request("signal");
  runs[2]?.finish(4);
  expect(await fifth).toMatchObject({ version: 4 });
});

test("after stop() nothing is reloaded any more", async () => {
  const { runs, reloader } = controlled();
  const first = reloader.request("signal");
  const second = reloader.request("signal");
  const stopped = reloader.stop();
  runs[0]?.finish(2);
  await stopped;
  expect(await first).toMatchObject({ ok: true });
  expect(await second).toMatchObject({ ok: false });
  expect(await reloader.request("signal")).toMatchObject({ ok: false });
  expect(runs).toHaveLength(1);
});
