// Owns what every command and option means, for --help and for completion. Loaded only when somebody asks: start-up time counts.

import { DEFAULT_CONFIG } from "../arguments.ts";
import { BENCH_BOUNDS } from "../bench/bench-arguments.ts";

/** Widest line of help. */
export const HELP_COLUMNS = 100;

export interface OptionHelp {
  /** `--rate R`; a short form first: `-c, --config FILE`. */
  readonly form: string;
  readonly text: string;
}

export interface CommandHelp {
  /** Without `sluice`. */
  readonly usage: string;
  readonly summary: string;
  /** What an argument that is no option is. */
  readonly words?: readonly { readonly form: string; readonly text: string }[];
  readonly options: readonly OptionHelp[];
  /** Further sentences. */
  readonly notes?: readonly string[];
}

const CONFIG: OptionHelp = {
  form: "-c, --config FILE",
  text: `The configuration (default ${DEFAULT_CONFIG}). Several are laid over each other in their order; a FILE without -c is the same. A pipe is read once, - is standard input: at most 16 MiB, within 10 s.`,
};
const ADMIN: readonly OptionHelp[] = [
  {
    form: "--admin URL",
    text: "The admin listener, http://host:port, instead of the one in the configuration, which is then not read. Its token stands in the environment variable SLUICE_ADMIN_TOKEN.",
  },
  { form: "--json", text: "The answer as JSON." },
];
const ADMIN_NOTE =
  "Without --admin the configuration says where the admin listener is, and its token. If it has none, or cannot be loaded, the control socket in the run directory (SLUICE_RUN_DIR) is used, as long as one gateway runs there.";

export const HELP: Readonly<Record<string, CommandHelp>> = {
  start: {
    usage: "start [-c FILE]... [--takeover] [--no-supervisor]",
    summary: "run the gateway; SIGHUP or a changed file reloads, SIGTERM drains",
    options: [
      CONFIG,
      {
        form: "--takeover",
        text: "Listen beside a gateway that holds the same addresses, then have it drain: an upgrade without a refused connection.",
      },
      {
        form: "--no-supervisor",
        text: "One process, which nobody starts again when it dies: for service managers and containers that do that.",
      },
    ],
    notes: [
      "Signals: SIGHUP reloads, SIGUSR2 opens the access log anew, SIGTERM and SIGINT drain, a second one stops at once. A configuration that came through a pipe cannot be read again.",
    ],
  },
  validate: {
    usage: "validate [-c FILE]... [--json] [--sources]",
    summary: "check a configuration: every error at once, with file:line:column",
    options: [
      CONFIG,
      { form: "--json", text: "The result as JSON: valid, errors, warnings, listeners, counts." },
      { form: "--sources", text: "Where each setting of each route comes from: defaults, a policy set, the route; with file and line." },
    ],
    notes: ["Exit status 0: it may be started; 1: it has errors."],
  },
  routes: {
    usage: "routes [-c FILE]...",
    summary: "print the compiled route table, in match order",
    options: [CONFIG],
  },
  status: {
    usage: "status [-c FILE]... [--admin URL] [--json]",
    summary: "ask a running gateway how it is",
    options: [CONFIG, ...ADMIN],
    notes: [ADMIN_NOTE, "Exit status 0: it serves; 1: it does not, or does not answer."],
  },
  reload: {
    usage: "reload [-c FILE]... [--admin URL] [--json]",
    summary: "have a running gateway read its configuration again, and print what came of it",
    options: [CONFIG, ...ADMIN],
    notes: [ADMIN_NOTE, "Exit status 0: the new configuration is in force; 1: it was refused, the old one stays."],
  },
  drain: {
    usage: "drain [-c FILE]... [--admin URL] [--json]",
    summary: "have a running gateway finish what is under way and end",
    options: [CONFIG, ...ADMIN],
    notes: [ADMIN_NOTE],
  },
  cache: {
    usage: "cache purge/show/warm [--url URL]... [--prefix URL]... [--tag TAG]... [--everything] [--soft]",
    summary: "purge stored responses of a running gateway and its fleet, show what is stored, or have it store what `cache.warm` names",
    words: [
      { form: "purge", text: "Remove what --url, --prefix, --tag or --everything name." },
      { form: "show", text: "What the store holds; with --url what of this URL, and why the last response was not stored." },
      { form: "warm", text: "Ask for the URLs of `cache.warm` now; `show` has what comes of it." },
    ],
    options: [
      { form: "--url URL", text: "This URL as clients write it, query included: all variants, for all callers; several." },
      { form: "--prefix URL", text: "Every URL that begins so; several." },
      { form: "--tag TAG", text: "Every response whose Cache-Tag or Surrogate-Key has this tag; several." },
      { form: "--everything", text: "All that is stored." },
      { form: "--soft", text: "Stale from now on instead of gone: still served where a stale response may be, and validated." },
      CONFIG,
      ...ADMIN,
    ],
    notes: [
      ADMIN_NOTE,
      "Exit status 0: it is purged, and the fleet knows; 1: it is purged here, and the fleet will be told when Redis answers again.",
    ],
  },
  key: {
    usage: "key create/hash [--consumer ID [--redis PREFIX]] [--pepper file:PATH]",
    summary: "make an API key and its hash, or hash one from standard input",
    words: [
      { form: "create", text: "Print a new key, this once, and its hash for the configuration." },
      { form: "hash", text: "Print the hash of the key on standard input." },
    ],
    options: [
      { form: "--consumer ID", text: "Whose key it is, with create." },
      {
        form: "--redis PREFIX",
        text: "Print the command that puts the consumer into Redis, too. PREFIX as in the section `redis` of the configuration.",
      },
      { form: "--pepper file:PATH", text: "The secret that goes into each hash, as in the configuration." },
    ],
  },
  password: {
    usage: "password hash [--scrypt]",
    summary: "hash a password from standard input, for `basic`",
    words: [{ form: "hash", text: "Print the hash of the password on standard input." }],
    options: [{ form: "--scrypt", text: "With scrypt instead of Argon2id." }],
  },
  policy: {
    usage: "policy new NAME [--directory DIR] / policy test FILE...",
    summary: "write a policy of your own with its test, or run such tests",
    words: [
      { form: "new", text: "Write DIR/NAME.ts and its test DIR/NAME.test.yaml; files that are there stay as they are." },
      {
        form: "test",
        text: "Run the requests of each FILE through a gateway that has the policy, with an upstream that answers as the FILE says, and compare.",
      },
    ],
    options: [{ form: "--directory DIR", text: "Where new writes (default policies)." }],
    notes: ["docs/policies.md explains policies and the form of a test. Exit status of test: 0 all is as expected; 1: something is not."],
  },
  bench: {
    usage: "bench [-c FILE]... [--url PATH]... [--rate R] [--connections N] [--duration S] [--json]",
    summary: "drive the routes of a configuration and measure latency by route, and CPU time",
    options: [
      CONFIG,
      {
        form: "--url [METHOD ]URL",
        text: "A path, or a URL whose host becomes the Host header; several. Without it: one request a route that can be guessed.",
      },
      {
        form: "--rate R",
        text: `Requests a second at fixed times (open loop), at most ${BENCH_BOUNDS.rate}; without it as many as are answered (closed loop).`,
      },
      { form: "--connections N", text: `1 to ${BENCH_BOUNDS.connections}, default ${BENCH_BOUNDS.connectionsDefault}.` },
      { form: "--duration S", text: `Seconds, 1 to ${BENCH_BOUNDS.durationSeconds}, default ${BENCH_BOUNDS.durationSecondsDefault}.` },
      { form: "--header NAME:VALUE", text: "On every request; several." },
      { form: "--body TEXT", text: "Of every request whose method takes one." },
      { form: "--target URL", text: "Drive a gateway that runs already, instead of starting one." },
      { form: "--pid PID", text: "Its process, to measure its CPU time." },
      { form: "--allow-remote", text: "Let the load leave this machine." },
      { form: "--json", text: "The result as JSON." },
    ],
  },
  demo: {
    usage: "demo [--port N] [--admin-port N]",
    summary: "a gateway with built-in upstreams, and the curl lines to try",
    options: [
      { form: "--port N", text: "Where the gateway listens (default 8080); 0 picks a free port." },
      { form: "--admin-port N", text: "Where its admin listener does (default 9901); 0 picks a free port." },
    ],
  },
  completion: {
    usage: "completion bash/zsh/fish",
    summary: "print what a shell needs to complete commands and options",
    words: [
      { form: "bash", text: 'eval "$(sluice completion bash)" in ~/.bashrc' },
      { form: "zsh", text: 'eval "$(sluice completion zsh)" in ~/.zshrc, behind compinit' },
      { form: "fish", text: "sluice completion fish | source, in config.fish" },
    ],
    options: [],
  },
};

