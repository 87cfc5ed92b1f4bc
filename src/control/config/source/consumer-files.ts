// Owns the consumers that stand in a directory (`consumersFrom.directory`): lays them behind those of the file, in the located tree, before anything else
// looks at it. So positions, secrets and checks are the same wherever a consumer stands. Must never read other files than `*.yaml`.
import { isAbsolute, join } from "node:path";
import { decodeUtf8 } from "../../../base/utf8.ts";
import { notTextProblem, readConsumers } from "./document.ts";
import type { ConfigFiles } from "./files.ts";
import type { Env } from "./interpolate.ts";
import { type Located, type LocatedList, type LocatedMap, nodeAt } from "./located.ts";
import { addAll, type ConfigProblem, type Position } from "./problem.ts";

/** Files in the directory; more consumers go into one file. */
const CONSUMER_FILES_MAX = 10_000;
const PLACE = ["consumersFrom", "directory"];

export interface GatheredConsumers {
  readonly root: LocatedMap;
  readonly problems: readonly ConfigProblem[];
  readonly unread: readonly Position[];
  /** The files read, as messages name them. */
  readonly names: readonly string[];
}

export function withConsumerFiles(root: LocatedMap, files: ConfigFiles, env: Env): GatheredConsumers {
  const node = nodeAt(root, PLACE);
  if (node?.kind !== "scalar" || typeof node.value !== "string" || node.value === "") return { root, problems: [], unread: [], names: [] };
  const directory = node.value;
  const refuse = (message: string, remedy: string): GatheredConsumers => ({
    root,
    problems: [{ at: node.at, path: PLACE.join("."), message, remedy }],
    unread: [],
    names: [],
  });
  const listed = files.list(files.resolve(node.at.file, directory));
  if (listed instanceof Error) return refuse(`can't read ${directory}: ${listed.message}`, "paths are relative to the configuration file");
  if (listed.length > CONSUMER_FILES_MAX)
    return refuse(`there are more than ${CONSUMER_FILES_MAX} files in ${directory}`, "put several consumers into one file");
  // Positions name the files as the user would: beside the configuration file as it was given.
  const names = listed.map((name) => (isAbsolute(directory) ? join(directory, name) : join(node.at.file, "..", directory, name)));
  const problems: ConfigProblem[] = [];
  const unread: Position[] = [];
  const found: Located[] = [];
  for (const file of names) {
    const content = files.read(files.resolve(`${process.cwd()}/.`, file));
    if (content instanceof Error) {
      problems.push({
        at: { file, line: 1, column: 1 },
        path: "",
        message: `can't read the consumers: ${content.message}`,
        remedy: "mend the file, or remove it",
      });
      continue;
    }
    const text = decodeUtf8(content);
    if (typeof text !== "string") {
      problems.push(notTextProblem(file, text));
      continue;
    }
    const read = readConsumers({ file, text }, env);
    addAll(problems, read.problems);
    addAll(unread, read.unread);
    if (read.root !== null) addAll(found, read.root.kind === "list" ? read.root.items : [read.root]);
  }
  return { root: append(root, found, node.at), problems, unread, names };
}

/** A `consumers` that is no list is the schema's to refuse. */
function append(root: LocatedMap, found: readonly Located[], at: Position): LocatedMap {
  const entry = root.entries.get("consumers");
  if (found.length === 0 || (entry !== undefined && entry.node.kind !== "list")) return root;
  const before = entry?.node.kind === "list" ? entry.node.items : [];
  const node: LocatedList = { kind: "list", at: entry?.node.at ?? at, items: [...before, ...found] };
  return { ...root, entries: new Map(root.entries).set("consumers", { keyAt: entry?.keyAt ?? at, node }) };
}
