// Owns what `npm pack` needs of a checkout: its packages, dist/ built, and the program running. Plain JavaScript on purpose: it runs on whatever Node npm has.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

const root = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "../..");
const bin = path.join(root, "node_modules/.bin");

/** What it prints is no part of what `npm pack` prints. */
function run(program, ...args) {
  const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` };
  const { status, error } = spawnSync(program, args, { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  console.error(`sluice: not packed: \`${[program, ...args].join(" ")}\` failed${error === undefined ? "" : `: ${error.message}`}`);
  process.exit(1);
}

// Of a fresh clone.
if (!["node", "esbuild"].every((name) => fs.existsSync(path.join(bin, name)))) run("npm", "ci", "--include=dev");
run("npm", "run", "-s", "build");
run(path.join(root, "dist/sluice"), "--version");
