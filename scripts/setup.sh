#!/usr/bin/env bash
# Makes a Debian or Ubuntu machine ready to build, try and test nfknock: system packages, npm packages, the
# native binding, the TypeScript build. Does only what is still missing, so a second run is quick.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# `su` without `-` leaves root a path without iptables.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly NODE_WANTED='20.19.0'
readonly HEARTBEAT_SECONDS=15
# The packages' clients are what the demo and the tests drive the daemon with.
PACKAGES=(
  iptables nftables ipset iproute2 conntrack
  knockd nmap hping3 telnet netcat-openbsd
  tcpreplay tcpdump socat kmod procps
  python3 make g++ ca-certificates
)
# What only the tests need: other tools' clients, terminals and shells, a browser for the report.
readonly TEST_PACKAGES=(
  libnetfilter-queue-dev fwknop-client oathtool openssl xxd openssh-client openssh-server curl fish ethtool iputils-ping tmux zsh
  groff-base chromium strace fail2ban ufw docker.io busybox-static firewalld dbus-daemon dpkg-dev redis-server keepalived
)
if [[ "${1:-}" == tests ]]; then PACKAGES+=("${TEST_PACKAGES[@]}"); fi
readonly PACKAGES
readonly DEPENDENCIES_STAMP='node_modules/.nfknock-dependencies'
readonly BUILD_STAMP='dist/.nfknock-build'

scratch="$(mktemp -d)"
heartbeat=''
policy=''

main() {
  check_root
  check_node
  use_headers_of_node
  install_packages
  install_dependencies
  build
}

clean_up() {
  stop_heartbeat
  if [ -n "$policy" ]; then rm -f "$policy"; fi
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

check_root() {
  [ "$(id -u)" -eq 0 ] || fail 'this needs root, for network namespaces and iptables: run it again with sudo, or as root.'
}

check_node() {
  command -v node >/dev/null || fail "Node.js is missing: install Node $NODE_WANTED or newer (https://nodejs.org/)."
  command -v npm >/dev/null || fail "npm is missing: install the npm that belongs to Node $(node --version)."
  local found oldest
  found="$(node -p 'process.versions.node')"
  oldest="$(printf '%s\n%s\n' "$NODE_WANTED" "$found" | sort -V | head -n 1)"
  [ "$oldest" = "$NODE_WANTED" ] ||
    fail "Node $found is too old: install Node $NODE_WANTED or newer (https://nodejs.org/)."
}

# node-gyp would download Node's headers, which not every machine may; most installations bring them along.
use_headers_of_node() {
  local root
  root="$(node -p 'require("path").resolve(require("fs").realpathSync(process.execPath), "../..")')"
  if [ -e "$root/include/node/node_api.h" ]; then export npm_config_nodedir="$root"; fi
}

install_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is no Debian or Ubuntu: install these by hand (${PACKAGES[*]}), then run npm ci && npm run build."
  fi
  local missing=() package
  for package in "${PACKAGES[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  if [ "${#missing[@]}" -eq 0 ]; then return; fi

  say "installing ${#missing[@]} system package(s) with apt-get, about half a minute: ${missing[*]}"
  hold_back_services
  run_quietly 'fetching the package lists' apt-get update -q
  run_quietly 'installing' env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"
  release_services
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = 'installed' ]
}

# Some packages start a daemon as they are installed (knockd is one of those that may); only their clients
# are wanted here. A policy that somebody else laid down stays as it is.
hold_back_services() {
  if [ -e /usr/sbin/policy-rc.d ]; then return; fi
  policy='/usr/sbin/policy-rc.d'
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

release_services() {
  if [ -n "$policy" ]; then rm -f "$policy"; fi
  policy=''
}

install_dependencies() {
  local wanted
  wanted="$(dependencies_key)"
  if [ "$(cat "$DEPENDENCIES_STAMP" 2>/dev/null || true)" = "$wanted" ]; then return; fi
  if installed_by_hand; then
    printf '%s\n' "$wanted" >"$DEPENDENCIES_STAMP"
    return
  fi
  say 'installing npm packages (npm ci); better-sqlite3 may be compiled, which takes a minute or two'
  run_quietly 'npm ci' npm ci --no-audit --no-fund
  printf '%s\n' "$wanted" >"$DEPENDENCIES_STAMP"
}

# What must not change without a new `npm ci`: the lockfile, and what compiled packages are compiled for.
dependencies_key() {
  printf '%s %s' "$(sha256sum package-lock.json | cut -d ' ' -f 1)" \
    "$(node -p '[process.versions.modules, process.platform, process.arch].join("-")')"
}

# Somebody ran `npm ci` without this script: good, if it is not older than the lockfile and what it compiled
# loads in this Node.
installed_by_hand() {
  [ -e node_modules/.package-lock.json ] &&
    [ ! package-lock.json -nt node_modules/.package-lock.json ] &&
    node -e 'new (require("better-sqlite3"))(":memory:").close()' >/dev/null 2>&1
}

build() {
  if [ -e "$BUILD_STAMP" ] && [ -e dist/bin/nfknock.js ] && [ -z "$(newer_than_build)" ]; then return; fi
  say 'building the native binding (C) and the daemon (TypeScript)'
  # The moment before the build counts, so that what is edited meanwhile is built next time.
  touch "$scratch/built"
  run_quietly 'npm run build' npm run build
  mkdir -p dist
  cp -p "$scratch/built" "$BUILD_STAMP"
}

newer_than_build() {
  find src native package.json package-lock.json tsconfig.json tsconfig.build.json rolldown.config.mjs rolldown.charting.mjs \
    \( -path native/build -o -path native/prebuilds -o -path native/node_modules \) -prune -o \
    -type f -newer "$BUILD_STAMP" -print -quit
}

# Runs a command, shows its output only when it fails, and says every while that it is still at work.
run_quietly() {
  local label="$1" log="$scratch/log" started=$SECONDS
  shift
  start_heartbeat "$label"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    stop_heartbeat
    tail -n 60 "$log" >&2
    fail "$label failed; its last lines are above. The command was: $*"
  fi
  stop_heartbeat
  say "  $label: done in $((SECONDS - started)) s"
}

start_heartbeat() {
  (
    trap 'kill "$pause"; exit' TERM
    waited=0
    while true; do
      sleep "$HEARTBEAT_SECONDS" &
      pause=$!
      wait "$pause"
      waited=$((waited + HEARTBEAT_SECONDS))
      say "  $1: still at work after $waited s"
    done
  ) &
  heartbeat=$!
}

stop_heartbeat() {
  if [ -n "$heartbeat" ]; then
    kill "$heartbeat" 2>/dev/null || true
    wait "$heartbeat" 2>/dev/null || true
  fi
  heartbeat=''
}

main "$@"
