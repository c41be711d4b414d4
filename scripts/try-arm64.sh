#!/bin/bash
# Tries dist/nfknock_*_arm64.deb under emulation (qemu-user): its Node.js starts, its native parts load, `check` and `replay`
# say to the letter what they say on this machine, and the unit tests of what reads bytes and reckons pass on its Node.js.
#
#   npm run package -- arm64 && bash scripts/try-arm64.sh
#
# Takes some minutes, and Debian's qemu-user-static and the libraries that come with g++-aarch64-linux-gnu. No root.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly LIBRARIES=/usr/aarch64-linux-gnu
fail() {
  printf 'try-arm64: %s\n' "$*" >&2
  exit 1
}
say() { printf 'try-arm64: %s\n' "$*"; }
command -v qemu-aarch64-static >/dev/null || fail 'qemu-aarch64-static is missing: apt-get install qemu-user-static'
[ -e "$LIBRARIES/lib/libstdc++.so.6" ] || fail 'the libraries are missing: apt-get install g++-aarch64-linux-gnu'
deb="$(find dist -maxdepth 1 -name 'nfknock_*_arm64.deb' | head -n 1)"
[ -n "$deb" ] || fail 'there is no package: npm run package -- arm64'

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
dpkg-deb -x "$deb" "$scratch/root"
lib="$scratch/root/usr/lib/nfknock"
emulated() { qemu-aarch64-static -L "$LIBRARIES" "$lib/node" "$@"; }

[ "$(emulated -p process.arch)" = arm64 ] || fail 'its Node.js is of another machine'
say "its Node.js starts: $(emulated --version)"
emulated --input-type=module -e '
  import { createRequire } from "node:module";
  const lib = process.argv[1];
  const Database = createRequire(`${lib}/dist/`)("better-sqlite3");
  const rows = new Database(":memory:").prepare("SELECT 6 * 7 AS answer").all();
  if (rows[0].answer !== 42) throw new Error("SQLite does not count");
  const binding = await import(`${lib}/node_modules/@nfknock/nfqueue/index.js`);
  if (typeof binding.Netlink !== "function") throw new Error("the binding is not whole");' "$lib"
say 'its native parts load'

# same WHAT ARGUMENT…: both say it, and end alike.
same() {
  local what="$1" here=0 there=0
  shift
  node "$lib/dist/bin/nfknock.js" "$@" >"$scratch/here" 2>&1 || here=$?
  emulated "$lib/dist/bin/nfknock.js" "$@" >"$scratch/there" 2>&1 || there=$?
  [ "$here" -eq "$there" ] || fail "$what ends with $there, and with $here on this machine"
  [ -s "$scratch/here" ] || fail "$what says nothing"
  diff "$scratch/here" "$scratch/there" || fail "$what says something else than on this machine"
  say "the same as here: $what"
}
same 'check' check examples/nfknock.yaml
for capture in test/fixtures/honest/*.pcap; do
  same "replay of $(basename "$capture")" replay "$capture" -c examples/nfknock.yaml
done

# Vitest starts its worker by process.execPath; that one is the package's Node.js.
units=(test/unit/clock.test.ts test/unit/{packet,policy,spa,text}/*.test.ts)
# It takes times.
units=("${units[@]/test\/unit\/spa\/code.test.ts/}")
readonly TEST_MS_MAX=1200000
echo 'if (process.arch !== "arm64") process.exit(3);' >"$scratch/is-arm64.mjs"
printf '#!/bin/sh\nexec qemu-aarch64-static -L %q %q --import %q "$@"\n' "$LIBRARIES" "$lib/node" "$scratch/is-arm64.mjs" >"$scratch/node"
chmod 0755 "$scratch/node"
printf 'if (process.argv[1]?.endsWith("vitest.mjs")) process.execPath = "%s";\n' "$scratch/node" >"$scratch/execute-there.mjs"
# shellcheck disable=SC2068 # one is empty
NFKNOCK_RUNS=25 node --import "$scratch/execute-there.mjs" node_modules/vitest/vitest.mjs run --project unit ${units[@]} \
  --no-file-parallelism --testTimeout "$TEST_MS_MAX" --reporter default --reporter json --outputFile "$scratch/report" >"$scratch/units" 2>&1 || {
  tail -n 40 "$scratch/units" >&2
  fail 'unit tests fail'
}
read -r passed failed < <(node scripts/count.mjs "$scratch/report")
[ "$failed" -eq 0 ] || fail "$failed unit tests did not pass"
say "$passed unit tests pass on its Node.js"
