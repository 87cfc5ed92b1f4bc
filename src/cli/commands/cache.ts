// Owns `sluice cache`: what operators ask of the store of responses of a running gateway through its admin interface, and how the answers read.
import { CONFIG_OPTIONS, readArguments, wrongUsage } from "../arguments.ts";
import type { Command, CommandIo } from "../command.ts";
import { askAdmin, type Door, findDoor, refusedBy } from "./admin-door.ts";

export const OPTIONS = {
  ...CONFIG_OPTIONS,
  admin: { type: "string" },
  json: { type: "boolean" },
  url: { type: "string", multiple: true },
  prefix: { type: "string", multiple: true },
  tag: { type: "string", multiple: true },
  everything: { type: "boolean" },
  soft: { type: "boolean" },
} as const;

const WORDS = ["purge", "show", "warm"] as const;

/** @returns 0; 1 when a fleet is still to be told of a purge. @throws OperatorError for wrong arguments, when nobody answers, and for what is refused */
export const cacheCommand: Command = async (argv, io) => {
  const { values, files, word } = readArguments(argv, {
    command: "cache",
    options: OPTIONS,
    positional: { known: WORDS, otherwise: `expected one of ${WORDS.join(", ")}` },
  });
  const { url = [], prefix = [], tag = [], everything = false, soft = false, json = false } = values;
  const isNamed = url.length + prefix.length + tag.length > 0 || everything;
  if (word === "purge" && !isNamed) throw wrongUsage("cache", "purge needs --url, --prefix, --tag or --everything: what is to go");
  if (word === "show" && (prefix.length + tag.length > 0 || everything || soft || url.length > 1))
    throw wrongUsage("cache", "show takes one --url, or nothing");
  if (word === "warm" && (isNamed || soft)) throw wrongUsage("cache", "warm takes no URLs: they are those of `cache.warm`");
  const door = await findDoor("cache", { files, admin: values.admin }, io);
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries({ url, prefix, tag })) for (const value of values) query.append(name, value);
  for (const [name, wanted] of Object.entries({ everything, soft })) if (wanted) query.append(name, "true");
  if (word === "warm") return await warm(door, { io, json });
  return word === "purge" ? await purge(door, query, { io, json }) : await show(door, query, { io, json });
};

interface Saying {
  readonly io: CommandIo;
  readonly json: boolean;
}

async function purge(door: Door, query: URLSearchParams, { io, json }: Saying): Promise<number> {
  const reply = await askAdmin(door, "POST", `/cache/purge?${query}`);
  if (reply.status !== 200 && reply.status !== 202) throw refusedBy(door, reply);
  const done = reply.body as PurgeReply;
  io.stdout(json ? asJson(done) : purgedText(done));
  if (reply.status === 200) return 0;
  io.stderr(
    `the other instances are not told yet, as Redis does not answer (${done.fleet?.trouble ?? "no reason"}): they will be when it does\n`,
  );
  return 1;
}

/** It goes on by itself. */
async function warm(door: Door, { io, json }: Saying): Promise<number> {
  const reply = await askAdmin(door, "POST", "/cache/warm");
  if (reply.status !== 202) throw refusedBy(door, reply);
  const state = reply.body as WarmReply;
  io.stdout(json ? asJson(state) : `${warmText(state)}what comes of it: \`sluice cache show\`\n`);
  return 0;
}

async function show(door: Door, query: URLSearchParams, { io, json }: Saying): Promise<number> {
  const reply = await askAdmin(door, "GET", query.size === 0 ? "/cache" : `/cache?${query}`);
  if (reply.status !== 200) throw refusedBy(door, reply);
  if (json) io.stdout(asJson(reply.body));
  else if (query.size === 0) io.stdout(summaryText(reply.body as SummaryReply));
  else io.stdout(lookText(reply.body as LookReply));
  return 0;
}

const asJson = (body: unknown): string => `${JSON.stringify(body, null, 2)}\n`;

// What follows are parts of the admin interface's own answers, of this program's version or another's.

