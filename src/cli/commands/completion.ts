// Owns `sluice completion`: the scripts with which shells complete commands, options and files. Made from the table of help, so that they know what it knows.
import { readArguments } from "../arguments.ts";
import type { CommandIo } from "../command.ts";
import { HELP, type OptionHelp } from "./help.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** @returns 0. @throws OperatorError for another shell */
export async function completionCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const { word } = readArguments(argv, {
    command: "completion",
    options: {},
    positional: { known: SHELLS, otherwise: `expected one of ${SHELLS.join(", ")}` },
  });
  const scripts: Readonly<Record<string, () => string>> = { bash, zsh, fish };
  io.stdout(scripts[word]?.() ?? "");
  return 0;
}

/** `-c, --config FILE` -> `["-c", "--config"]` */
const flags = ({ form }: OptionHelp): string[] => form.split(", ").map((each) => each.split(" ")[0] ?? "");

const commands = (): string[] => Object.keys(HELP);
const wordsOf = (command: string): string[] => (HELP[command]?.words ?? []).map(({ form }) => form);
const offers = (command: string): string[] => [...wordsOf(command), ...(HELP[command]?.options ?? []).flatMap(flags), "--help"];
/** Behind these a file follows; some commands take it without one. */
const takesFiles = (command: string): boolean => (HELP[command]?.options ?? []).some((option) => flags(option).includes("--config"));

function bash(): string {
  const cases = commands().map(
    (command) =>
      `    ${command}) COMPREPLY=($(compgen -W '${offers(command).join(" ")}' -- "$word")${takesFiles(command) ? ` $(compgen -f -- "$word")` : ""}) ;;`,
  );
  return `_sluice() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W '${commands().join(" ")}' -- "$word")); return; fi
  if [ "$before" = -c ] || [ "$before" = --config ]; then COMPREPLY=($(compgen -f -- "$word")); return; fi
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
  esac
}
complete -o filenames -F _sluice sluice
`;
}

function zsh(): string {
  const cases = commands().map(
    (command) => `    ${command}) compadd -- ${offers(command).join(" ")}${takesFiles(command) ? "; _files" : ""} ;;`,
  );
  return `_sluice() {
  if (( CURRENT == 2 )); then compadd -- ${commands().join(" ")}; return; fi
  if [[ \${words[CURRENT-1]} == (-c|--config) ]]; then _files; return; fi
  case \${words[2]} in
${cases.join("\n")}
  esac
}
compdef _sluice sluice
`;
}

function fish(): string {
  const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = commands().flatMap((command) => {
    const behind = `complete -c sluice -n '__fish_seen_subcommand_from ${command}'`;
    const { summary, words = [], options } = HELP[command] ?? { summary: "", options: [] };
    return [
      `complete -c sluice -n __fish_use_subcommand -f -a ${command} -d ${quoted(summary)}`,
      ...words.map(({ form, text }) => `${behind} -f -a ${form} -d ${quoted(text)}`),
      ...options.map((option) => {
        const [long = "", short] = flags(option).reverse();
        const letter = short === undefined ? "" : ` -s ${short.slice(1)}`;
        const value = option.form.includes(" ", option.form.indexOf("--")) ? ` -r${long === "--config" ? "F" : ""}` : "";
        return `${behind}${letter} -l ${long.slice(2)}${value} -d ${quoted(option.text)}`;
      }),
    ];
  });
  return `${lines.join("\n")}\n`;
}
