// Owns the command line of `npm run native-bench`.
import { parseArgs } from "node:util";

export interface BenchOptions {
  /** Empty: all. */
  readonly cases: readonly string[];
  /** Empty: all. */
  readonly peers: readonly string[];
  /** null: as each case says. */
  readonly rounds: number | null;
  readonly seconds: number;
  /** Results to add to; null: a new file. */
  readonly into: string | null;
  /** Only write the reports of these results anew. */
  readonly render: string | null;
  readonly out: string | null;
  readonly install: boolean;
  readonly list: boolean;
  readonly help: boolean;
}

export const USAGE = `usage: npm run native-bench [-- OPTIONS]

  --case NAME,...    only these cases (--list names them)
  --peers NAME,...   only these servers, beside the one each case compares with
  --rounds N         rounds of each case, 1 to 50 (default: as the case says)
  --seconds S        seconds of a round, 1 to 60 (default: 2)
  --into FILE        add the cases to these results, in place of what they had of them
  --out FILE         write results here instead of native-bench/results/DATE-COMMIT.json
  --render FILE      write the reports of these results anew; measures nothing
  --no-install       install nothing, even as root
  --list             name cases and servers
`;

const SECONDS = 2;

/** @throws Error that says what is wrong with the arguments. */
export function parseOptions(
  argv: readonly string[],
  known: { readonly cases: readonly string[]; readonly peers: readonly string[] },
): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    strict: true,
    options: {
      case: { type: "string", multiple: true },
      peers: { type: "string", multiple: true },
      rounds: { type: "string" },
      seconds: { type: "string" },
      into: { type: "string" },
      out: { type: "string" },
      render: { type: "string" },
      "no-install": { type: "boolean" },
      list: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  return {
    cases: names("--case", values.case, known.cases),
    peers: names("--peers", values.peers, known.peers),
    rounds: values.rounds === undefined ? null : whole("--rounds", values.rounds, 50),
    seconds: values.seconds === undefined ? SECONDS : whole("--seconds", values.seconds, 60),
    into: values.into ?? null,
    out: values.out ?? null,
    render: values.render ?? null,
    install: values["no-install"] !== true,
    list: values.list === true,
    help: values.help === true,
  };
}

function names(option: string, given: readonly string[] | undefined, known: readonly string[]): readonly string[] {
  const list = (given ?? []).flatMap((each) => each.split(",")).filter((name) => name !== "");
  for (const name of list) if (!known.includes(name)) throw new Error(`${option}: there is no ${name}; there are ${known.join(", ")}`);
  return list;
}

function whole(option: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new Error(`${option}: expected a whole number from 1 to ${max}, not ${text}`);
  return value;
}
