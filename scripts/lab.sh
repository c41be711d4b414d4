#!/usr/bin/env bash
# `npm run lab`: builds the lab of docker-compose.yml, brings it up, knocks, guesses, scans, kills the daemon, replays
# every fixture over its wire, and says what passed. Takes everything down again, however it ends; the images stay.
#
#   npm run lab                          needs a Docker engine that answers, or root and dockerd
#   npm run lab -- --get-engine          installs docker.io, docker-compose and debootstrap first (Debian, Ubuntu; root)
#   npm run lab -- --capture FILE        only plays this capture, and holds the daemon against a replay of it
#   npm run lab -- --fleet               only plays the fleet
#   npm run lab -- --units               only runs the unit tests on the image's Node.js
#   npm run lab -- --keep                leaves the lab up, to play with by hand
#
# Ends with 0 where all passed, 1 where something did not, 69 where no Docker engine can be had.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly NAME=lab PROJECT=nfknock-lab UNAVAILABLE=69
readonly MACHINE=198.51.100.2 MACHINE6=2001:db8:51::2 BEHIND=198.51.100.140
readonly OWNER=198.51.100.7 GUESSER=198.51.100.11 SCANNER=198.51.100.12 PROBER=198.51.100.13 STRANGER=198.51.100.14
readonly READY_SECONDS_MAX=60 EVENT_SECONDS_MAX=15

compose=()
engine=''
child=''
is_ours=no
tries_units=no
keep=no
get_engine=no
only_units=no
only_fleet=no
capture=''
passed=0
failed=0
scratch="$(mktemp -d)"
declare -A container=()

main() {
  options "$@"
  find_engine
  find_compose
  refuse_second
  say 'the images (minutes the first time, seconds after that)'
  bash scripts/offline-images.sh || unavailable 'the base images could not be had; the reason is above'
  runs_containers || unavailable 'the Docker engine can start no container; its reason is above'
  build
  if [ -n "$capture" ]; then
    play_capture
  elif [ "$only_units" = yes ]; then
    units
  elif [ "$only_fleet" = yes ]; then
    fleet
  else
    attack
    replays
    published
    fleet
    units
  fi
  summary
}

options() {
  while [ "$#" -gt 0 ]; do
    case "$1" in
      --keep) keep=yes ;;
      --get-engine) get_engine=yes ;;
      --units) only_units=yes ;;
      --fleet) only_fleet=yes ;;
      --capture)
        shift
        capture="$(realpath -- "${1-}")" && [ -f "$capture" ] || usage "--capture: there is no file \"${1-}\""
        ;;
      *) usage "unknown option \"$1\"" ;;
    esac
    shift
  done
}

usage() {
  sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  printf '\nlab: %s\n' "$1" >&2
  exit 2
}

units() {
  say "the unit tests on the image's Node.js"
  tries_units=yes
  check 'the unit tests pass on Node 24' \
    quiet_unless_failed docker run --rm --init --name "$PROJECT-unit" --network none --env CI \
    --sysctl net.ipv6.conf.all.disable_ipv6=0 --sysctl net.ipv6.conf.lo.disable_ipv6=0 "$PROJECT/unit"
}

say() { printf '\n── %s\n' "$*"; }

# check WORDS COMMAND…
check() {
  local words="$1"
  shift
  if "$@"; then
    printf '  ✓ %s\n' "$words"
    passed=$((passed + 1))
  else
    printf '  ✗ %s\n' "$words"
    failed=$((failed + 1))
  fi
}

not() { ! "$@"; }

stop() {
  printf 'lab: %s\n' "$*" >&2
  failed=$((failed + 1))
  summary
}

summary() {
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  if [ "$failed" -gt 0 ]; then exit 1; fi
  exit 0
}

