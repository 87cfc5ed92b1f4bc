// Owns the description of where a run took place: hardware, kernel, commit. What a reader needs to repeat or doubt it.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import type { Machine } from "../report/results.ts";

export function describeMachine(): Machine {
  const release = fs.existsSync("/etc/os-release") ? fs.readFileSync("/etc/os-release", "utf8") : "";
  return {
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cores: os.availableParallelism(),
    memoryMiB: Math.round(os.totalmem() / 1024 ** 2),
    kernel: os.release(),
    system: /^PRETTY_NAME="?([^"\n]+)/m.exec(release)?.[1] ?? process.platform,
    node: process.version,
    loadBefore: os.loadavg()[0] ?? 0,
  };
}

/** @returns the short hash, with `+` when the checkout has changes; "unknown" outside a checkout. */
export function describeCommit(directory: string): string {
  const git = (...args: readonly string[]): string =>
    (spawnSync("git", ["-C", directory, ...args], { encoding: "utf8" }).stdout ?? "").trim();
  const hash = git("rev-parse", "--short", "HEAD");
  if (hash === "") return "unknown";
  return git("status", "--porcelain", "--untracked-files=no") === "" ? hash : `${hash}+`;
}
