// Owns what a policy module imports at run time as `sluice/policy`: next to nothing, so that it can stand in every worker. Its types are in index.d.ts.

/** Marks what definePolicy made, with the version of this interface. */
const MARK = Symbol.for("sluice.policy");

export const definePolicy = (policy) => Object.freeze({ ...policy, [MARK]: 1 });
