// Owns the checks of an aggregated route: upstreams and legs that exist, templates, who waits for whom (no circles), and that no two legs can give the
// same member or header unless it is said whose it is.

import type { AggregateConfig, LegConfig } from "../../../data/handlers/aggregate/config-plan.ts";
import { compileLegTemplate, compileLegValue, type LegNames, type LegTemplate } from "../../../data/routing/leg-template.ts";
import { isQuery } from "../../../data/routing/normalise.ts";
import { normaliseMade } from "../../../data/routing/path-rules.ts";
import { queryStart } from "../../../data/routing/template-text.ts";
import { type PathPart, suggest } from "../source/problem.ts";
import { asWritten } from "./as-written.ts";
import type { Findings } from "./references.ts";

/** The route around it. */
export interface AggregateScene {
  /** Of the key `aggregate`. */
  readonly path: readonly PathPart[];
  readonly paramNames: readonly string[];
}

/** A leg's use of another leg. */
interface Use {
  readonly of: number;
  /** Something stands in for what is wanted of it. */
  readonly hasStandIn: boolean;
  /** Keys from the leg to the template. */
  readonly place: readonly PathPart[];
}

/** @param config as compiled from the schema */
export function checkAggregate(config: AggregateConfig, scene: AggregateScene, findings: Findings): void {
  const { legs } = config;
  const report = reporter(config, scene.path, findings);
  const uses = legs.map((leg) => usesOf(leg, namesFor(leg, config, scene), report));
  checkCircles(legs, uses, report);
  checkOptionalSources(legs, uses, report);
  checkWinners(config, scene, findings);
  checkMembers(config, report);
  checkHeaders(config, report);
  if (config.stream && legs.every((leg) => leg.required))
    findings.warn([...scene.path, "stream"], "every leg is required: nothing can follow later", "remove it, or make a leg optional");
}

interface LegReport {
  error(place: readonly PathPart[], message: string, remedy: string): void;
  warn(place: readonly PathPart[], message: string, remedy: string): void;
}

/** Positions of legs, which the short form holds without `legs`. */
function reporter({ legsAt }: AggregateConfig, path: readonly PathPart[], { root, report, warn }: Findings): LegReport {
  const at = (place: readonly PathPart[]): readonly PathPart[] => asWritten(root, [...path, ...legsAt, ...place]);
  return {
    error: (place, message, remedy) => report(at(place), message, remedy),
    warn: (place, message, remedy) => warn(at(place), message, remedy),
  };
}

const namesFor = (leg: LegConfig, { legs }: AggregateConfig, { paramNames }: AggregateScene): LegNames => ({
  params: paramNames,
  legs: legs.map(({ name }) => name),
  lists: new Set(legs.flatMap(({ name, forEach }) => (forEach === null ? [] : [name]))),
  hasItem: leg.forEach !== null,
});

/** Compiles every template of a leg. */
function usesOf(leg: LegConfig, names: LegNames, report: LegReport): readonly Use[] {
  const uses: Use[] = [];
  const take = (template: LegTemplate | { readonly error: string }, place: readonly PathPart[]): void => {
    if ("error" in template) report.error([leg.name, ...place], template.error, "");
    else for (const of of template.legs) uses.push({ of, place, hasStandIn: !template.sources.includes(of) });
  };
  const path = compileLegTemplate(leg.path, names);
  take(path, ["path"]);
  if (!("error" in path) && !isSafe(leg.path))
    report.error([leg.name, "path"], "this path is unsafe: dot segments, empty segments, or characters that must be encoded", "");
  for (const [name, template] of Object.entries(leg.query)) take(compileLegTemplate(template, names), ["query", name]);
  for (const [name, template] of Object.entries(leg.headers)) take(compileLegTemplate(template, names), ["headers", name]);
  if (leg.body?.kind === "json")
    for (const { text, place } of textsIn(leg.body.value)) take(compileLegTemplate(text, names), ["body", "json", ...place]);
  if (leg.forEach !== null) take(compileLegValue(leg.forEach.list, { ...names, hasItem: false }), ["forEach"]);
  return uses;
}

const DOT_SEGMENT = /\/\.\.?(?:\/|$)/;
const VARIABLE = /\{\{|\}\}|\{[^}]*\}/g;

/** Whether an address is good with harmless values. @param text a template without mistakes */
function isSafe(text: string): boolean {
  const end = queryStart(text);
  const path = text.slice(0, end).replace(VARIABLE, "x");
  return !DOT_SEGMENT.test(path) && normaliseMade(path, 0) !== null && isQuery(text.slice(end + 1).replace(VARIABLE, "x"));
}

/** Every text in a JSON value, member names excepted. */
function textsIn(
  value: unknown,
  place: readonly PathPart[] = [],
): readonly { readonly text: string; readonly place: readonly PathPart[] }[] {
  if (typeof value === "string") return [{ text: value, place }];
  if (Array.isArray(value)) return value.flatMap((item, i) => textsIn(item, [...place, i]));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => textsIn(inner, [...place, name]));
}

