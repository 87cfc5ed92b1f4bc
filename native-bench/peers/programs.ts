// Owns which programs from outside npm the comparison runs, where they are, and getting them. Never replaces one that is there.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

/** A program and the Debian package that has it. */
export interface Program {
  readonly program: string;
  readonly debian: string;
  /** Of what is no program but a part of one: the file that is there when it is installed. */
  readonly file?: string;
}

export const PROGRAMS = {
  wrk: { program: "wrk", debian: "wrk" },
  h2load: { program: "h2load", debian: "nghttp2-client" },
  openssl: { program: "openssl", debian: "openssl" },
  nginx: { program: "nginx", debian: "nginx-light" },
  haproxy: { program: "haproxy", debian: "haproxy" },
  caddy: { program: "caddy", debian: "caddy" },
  varnish: { program: "varnishd", debian: "varnish" },
  nginxNdk: { program: "nginx's development kit", debian: "libnginx-mod-http-ndk", file: "/usr/lib/nginx/modules/ndk_http_module.so" },
  nginxLua: { program: "nginx's Lua module", debian: "libnginx-mod-http-lua", file: "/usr/lib/nginx/modules/ngx_http_lua_module.so" },
  luaCjson: { program: "Lua's cjson", debian: "lua-cjson", file: "/usr/share/lua/5.1/cjson/util.lua" },
} as const satisfies Record<string, Program>;

/** Debian keeps servers in sbin, which is not on every user's PATH. */
const SERVER_DIRECTORIES = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/** Makes programs in sbin findable by name for this process and what it starts. */
export function widenPath(): void {
  const known = (process.env["PATH"] ?? "").split(path.delimiter);
  process.env["PATH"] = [...known, ...SERVER_DIRECTORIES.filter((directory) => !known.includes(directory))].join(path.delimiter);
}

/** @returns whether it is on the PATH, or its file is there. */
export function isInstalled({ program, file }: Program): boolean {
  if (file !== undefined) return fs.existsSync(file);
  return (process.env["PATH"] ?? "").split(path.delimiter).some((directory) => fs.existsSync(path.join(directory, program)));
}

/**
 * Installs what is missing with apt, as root; does nothing otherwise.
 * @returns what is still missing
 */
export function install(wanted: readonly Program[], say: (text: string) => void): readonly Program[] {
  const missing = wanted.filter((each) => !isInstalled(each));
  if (missing.length === 0) return [];
  const packages = [...new Set(missing.map((each) => each.debian))];
  if (process.getuid?.() === 0 && isInstalled({ program: "apt-get", debian: "apt" })) {
    say(`installing ${packages.join(", ")} ...`);
    // policy-rc.d is not ours to write: services that Debian starts by itself are idle and listen elsewhere.
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    for (const args of [["update"], ["install", "-y", "--no-install-recommends", ...packages]]) {
      spawnSync("apt-get", ["-q", ...args], { env, stdio: ["ignore", "ignore", "inherit"] });
    }
  }
  const still = missing.filter((each) => !isInstalled(each));
  if (still.length > 0) say(`missing: ${still.map((each) => each.program).join(", ")}; ${howToInstall(still)}`);
  return still;
}

/** The command line that brings these programs. */
export function howToInstall(missing: readonly Program[]): string {
  return `apt-get update && apt-get install -y --no-install-recommends ${[...new Set(missing.map((each) => each.debian))].join(" ")}`;
}

/** @returns what a program prints of itself, from the first match on; '' when it cannot be asked. */
export function askVersion(program: string, args: readonly string[], pattern: RegExp): string {
  const { stdout, stderr } = spawnSync(program, [...args], { encoding: "utf8" });
  return pattern.exec(`${stdout ?? ""}${stderr ?? ""}`)?.[1] ?? "";
}
