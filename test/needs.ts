// Owns the one list of programs from outside npm that the tests run, and why. Installing them is run.ts's business.

/** A program that must be on the PATH, or a part of one that must be there, before the tests start. */
export interface Need {
  readonly program: string;
  /** Of a part of a program: the file that is there when it is installed. */
  readonly file?: string;
  /** Debian package that has it. */
  readonly debian: string;
  readonly why: string;
  /** Unit tests run it too. */
  readonly unit?: true;
}

export const NEEDS: readonly Need[] = [
  { program: "curl", debian: "curl", why: "runs the command lines of the demo's tour" },
  { program: "redis-server", debian: "redis-server", why: "is the Redis, the Sentinel and the cluster of the fleet tests" },
  { program: "nginx", debian: "nginx-light", why: "the origin of the native bench, whose smallest case is a test" },
  {
    program: "nginx's Lua module",
    file: "/usr/lib/nginx/modules/ngx_http_lua_module.so",
    debian: "libnginx-mod-http-lua",
    why: "runs the script that the native bench compares with",
  },
  { program: "Lua's cjson", file: "/usr/share/lua/5.1/cjson/util.lua", debian: "lua-cjson", why: "reads the tokens of that script" },
  { program: "wrk", debian: "wrk", why: "the load of the native bench, whose smallest case is a test" },
  { program: "taskset", debian: "util-linux", why: "pins workers to CPUs, as the gateway does" },
  { program: "prlimit", debian: "util-linux", why: "takes open files from a running gateway" },
  { program: "openssl", debian: "openssl", why: "makes the certificates of the TLS tests", unit: true },
  { program: "unshare", debian: "util-linux", why: "gives a test a network of its own, with addresses to come from" },
  { program: "ip", debian: "iproute2", why: "gives that network its addresses" },
];
