// Node's globals as module bindings, put in place of the global names by the build (esbuild `inject`): node defines them as accessors, and a read
// through one costs 40 ns where a binding costs nothing; the request path reads them a dozen times. Never imported by hand.
export { Buffer } from "node:buffer";
export { performance } from "node:perf_hooks";
