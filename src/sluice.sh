#!/bin/sh
# The program `sluice`: starts the gateway's process and waits until it serves; then becomes its supervisor. So a cold start has one process of Node to boot,
# not two. Nothing else: every other command, an unusual option, or a system without /proc is left to main.js.
node=${SLUICE_NODE:-node}
program=$0
if [ -L "$program" ]; then program=$(readlink -f "$program"); fi
case $program in
  */*) main=${program%/*}/main.js ;;
  *) main=./main.js ;;
esac

waits_for_gateway() {
  [ "$1" = start ] && [ -r /proc/self/stat ] || return 1
  for argument; do
    case $argument in --no-supervisor | --help | -h) return 1 ;; esac
  done
}

# What control/supervisor/launched.ts reads. None of it may come from outside.
unset SLUICE_LAUNCH SLUICE_LAUNCHED SLUICE_ENDED SLUICE_LATE
waits_for_gateway "$@" || exec "$node" "$main" "$@"

gateway='' stopping='' serving='' late=''
forward_stop() {
  stopping=1
  if [ -n "$gateway" ]; then kill -s TERM "$gateway" 2>/dev/null; fi
}
trap forward_stop TERM INT
# The gateway is not ready to hear these, and they would end it: its supervisor hands them on.
trap 'late="$late SIGHUP"' HUP
trap 'late="$late SIGUSR2"' USR2
# Said by the gateway, again and again until it has met its supervisor (control/supervisor/meeting.ts). Node ignores it.
trap 'serving=1' URG

SLUICE_LAUNCH='{"takeover":false,"restart":false,"ports":{},"supervisor":'$$'}' "$node" "$main" "$@" &
gateway=$!
if [ -n "$stopping" ]; then forward_stop; fi

become_supervisor() {
  export SLUICE_LATE="$late"
  # Whatever else is caught is no longer caught by who comes.
  trap '' HUP USR2
  exec "$node" "$main" "$@"
}

while :; do
  if [ -n "$serving" ]; then
    trap - TERM INT
    if [ -z "$stopping" ]; then
      export SLUICE_LAUNCHED="$gateway"
      become_supervisor "$@"
    fi
    trap forward_stop TERM INT
  fi
  wait "$gateway"
  status=$?
  # A signal ends the waiting, but not the gateway.
  kill -0 "$gateway" 2>/dev/null && continue
  # Both at once: the shell still knows how the gateway ended. 127: it has said so already.
  wait "$gateway" 2>/dev/null
  again=$?
  if [ $again -ne 127 ]; then status=$again; fi
  break
done

# What is wrong with the configuration, or the command line, has been said.
if [ $status -le 2 ]; then exit $status; fi
if [ -n "$stopping" ]; then
  case $status in 130 | 143) exit 0 ;; esac # SIGINT or SIGTERM, before it knew them: nothing was open
  exit 1
fi
# It crashed: to be started again.
export SLUICE_ENDED="$status"
become_supervisor "$@"
