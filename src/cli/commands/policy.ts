// Owns `sluice policy`: writes policies of the user's own, and runs their tests.
import { OperatorError } from "../../base/errors.ts";
import { readArguments, wrongUsage } from "../arguments.ts";
import type { CommandIo } from "../command.ts";
import { newPolicy } from "../policy/new-policy.ts";
import { runPolicyTest } from "../policy/run-policy-test.ts";

export const OPTIONS = { directory: { type: "string" } } as const;
const WORDS = { known: ["new", "test"], otherwise: "expected new NAME or test FILE", takesOperands: true } as const;

/** @returns 0, or 1 when something is not as a test expects. @throws OperatorError for wrong arguments and files */
export async function policyCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values, word, operands } = readArguments(argv, { command: "policy", options: OPTIONS, positional: WORDS });
  if (word === "new") {
    const [name] = operands;
    if (name === undefined || operands.length > 1) throw wrongUsage("policy", "new takes the name of one policy");
    io.stdout(newPolicy(name, values.directory ?? "policies"));
    return 0;
  }
  if (values.directory !== undefined) throw wrongUsage("policy", "--directory goes with new");
  if (operands.length === 0) throw wrongUsage("policy", "test takes the files of tests");
  // Ended by a signal, the exit handler of the gateway ends it.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  const entry = process.argv[1];
  if (entry === undefined) throw new OperatorError("this program does not know its own file");
  let failed = 0;
  for (const file of operands) failed += await runPolicyTest(file, { entry, io });
  return failed === 0 ? 0 : 1;
}
