// Owns the bound on V8's young objects, for every thread of the gateway. Must never bound old ones: see control/workers/nursery.ts.

/** Largest semi-space of a thread, MiB. V8 takes up to 32 where memory is there, for each thread, and a young generation is three of them. */
export const SEMI_SPACE_MB = 8;

/** For the primary, whose heap can be bounded at its start only. */
export const PRIMARY_FLAGS: readonly string[] = [`--max-semi-space-size=${SEMI_SPACE_MB}`];
