#!/usr/bin/env bash
# `npm test`: set-up, then everything that can be wrong: style, types, dead code, the native parsers under sanitizers, the
# unit tests, the tests on the real kernel. `npm run test:long` (argument `long`): the same set-up, then what takes longest.
# Continuous integration runs both. The last line sums up: "N passed, N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export PATH="$PATH:$PWD/node_modules/.bin:/usr/local/sbin:/usr/sbin:/sbin"

passed=0
failed=0
scratch="$(mktemp -d)"
# Names the namespaces of this run, so that they can be found again whatever became of the tests.
export NFKNOCK_RUN="$$"

clean_up() {
  local name pid
  for name in $(ip netns list 2>/dev/null | cut -d ' ' -f 1); do
    case "$name" in
      nfk?"$NFKNOCK_RUN"-*)
        for pid in $(ip netns pids "$name"); do kill -9 "$pid" 2>/dev/null; done
        ip netns delete "$name"
        ;;
    esac
  done
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n── %s\n' "$*"; }

# A step that is one thing: it counts only when it fails.
step() {
  local label="$1" started=$SECONDS
  shift
  say "$label"
  if "$@"; then
    echo "   ok, $((SECONDS - started)) s"
  else
    echo "   FAILED: $label ($*)"
    failed=$((failed + 1))
  fi
}

# A vitest project, or these files of it: every test counts. One that was skipped, or a file that could not be loaded,
# has failed.
suite() {
  local project="$1" label="$2" report="$scratch/$1.json" started=$SECONDS code=0 counts
  shift 2
  say "$label"
  vitest run --project "$project" --no-allowOnly \
    --reporter=default --reporter=json --outputFile.json="$report" "$@" || code=$?
  if counts="$(node scripts/count.mjs "$report")"; then
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
    if [ "$code" -ne 0 ] && [ "${counts#* }" -eq 0 ]; then failed=$((failed + 1)); fi
  else
    echo "   FAILED: the $project tests left no report"
    failed=$((failed + 1))
  fi
  echo "   $((SECONDS - started)) s"
}

prepare() {
  bash scripts/setup.sh tests || stop 'the set-up failed'
  say 'what the kernel must have'
  bash scripts/features.sh || stop 'this machine cannot run the tests'
  echo '   ok'
}

main() {
  prepare
  step 'style' biome check .
  step 'types' tsc -p tsconfig.json
  step 'dead code' knip
  step 'the native parsers under AddressSanitizer and UndefinedBehaviorSanitizer' \
    npm run --silent test:sanitize --workspace native -- parsers
  NFKNOCK_BUILD_FIRST=yes suite unit 'unit tests'
  suite simulation 'a fleet, simulated'
  suite kernel 'tests on the kernel, with real clients'
  summary
}

long() {
  prepare
  step 'the native binding inside Node under AddressSanitizer and UndefinedBehaviorSanitizer' \
    npm run --silent test:sanitize --workspace native
  NFKNOCK_RUNS=100 EXPLORE_TRANSITIONS=6000 suite unit 'more of the drawn histories than `npm test` tries' \
    test/property/reference.test.ts test/property/explore.test.ts test/unit/daemon/effects.test.ts
  step 'five thousand histories of a fleet' \
    npm run --silent fleet:simulate -- --histories 5000 --from 1
  suite long 'long tests on the kernel: whole machines, attacks without end, crashes at every step'
  suite measure 'what takes times, alone on the machine'
  summary
}

stop() {
  echo "   FAILED: $1; the reason is above." >&2
  failed=$((failed + 1))
  summary
}

summary() {
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  if [ "$failed" -gt 0 ]; then exit 1; fi
  exit 0
}

case "${1:-}" in
  '') main ;;
  long) long ;;
  *) stop "there is no test run named $1: without an argument, or long" ;;
esac
