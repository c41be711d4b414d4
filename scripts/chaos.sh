#!/usr/bin/env bash
# `npm run chaos`: for ten minutes one daemon is attacked with everything that is known to have ended or fooled one, several
# things at once, in a random order, in network namespaces of its own, while owners knock. Needs root.
#
#   npm run chaos -- --seconds 60    shorter; under 300 with smaller attacks
#   npm run chaos -- --seed 7        the same attacks in the same order again
#   npm run chaos -- --only descriptor   only attacks with this in their name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:$PWD/node_modules/.bin:/usr/local/sbin:/usr/sbin:/sbin"

usage() {
  echo 'usage: npm run chaos -- [--seconds N] [--seed S] [--only WORD], N and S whole numbers above 0' >&2
  exit 2
}

seconds=600
seed=$((RANDOM * 32768 + RANDOM + 1))
while [ $# -gt 0 ]; do
  [ -n "${2:-}" ] || usage
  [ "$1" = --only ] || [[ "$2" =~ ^[1-9][0-9]{0,8}$ ]] || usage
  case "$1" in
    --only) export NFKNOCK_ONLY="$2" ;;
    --seconds) seconds="$2" ;;
    --seed) seed="$2" ;;
    *) usage ;;
  esac
  shift 2
done

echo "chaos: seed $seed, $seconds s"
NFKNOCK_CHAOS="$seconds" NFKNOCK_SEED="$seed" exec vitest run --project long test/attacks/chaos/chaos.test.ts