/** Legs that wait for each other would wait for ever. Each circle is told once, at the first of its legs. */
function checkCircles(legs: readonly LegConfig[], uses: readonly (readonly Use[])[], report: LegReport): void {
  const told = new Set<number>();
  for (const [start, leg] of legs.entries()) {
    if (told.has(start)) continue;
    const circle = wayBack(start, uses);
    if (circle === null) continue;
    for (const each of circle) told.add(each);
    const names = [...circle, start].map((i) => legs[i]?.name ?? "");
    const place = uses[start]?.find(({ of }) => of === (circle[1] ?? start))?.place ?? [];
    report.error(
      [leg.name, ...place],
      circle.length === 1 ? "the leg waits for its own answer" : `legs wait for each other: ${names.join(" waits for ")}`,
      "take one of these values from elsewhere",
    );
  }
}

/** Shortest way from a leg over those it uses back to itself. @returns the legs on it; null for none */
function wayBack(start: number, uses: readonly (readonly Use[])[]): readonly number[] | null {
  const from = new Map<number, number>();
  const queue = [start];
  for (const at of queue) {
    for (const { of } of uses[at] ?? []) {
      if (of === start) {
        const way: number[] = [];
        for (let i = at; i !== start; i = from.get(i) ?? start) way.unshift(i);
        return [start, ...way];
      }
      if (from.has(of)) continue;
      from.set(of, at);
      queue.push(of);
    }
  }
  return null;
}

function checkOptionalSources(legs: readonly LegConfig[], uses: readonly (readonly Use[])[], report: LegReport): void {
  for (const [i, leg] of legs.entries()) {
    if (!leg.required) continue;
    for (const { of, place, hasStandIn } of uses[i] ?? []) {
      const source = legs[of];
      if (source?.required === false && !hasStandIn)
        report.warn(
          [leg.name, ...place],
          `${leg.name} is required and needs ${source.name}, which is optional: both fail together`,
          `make ${source.name} required, or ${leg.name} optional, or name a stand-in: {legs.${source.name}... ?? "..."}`,
        );
    }
  }
}

function checkWinners({ legs, wins }: AggregateConfig, { path }: AggregateScene, { report }: Findings): void {
  const names = legs.map(({ name }) => name);
  for (const [i, name] of wins.entries()) {
    if (!names.includes(name)) report([...path, "wins", i], `there is no leg ${name}`, suggest(name, names, "legs"));
    else if (wins.indexOf(name) < i) report([...path, "wins", i], `${name} is listed twice`, "list it once");
  }
}

/** Members that a leg can give: null for any. */
function membersOf({ as, pick, rename, lift }: LegConfig): ReadonlySet<string> | null {
  if (as !== null) return new Set([as]);
  if (pick === null || lift.length > 0) return null;
  return new Set(pick.map((name) => rename.find(({ from }) => from === name)?.to ?? name));
}

function checkMembers({ legs, wins, incomplete, stream }: AggregateConfig, report: LegReport): void {
  const given = legs.map(membersOf);
  for (const [i, leg] of legs.entries()) {
    if (incomplete !== null && given[i]?.has(incomplete) === true)
      report.error(
        [leg.name],
        `the member ${incomplete} names failed legs`,
        "name the one or the other otherwise: `as`, `rename`, `incomplete: { member: NAME }`",
      );
    if (leg.forEach !== null && leg.as === null)
      report.error([leg.name], "a leg with `forEach` gives a list, which has no members to merge", "write `merge: nest` for it");
    for (const [j, other] of legs.slice(0, i).entries()) {
      const shared = inBoth(given[i] ?? null, given[j] ?? null);
      if (shared === null) continue;
      const what = shared === "" ? "can give the same member" : `can both give the member ${shared}`;
      const streamed = stream && !(leg.required && other.required);
      if (streamed)
        report.error(
          [leg.name],
          `${other.name} and ${leg.name} ${what}, and with \`stream\` one may come when the other is out already`,
          "use `pick`, `rename` or `merge: nest`, or make both required",
        );
      else if (!wins.includes(leg.name) && !wins.includes(other.name))
        report.error(
          [leg.name],
          `${other.name} and ${leg.name} ${what}`,
          `write \`wins: [${other.name}]\` or \`wins: [${leg.name}]\`, or use \`pick\`, \`rename\` or \`merge: nest\``,
        );
    }
  }
}

/** @returns a name that both can give, '' when nobody knows which; null for none */
function inBoth(a: ReadonlySet<string> | null, b: ReadonlySet<string> | null): string | null {
  if (a === null && b === null) return "";
  if (a === null) return [...(b ?? [])][0] ?? null;
  if (b === null) return [...a][0] ?? null;
  return [...a].find((name) => b.has(name)) ?? null;
}

function checkHeaders({ legs, wins, stream }: AggregateConfig, report: LegReport): void {
  for (const [i, leg] of legs.entries()) {
    for (const [at, header] of leg.responseHeaders.entries()) {
      const place = [leg.name, "responseHeaders", at];
      if (stream && !leg.required)
        report.error(
          place,
          "with `stream` the head may be out before an optional leg has ended",
          "make the leg required, or remove `stream`",
        );
      if (header === "set-cookie") continue; // each line is one of its own
      const other = legs.slice(0, i).find(({ responseHeaders }) => responseHeaders.includes(header));
      if (other !== undefined && !wins.includes(other.name) && !wins.includes(leg.name))
        report.error(
          place,
          `${other.name} and ${leg.name} both give the header ${header}`,
          `write \`wins: [${other.name}]\` or \`wins: [${leg.name}]\`, or name it in one leg`,
        );
    }
  }
}
