// Owns the version this program says it is: the one in package.json, read at build time in dist/.
import manifest from "../../package.json" with { type: "json" };

export const VERSION: string = manifest.version;
