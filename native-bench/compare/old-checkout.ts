// Owns a second checkout of this repository at another commit, built, for as long as a comparison takes. Removed whatever happens.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

/** Where `npm run build` is, now and in older commits. */
const BUILDS = ["src/start/build.ts", "src/build.ts"];

export class OldCheckout implements Disposable {
  readonly directory: string;
  /** Short hash. */
  readonly commit: string;
  readonly #root: string;
  #removed = false;

  private constructor(root: string, directory: string, commit: string) {
    this.#root = root;
    this.directory = directory;
    this.commit = commit;
    process.once("exit", () => this[Symbol.dispose]());
  }

  /** @throws Error when there is no such commit, or it does not build. */
  static make(root: string, ref: string, say: (text: string) => void): OldCheckout {
    const commit = run(root, ["git", "rev-parse", "--short", "--verify", `${ref}^{commit}`]);
    const parent = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-compare-"));
    const directory = path.join(parent, "old");
    run(root, ["git", "worktree", "add", "--detach", "--force", directory, commit]);
    const checkout = new OldCheckout(root, directory, commit);
    // Installing again would take minutes and a registry; what both commits need is nearly always the same.
    fs.symlinkSync(path.join(root, "node_modules"), path.join(directory, "node_modules"));
    const lock = (of: string): string => fs.readFileSync(path.join(of, "package-lock.json"), "utf8");
    if (lock(root) !== lock(directory)) say(`note: ${commit} asks for other packages than are installed here; it runs with those that are`);
    run(directory, [process.execPath, BUILDS.find((file) => fs.existsSync(path.join(directory, file))) ?? ""]);
    return checkout;
  }

  [Symbol.dispose](): void {
    if (this.#removed) return;
    this.#removed = true;
    fs.rmSync(path.join(this.directory, "node_modules"), { force: true }); // the link, not what it leads to
    spawnSync("git", ["-C", this.#root, "worktree", "remove", "--force", this.directory]);
    fs.rmSync(path.dirname(this.directory), { recursive: true, force: true });
  }
}

/** @returns what it printed. @throws Error with what it complained of */
function run(cwd: string, [command = "", ...args]: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${(stderr || stdout || "").trim()}`);
  return stdout.trim();
}