/** @returns the help of one command, with every option, in lines of at most {@link HELP_COLUMNS} characters */
export function commandHelp(name: string): string {
  const { usage, summary, words = [], options, notes = [] } = HELP[name] ?? { usage: name, summary: "", options: [] };
  const lists = [words, [...options, { form: "-h, --help", text: "This text." }]].filter((list) => list.length > 0);
  const paragraphs = [
    wrap(`usage: sluice ${usage}`, "         "),
    wrap(summary),
    ...lists.map(entries),
    ...notes.map((note) => wrap(note)),
  ];
  return `${paragraphs.join("\n\n")}\n`;
}

/** @returns all commands */
export function overview(): string {
  const list = Object.values(HELP).map(({ usage, summary }) => `  ${usage}\n${wrap(summary, INDENT, INDENT)}`);
  return `usage: sluice COMMAND ...\n\n${list.join("\n")}\n\n  --version\n  COMMAND --help explains its arguments\n`;
}

const INDENT = "      ";

function entries(list: readonly OptionHelp[]): string {
  const width = Math.max(...list.map(({ form }) => form.length));
  const indent = " ".repeat(width + 4);
  return list.map(({ form, text }) => wrap(text, indent, `  ${form.padEnd(width)}  `)).join("\n");
}

/** Words in lines. @param indent of all but the first */
function wrap(text: string, indent = "", first = ""): string {
  const lines: string[] = [];
  let line = first;
  for (const word of text.split(" ")) {
    const blank = line === first || line === indent ? "" : " ";
    if (line.length + blank.length + word.length > HELP_COLUMNS && blank !== "") {
      lines.push(line);
      line = indent + word;
    } else line += blank + word;
  }
  return [...lines, line].join("\n");
}
