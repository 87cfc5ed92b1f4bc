// Owns the least version of Node. What stands here runs on versions that are too old, too.

/** As `engines` in package.json says; held to it by a test. */
export const NODE_VERSION_MIN = "24.12";

/** @returns one line for whoever runs a Node that is too old; null when it is new enough. */
export function nodeTooOld(version: string, path: string): string | null {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = NODE_VERSION_MIN.split(".").map(Number);
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return null;
  return `sluice: needs Node >= ${NODE_VERSION_MIN}, found ${version} at ${path}; run dist/sluice, which finds the Node beside it, or put Node ${NODE_VERSION_MIN} or newer first on the PATH`;
}
