#!/bin/sh
# The program `sluice` (dist/sluice is a copy): finds a Node that is new enough and becomes dist/main.js in it. Nothing else: it must leave no process
# behind, and must read no argument. package.json names this file, so that a checkout that npm has only linked says what it lacks.
needs=24.12
program=$0
if [ -L "$program" ]; then program=$(readlink -f "$program"); fi
case $program in
  */*) here=${program%/*} ;;
  *) here=. ;;
esac

if [ ! -f "$here/main.js" ]; then
  root=$(cd "$here/../.." && pwd)
  here=$root/dist
  if [ ! -f "$here/main.js" ]; then
    echo "sluice: not built: run \`npm ci && npm run build\` in $root" >&2
    exit 1
  fi
fi

if [ -n "$SLUICE_NODE" ]; then exec "$SLUICE_NODE" "$here/main.js" "$@"; fi

# Node is a dependency, of an exact version: beside dist/ in a checkout, a release or a global installation, else where npm put this package too.
for node in "$here/../node_modules/.bin/node" "$here/../../.bin/node"; do
  if [ -x "$node" ]; then exec "$node" "$here/main.js" "$@"; fi
done

node=$(command -v node) || node=''
version=''
if [ -n "$node" ]; then version=$("$node" --version 2>/dev/null); fi
number=${version#v}
major=${number%%.*}
rest=${number#*.}
minor=${rest%%.*}
case $major$minor in
  '' | *[!0-9]*) ;;
  *) if [ "$major" -gt "${needs%.*}" ] || { [ "$major" -eq "${needs%.*}" ] && [ "$minor" -ge "${needs#*.}" ]; }; then exec "$node" "$here/main.js" "$@"; fi ;;
esac
found="no node on the PATH"
if [ -n "$node" ]; then found="${version:-a node that does not run} at $node"; fi
root=$(cd "$here/.." && pwd)
echo "sluice: needs Node >= $needs, found $found; run \`npm ci\` in $root (Node is one of its dependencies), put Node $needs or newer first on the PATH, or name it by SLUICE_NODE" >&2
exit 1
