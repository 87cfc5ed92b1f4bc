// Owns the hint where the pool's own queue is set for an upstream in front of which there is a line.
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import type { Findings } from "./references.ts";

export function checkOverload({ upstreams }: Draft, { written, warn }: Findings): void {
  for (const { name, overload } of upstreams) {
    const path = ["upstreams", name, "pool", "queue"];
    if (overload === null || overload.shadow || nodeAt(written, path) === undefined) continue;
    warn(
      path,
      "with `overload.mode: on` requests wait in the line of `overload.queue`: this one is only for the time that a connection takes to be made",
      "leave it out, and bound who waits by `overload.queue`",
    );
  }
}
