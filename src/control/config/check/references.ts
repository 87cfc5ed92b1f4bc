// Owns the checks between sections that are not routes: names that must exist or be unique, addresses that exclude each other.
import { BREAKER_UPSTREAMS_MAX } from "../../../shared/breaker-layout.ts";
import { featureOf } from "../schema/features.ts";
import { areRelated } from "../schema/salvage.ts";
import type { NamedUpstream } from "../schema/schema.ts";
import type { Draft } from "../schema/sections.ts";
import { inUpstreamDefaults } from "../schema/upstream-defaults.ts";
import { isLoopback } from "../source/address.ts";
import { type LocatedMap, nodeAt, positionAt, writtenPath } from "../source/located.ts";
import { type ConfigProblem, formatPath, type PathPart, suggest } from "../source/problem.ts";
import { serviceUpstreams } from "./service-of.ts";

/** Says something about a path; it stands at the value's position, or at the nearest that exists. */
export type Report = (path: readonly PathPart[], message: string, remedy: string) => void;

/** Collects what the checks say: problems refuse the configuration, warnings do not. */
export class Findings {
  readonly problems: ConfigProblem[] = [];
  readonly warnings: ConfigProblem[] = [];
  /** Without what could not be read. */
  readonly root: LocatedMap;
  /** Whole. */
  readonly written: LocatedMap;
  readonly report: Report;
  readonly warn: Report;
  readonly #lost: readonly (readonly PathPart[])[];
  readonly #standsAt: Draft["standsAt"];
  /** Index of a listener -> what is wrong with the files of its certificates. */
  readonly listeners = new Map<number, ConfigProblem[]>();

  /** @param draft what was read of the tree, and what the tree lacks because it could not be read */
  constructor(root: LocatedMap, { lost, written, standsAt }: Pick<Draft, "lost" | "written" | "standsAt">) {
    this.root = root;
    this.written = written;
    this.#lost = lost;
    this.#standsAt = standsAt;
    this.report = this.#into(this.problems);
    this.warn = this.#into(this.warnings);
  }

  /** A start can do without this listener. @param index in the file */
  listener(index: number): Report {
    const problems = this.listeners.get(index) ?? [];
    return (path, message, remedy) => {
      this.#into(problems)(path, message, remedy);
      if (problems.length > 0) this.listeners.set(index, problems);
    };
  }

  #into(list: ConfigProblem[]): Report {
    return (path, message, remedy) => {
      if (!this.#follows(path)) list.push({ at: positionAt(this.root, path), path: this.format(path), message, remedy });
    };
  }