interface PurgeReply {
  readonly soft: boolean;
  readonly everything: boolean;
  readonly urls: readonly string[];
  readonly prefixes: readonly string[];
  readonly tags: readonly string[];
  readonly removed: number | null;
  readonly fleet: { readonly told: boolean; readonly trouble: string | null } | null;
}

function purgedText({ soft, everything, urls, prefixes, tags, removed, fleet }: PurgeReply): string {
  const what = [
    ...(everything ? ["everything"] : []),
    ...urls.map((url) => `url ${url}`),
    ...prefixes.map((prefix) => `prefix ${prefix}`),
    ...tags.map((tag) => `tag ${tag}`),
  ];
  const lines = what.map((each) => `purged${soft ? " softly" : ""}: ${each}`);
  if (removed !== null) lines.push(`${removed} ${removed === 1 ? "response" : "responses"} ${soft ? "made stale" : "removed"}`);
  if (fleet?.told === true) lines.push("the other instances of the fleet follow");
  return `${lines.join("\n")}\n`;
}

interface SummaryReply {
  readonly objects: number;
  readonly bytes: number;
  readonly capacityBytes: number;
  readonly stored: number;
  readonly evicted: number;
  /** Not said by older releases. */
  readonly warm?: WarmReply | null;
  readonly routes: readonly {
    readonly route: string;
    readonly responses: number;
    readonly bytes: number;
    /** Not said by older releases. */
    readonly limitBytes?: number | null;
    readonly occupiedBytes?: number | null;
    readonly evicted?: number | null;
  }[];
}

interface WarmReply {
  readonly running: boolean;
  readonly requests: number;
  readonly done: number;
  readonly stored: number;
  readonly present: number;
  readonly failed: number;
  readonly failures: readonly { readonly url: string; readonly reason: string }[];
}

function warmText({ running, requests, done, stored, present, failed, failures }: WarmReply): string {
  const lines = [
    `warm-up ${running ? "runs" : "is over"}: ${done} of ${requests} requests; ${stored} stored, ${present} were there, ${failed} failed`,
  ];
  for (const { url, reason } of failures) lines.push(`  ${url}: ${reason}`);
  return `${lines.join("\n")}\n`;
}

function summaryText({ objects, bytes, capacityBytes, stored, evicted, routes, warm }: SummaryReply): string {
  const lines = [`${objects} objects, ${bytes} of ${capacityBytes} bytes; since start ${stored} stored, ${evicted} evicted`];
  for (const { route, responses, bytes, limitBytes = null, occupiedBytes, evicted } of routes) {
    const share = limitBytes === null ? "" : `; ${occupiedBytes} of at most ${limitBytes} bytes occupied, ${evicted} evicted`;
    lines.push(`  ${route || "(routes that are gone)"}: ${responses} responses, ${bytes} bytes${share}`);
  }
  return `${lines.join("\n")}\n${warm == null ? "" : warmText(warm)}`;
}

interface LookReply {
  readonly url?: string;
  readonly stored: readonly {
    readonly url: string;
    readonly route: string;
    readonly status: number;
    readonly ageSeconds: number;
    readonly lifetimeSeconds: number;
    readonly stale: boolean;
    readonly bodyBytes: number;
    readonly vary: readonly string[];
  }[];
  readonly lastNotStored?: { readonly reason: string; readonly at: string } | null;
  /** For a URL without a scheme: one look for each. */
  readonly urls?: readonly LookReply[];
}

function lookText({ url, stored, lastNotStored, urls }: LookReply): string {
  if (urls !== undefined) return urls.map(lookText).join("");
  const lines = [`${url}: ${stored.length === 0 ? "nothing is stored" : `${stored.length} stored`}`];
  for (const each of stored) {
    const vary = each.vary.length === 0 ? "" : `, varies by ${each.vary.join(", ")}`;
    const state = each.stale ? "stale" : "fresh";
    lines.push(
      `  ${each.status}, ${each.bodyBytes} bytes, ${state}, age ${each.ageSeconds} of ${each.lifetimeSeconds} s, route ${each.route || "(gone)"}${vary}`,
    );
  }
  if (lastNotStored != null) lines.push(`  last not served from the store: ${lastNotStored.reason}, ${lastNotStored.at}`);
  return `${lines.join("\n")}\n`;
}
