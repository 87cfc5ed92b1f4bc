// Node's globals as module bindings, put in place of the global names in what the build makes of the data plane (esbuild `inject`): node defines
// them as accessors, and a read through one costs 40 ns where a binding costs nothing; the request path reads them a dozen times. Never imported
// by hand.
export const { Buffer, performance } = globalThis;
