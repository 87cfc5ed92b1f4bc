// Runs one case: starts its contenders, makes sure that each answers rightly, warms them up, measures in interleaved rounds.
// Whoever cannot take part is in the result with the reason: nothing is left out silently.
import { rotated } from "../measure/statistics.ts";
import type { Peer, PeerKind } from "../peers/peer.ts";
import { howToInstall, isInstalled } from "../peers/programs.ts";
import type { RunningStage } from "../peers/stage.ts";
import type { Case, Contender, Sample } from "./case.ts";
import { type Driver, driverOf } from "./driver.ts";

/** One contender in the result. */
export interface ContenderResult {
  readonly label: string;
  readonly peer: string;
  readonly baseline: string;
  /** Why it was not measured; null when it was. */
  readonly reason: string | null;
  readonly configuration: string;
}

export interface CaseRun {
  readonly contenders: readonly ContenderResult[];
  readonly samples: readonly Sample[];
}

export interface RunOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly peers: readonly PeerKind[];
  readonly stage: RunningStage;
  readonly say: (text: string) => void;
  /** Asked after each round: more of them would say no more. */
  readonly settled?: (samples: readonly Sample[]) => boolean;
}

/** A contender that is up. */
export interface Running {
  readonly contender: Contender;
  readonly kind: PeerKind;
  readonly peer: Peer;
}

export async function runCase(wanted: Case, options: RunOptions): Promise<CaseRun> {
  const driver = driverOf(wanted.load, options);
  const running: Running[] = [];
  const contenders: ContenderResult[] = [];
  const samples: Sample[] = [];
  try {
    for (const contender of wanted.contenders) {
      const started = await tryStart(contender, driver, options);
      const failed = typeof started === "string";
      if (failed) options.say(`  ${contender.label}: not run; ${started}`);
      else running.push(started);
      const { label, peer, baseline } = contender;
      contenders.push({
        label,
        peer,
        baseline,
        reason: failed ? started : null,
        configuration: failed ? "" : started.peer.configuration.replaceAll(options.stage.directory, "RUN"),
      });
    }
    for (const each of running) await driver.warmUp(each);
    for (let round = 0; round < options.rounds && options.settled?.(samples) !== true; round++) {
      for (const each of rotated(running, round)) {
        samples.push({ label: each.contender.label, round, values: await driver.measure(each) });
      }
    }
  } finally {
    await Promise.all(running.map(({ peer }) => peer.stop()));
  }
  return { contenders, samples };
}

/** @returns the server, answering as it should, or why there is none. */
async function tryStart(contender: Contender, driver: Driver, options: RunOptions): Promise<Running | string> {
  const kind = options.peers.find((each) => each.name === contender.peer);
  if (kind === undefined) return "left out of this run by --peers";
  const refused = kind.refuses(contender.setup);
  if (refused !== null) return refused;
  const missing = kind.needs.filter((program) => !isInstalled(program));
  if (missing.length > 0) return `not installed; ${howToInstall(missing)}`;
  try {
    const running = { contender, kind, peer: await kind.start(await options.stage.for(contender.setup), contender.setup) };
    const wrong = await driver.check(running);
    if (wrong === null) return running;
    await running.peer.stop();
    return `it does not answer as it should: ${wrong}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