# Everything that could be there goes, even if it never came up.
clean_up() {
  trap '' INT TERM
  if [ -n "$child" ]; then kill "$child" 2>/dev/null; fi
  published_end
  if [ "$keep" = yes ] && [ "$is_ours" = yes ]; then
    printf 'lab: it is up still; take it down with: %s\n' "${compose[*]} down --volumes"
    if [ -n "$engine" ]; then printf 'lab: the Docker engine is process %s; end it after that\n' "$engine"; fi
  else
    if [ "$is_ours" = yes ]; then down; fi
    if [ "$tries_units" = yes ]; then docker rm --force "$PROJECT-unit" >/dev/null 2>&1; fi
    end_engine
  fi
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ── the containers

# Runs a program beside, so that whoever ends the lab need not wait for it.
beside() {
  "$@" </dev/null &
  child=$!
  wait "$child"
  local code=$?
  child=''
  return "$code"
}

quiet_unless_failed() {
  local log="$scratch/log"
  beside "$@" >"$log" 2>&1 || {
    tail -n 60 "$log" >&2
    return 1
  }
}

build() {
  if [ "$only_fleet" = yes ]; then
    quiet_unless_failed "${compose[@]}" build machine engine fleet-users ||
      stop 'the images could not be built; the reason is above'
    return
  fi
  quiet_unless_failed "${compose[@]}" build || stop 'the images could not be built; the reason is above'
  if [ -n "$capture" ]; then return; fi
  quiet_unless_failed docker build --network host --target unit --tag "$PROJECT/unit" . ||
    stop 'the image for the unit tests could not be built; the reason is above'
}

# up CONFIG: a lab that has met nobody yet.
up() {
  export NFKNOCK_LAB_CONFIG="./test/lab/$1.yaml" NFKNOCK_LAB_GOLDEN="$1"
  # The daemon is nobody special: what only root may read it can't.
  if [ -n "$(find "$NFKNOCK_LAB_CONFIG" ! -perm -o+r)" ]; then
    stop "others may not read $NFKNOCK_LAB_CONFIG, and the daemon runs as one of them: chmod o+r test/lab/*.y*ml"
  fi
  is_ours=yes
  quiet_unless_failed "${compose[@]}" up --detach machine door service service-behind visitor ||
    stop 'the lab did not come up; the reason is above'
  local name
  for name in machine door service service-behind visitor; do
    container[$name]="$("${compose[@]}" ps -q "$name")"
  done
  local deadline=$((SECONDS + READY_SECONDS_MAX))
  until is_ready; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      docker logs "${container[door]}" 2>&1 | tail -n 20 >&2
      stop 'the lab was not ready in time; the last words of the daemon are above'
    fi
    sleep 0.3
  done
}

is_ready() {
  on door nfknock status >/dev/null 2>&1 && on visitor test -e /keys/owner.pub &&
    on visitor wget -qO /dev/null -T 1 -t 1 "http://$MACHINE/" &&
    on visitor wget -qO /dev/null -T 1 -t 1 "http://[$MACHINE6]/"
}

down() { quiet_unless_failed "${compose[@]}" down --volumes --remove-orphans --timeout 3; }

# on NAME COMMAND…
on() {
  local name="$1"
  shift
  docker exec "${container[$name]}" "$@" </dev/null
}

# A client ends by the clock at the latest, and what it says of its own success is not asked.
try() { on visitor timeout 60 "$@" >/dev/null 2>&1 || true; }

# said TEXT: whether the daemon says so, now or soon.
said() {
  local deadline=$((SECONDS + EVENT_SECONDS_MAX))
  until has_said "$1"; do
    if [ "$SECONDS" -ge "$deadline" ]; then return 1; fi
    sleep 0.2
  done
}

# Read to its end: a pipe that is left early fails.
has_said() { docker logs "${container[door]}" 2>/dev/null | grep -F "$1" >/dev/null; }

# connects ADDRESS PORT [SOURCE]
connects() { on visitor nc -z -w 1 ${3:+-s "$3"} "$1" "$2" 2>/dev/null; }

# asked HOST [--run COMMAND] [ssh's options]: the name of the machine that answers, or what the command says there.
asked() {
  local host="$1" command=hostname
  shift
  if [ "${1-}" = --run ]; then
    command="$2"
    shift 2
  fi
  on visitor ssh -i /keys/owner -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR -o ConnectTimeout=3 "$@" "owner@$host" "$command"
}

answers() { [ "$(asked "${@:2}" 2>/dev/null)" = "$1" ]; }

page() { on visitor wget -qO - -T 2 -t 1 "$1" 2>/dev/null; }

shows_page() { [ "$(page "$2")" = "a page of $1" ]; }

source scripts/docker-engine.sh
source test/lab/engine.sh
source test/lab/attack.sh
source test/lab/published.sh
source test/lab/fleet.sh
main "$@"
