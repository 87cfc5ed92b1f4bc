// Owns the checks of listeners' names, and of what routes demand of the listener and scheme by which a request comes.
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import { suggest } from "../source/problem.ts";
import type { Findings } from "./references.ts";

export function checkListeners(draft: Draft, findings: Findings): void {
  const names = checkNames(draft, findings);
  const areKnown = draft.sections.listeners !== undefined && !findings.isLost(["listeners"]);
  for (const [index, { match }] of draft.routes.entries()) {
    const path = ["routes", index, "match", "listener"];
    const isList = nodeAt(findings.root, path)?.kind === "list";
    for (const [i, listener] of match.listeners.entries())
      if (areKnown && !names.includes(listener))
        findings.report(
          isList ? [...path, i] : path,
          `there is no listener named ${listener}`,
          names.length === 0 ? "give listeners a `name`" : suggest(listener, names, "listeners"),
        );
    if (areKnown) checkScheme(draft, index, findings);
  }
}

function checkNames({ listeners }: Draft, findings: Findings): readonly string[] {
  const seen = new Map<string, number>();
  for (const [i, { name }] of listeners.entries()) {
    if (name === "") continue;
    const before = seen.get(name);
    if (before === undefined) seen.set(name, i);
    else
      findings.report(
        ["listeners", i, "name"],
        `the name ${name} is taken by ${findings.format(["listeners", before])}`,
        "give each its own",
      );
  }
  return [...seen.keys()];
}

/** A scheme by which nobody can come: to a listener of it, or to a proxy that is believed. */
function checkScheme({ listeners, routes, sections }: Draft, index: number, { warn }: Findings): void {
  const match = routes[index]?.match;
  if (match === undefined || match.scheme === null || sections.trustedProxies === undefined || sections.trustedProxies.length > 0) return;
  const wanted = match.scheme === "https";
  const serving = listeners.filter(({ name }) => match.listeners.length === 0 || match.listeners.includes(name));
  if (
    serving.length > 0 &&
    !serving.some(({ certificates, redirectToHttps }) => (certificates !== null) === wanted && redirectToHttps === null)
  )
    warn(
      ["routes", index, "match", "scheme"],
      `no request comes by ${match.scheme}: ${wanted ? "no listener has `tls`" : "every listener has `tls` or redirects to https"}`,
      "name the proxies that end TLS in `trustedProxies`, or remove it",
    );
}
