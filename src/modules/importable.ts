// Owns the list of what a policy module may import beside files of its own. Pure.

/** The package's own entry for policies. */
export const POLICY_SPECIFIER = "sluice/policy";

/** Modules of Node's own that do something for a request. None that starts processes or threads, or runs code from texts. */
export const MODULE_BUILTINS: readonly string[] = [
  "assert",
  "async_hooks",
  "buffer",
  "crypto",
  "diagnostics_channel",
  "dns",
  "dns/promises",
  "events",
  "fs",
  "fs/promises",
  "http",
  "https",
  "net",
  "os",
  "path",
  "perf_hooks",
  "querystring",
  "stream",
  "stream/promises",
  "string_decoder",
  "timers",
  "timers/promises",
  "tls",
  "url",
  "util",
  "zlib",
];

/** @param specifier as written */
export const isModuleBuiltin = (specifier: string): boolean =>
  specifier.startsWith("node:") && MODULE_BUILTINS.includes(specifier.slice("node:".length));