  /** A path of the tree as its author wrote it: what an upstream has from the defaults stands there. */
  format(path: readonly PathPart[]): string {
    return formatPath(this.#standsAt(writtenPath(this.root, inUpstreamDefaults(this.root, path) ?? path)));
  }

  /** The names that a section defines, also those of what could not be read. */
  namesIn(section: string): readonly string[] {
    const node = nodeAt(this.written, [section]);
    return node?.kind === "map" ? [...node.entries.keys()] : [];
  }

  /** The index of an item as its author counts. @param path that ends in it */
  indexOf(path: readonly PathPart[]): PathPart {
    return writtenPath(this.root, path).at(-1) ?? 0;
  }

  /** Whether anything at or below a path, or what holds it, could not be read: then nothing can be said of it. */
  isLost(path: readonly PathPart[]): boolean {
    if (this.#lost.length === 0) return false;
    const written = writtenPath(this.root, path);
    return this.#lost.some((lost) => areRelated(lost, written));
  }

  /** Whether a value of a route or an upstream stands in itself, not below it in defaults or sets, which serve others too. */
  isOwn(path: readonly PathPart[]): boolean {
    if (inUpstreamDefaults(this.root, path) !== null) return false;
    const [section] = this.#standsAt(writtenPath(this.root, path));
    return section === "routes" || section === "upstreams";
  }

  /** Whether what is said of a value may only follow from a key of it that could not be read. */
  #follows(path: readonly PathPart[]): boolean {
    if (this.#lost.length === 0) return false;
    const written = writtenPath(this.root, path);
    return this.#lost.some((lost) => areRelated(lost, written) && lost.length <= written.length + 1);
  }
}

export function checkReferences(draft: Draft, findings: Findings): void {
  checkAddresses(draft, findings);
  for (const upstream of draft.upstreams) {
    checkTargets(upstream, findings);
    checkProtocol(upstream, findings);
    checkHashing(upstream, findings.report);
  }
  checkBreakers(draft, findings.report);
  for (const name of draft.complete === null ? [] : unusedUpstreams(draft))
    findings.warn(["upstreams", name], "no route uses this upstream", "remove it, or send a route there");
}

function unusedUpstreams(draft: Draft): readonly string[] {
  const used = new Set<string | undefined>();
  for (const route of draft.routes) {
    for (const use of route.uses) for (const name of use.upstreams) used.add(name);
    for (const name of [route.to, route.mirror?.upstream, ...(route.weighted ?? []).map((part) => part.upstream)]) used.add(name);
    for (const { name, config } of route.policies) for (const use of featureOf(name).upstreams(config)) used.add(use.name);
  }
  for (const name of serviceUpstreams(draft)) used.add(name);
  for (const { breaker } of draft.upstreams) if (breaker?.fallback?.kind === "upstream") used.add(breaker.fallback.name);
  return draft.upstreamNames.filter((name) => !used.has(name));
}

function checkBreakers({ upstreams, upstreamNames }: Draft, report: Report): void {
  const having = upstreams.filter((upstream) => upstream.breaker !== undefined);
  for (const { name } of having.slice(BREAKER_UPSTREAMS_MAX))
    report(
      ["upstreams", name, "breaker"],
      `more than ${BREAKER_UPSTREAMS_MAX} upstreams have a breaker`,
      "use fewer upstreams with more targets",
    );
  for (const { name, breaker } of having) {
    if (breaker?.fallback?.kind !== "upstream") continue;
    const path = ["upstreams", name, "breaker", "fallback", "upstream"];
    const other = breaker.fallback.name;
    if (other === name) report(path, "an upstream cannot stand in for itself", "name another one");
    else if (!upstreamNames.includes(other))
      report(path, `there is no upstream named ${other}`, suggest(other, upstreamNames, "upstreams"));
  }
}

/** A shorter admin token can be guessed. */
const TOKEN_CHARS_MIN = 16;

function checkAddresses(draft: Draft, findings: Findings): void {
  const { root, report, warn } = findings;
  const seen = new Map<string, PathPart[]>();
  for (const [i, listener] of draft.listeners.entries()) {
    const path = ["listeners", i, "address"];
    const before = seen.get(listener.address);
    if (before !== undefined)
      report(path, `the address ${listener.address} is taken by ${findings.format(before)}`, "give each listener its own");
    else if (listener.port !== 0 || listener.unixPath !== null) seen.set(listener.address, path);
  }
  const { admin } = draft.sections;
  if (admin === undefined || admin === null) return;
  const path = nodeAt(root, ["admin"]) === undefined ? ["admin"] : ["admin", "address"];
  const taken = seen.get(admin.address.address);
  if (taken !== undefined)
    report(path, `the address ${admin.address.address} is taken by ${findings.format(taken)}`, "give the admin listener its own");
  // One that is written and cannot be used has a mistake of its own.
  if (admin.token === null && !findings.isLost(["admin", "token"]) && !isLoopback(admin.address)) {
    report(path, "without a token the admin listener must stay on this machine", "set admin.token, or use 127.0.0.1");
  }
  if (admin.token !== null && admin.token.length < TOKEN_CHARS_MIN)
    warn(["admin", "token"], "the token is short enough to guess", `use at least ${TOKEN_CHARS_MIN} random characters`);
}

function checkHashing({ name, balance, hashOn, hashBalanceFactor }: NamedUpstream, report: Report): void {
  if (balance !== "hash" && hashBalanceFactor !== 0)
    report(["upstreams", name, "hashBalanceFactor"], "only `balance: hash` has a balance factor", "");
  if ((balance === "hash") !== (hashOn !== undefined))
    report(["upstreams", name, "hashOn"], "`balance: hash` and `hashOn` go together", "");
}

/** Whether TLS is spoken with any of them. */
export const hasSecureTarget = (targets: NamedUpstream["targets"]): boolean => targets.some(({ url }) => url.startsWith("https"));

function checkTargets({ name, targets, tls }: NamedUpstream, findings: Findings): void {
  const { report } = findings;
  const seen = new Map<string, number>();
  for (const [i, target] of targets.entries()) {
    const before = seen.get(target.url);
    if (before !== undefined)
      report(
        ["upstreams", name, "targets", i, "url"],
        `the same as targets[${findings.indexOf(["upstreams", name, "targets", before])}]`,
        "list it once and use its weight",
      );
    else seen.set(target.url, i);
  }
  if (findings.isLost(["upstreams", name, "targets"])) return;
  if (targets.every((target) => target.weight === 0))
    report(["upstreams", name, "targets"], "every target has weight 0", "give one of them a weight");
  if (tls !== undefined && nodeAt(findings.root, ["upstreams", name, "tls"]) !== undefined && !hasSecureTarget(targets)) {
    report(["upstreams", name, "tls"], "no target uses https", "write https:// in the targets, or remove tls");
  }
}

/** HTTP/2 is negotiated by TLS, or known beforehand: a target's scheme must fit. */
function checkProtocol({ name, protocol, targets, pool }: NamedUpstream, findings: Findings): void {
  const { report } = findings;
  if (protocol === "http1" || findings.isLost(["upstreams", name, "targets"])) return;
  const scheme = protocol === "h2" ? "https" : "http";
  const other = targets.find(({ url }) => url.startsWith("https") !== (protocol === "h2"));
  const remedy = protocol === "h2" ? "use https targets, or h2c for HTTP/2 in cleartext" : "use http targets, or h2 for HTTP/2 over TLS";
  if (other !== undefined) report(["upstreams", name, "protocol"], `${protocol} needs ${scheme} targets, and ${other.url} is none`, remedy);
  if (pool.client === "undici")
    report(["upstreams", name, "pool", "client"], "undici speaks HTTP/1.1 only", "remove it, or use protocol: http1");
}
