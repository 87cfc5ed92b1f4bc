#!/bin/sh
# The program `sluice`: starts the gateway's process and, beside it, becomes its supervisor, so that the two boot at the same time. Nothing else:
# every other command, an unusual option, or a system without /proc is left to main.js, which starts one after the other.
node=${SLUICE_NODE:-node}
program=$0
if [ -L "$program" ]; then program=$(readlink -f "$program"); fi
case $program in
  */*) directory=${program%/*} ;;
  *) directory=. ;;
esac

early() {
  [ $# -gt 0 ] && [ -r /proc/self/stat ] || return 1
  command=$1
  shift
  for argument; do
    case $argument in --no-supervisor | --help | -h) return 1 ;; esac
  done
  case $command in
    start) ;;
    demo)
      set -- -c "${directory%dist}config/demo.yaml"
      [ -f "$2" ] || return 1
      ;;
    *) return 1 ;;
  esac
  SLUICE_LAUNCH='{"takeover":false,"restart":false,"ports":{},"configurationFollows":true,"supervisor":'$$'}' \
    "$node" "$directory/main.js" start "$@" &
  export SLUICE_EARLY=$!
}

# Neither may come from outside.
unset SLUICE_LAUNCH SLUICE_EARLY
if early "$@"; then
  # Reading a configuration leaves little to collect: no collection before that is done, and no threads for it.
  exec "$node" --min-semi-space-size=16 --single-threaded-gc "$directory/main.js" "$@"
fi
exec "$node" "$directory/main.js" "$@"
