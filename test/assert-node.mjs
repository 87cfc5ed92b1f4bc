// Says what is wrong when `node` is not the pinned Node 24. Plain JavaScript on purpose: it must run on the versions it refuses.
const wanted = 24;
const found = Number(process.versions.node.split(".")[0]);
if (found < wanted) {
  console.error(
    `This needs Node ${wanted}, but \`node\` is ${process.version} (${process.execPath}).\n` +
      `Node ${wanted} is a dependency: \`npm ci\` puts it into node_modules/.bin, which npm scripts find first. It is missing when install\n` +
      "scripts are switched off. Remedy: `npm ci --ignore-scripts=false`, and run this as `npm run ...` or `npm test`.",
  );
  process.exit(1);
}
