// Says what is wrong when `node` is older than package.json asks for. Plain JavaScript on purpose: it must run on the versions it refuses.
import fs from "node:fs";

const { engines } = JSON.parse(fs.readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const wanted = engines.node.replace(">=", "");
const [major, minor] = wanted.split(".").map(Number);
const [foundMajor, foundMinor] = process.versions.node.split(".").map(Number);
if (foundMajor < major || (foundMajor === major && foundMinor < minor)) {
  console.error(
    `sluice: needs Node >= ${wanted}, found ${process.version} at ${process.execPath}; run \`npm ci\` (Node is one of the dependencies, and npm scripts find it ` +
      "first; with `--ignore-scripts=false` where install scripts are switched off), then this again by `npm run` or `npm test`",
  );
  process.exit(1);
}
