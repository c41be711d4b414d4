#!/usr/bin/env bash
# `npm run bench`: measures nfknock beside the readers that do nothing and beside knockd, in network namespaces of
# its own, and writes bench/RESULTS.md. About eight minutes; needs root, and a machine with nothing else to do.
#
#   npm run bench                                 everything
#   npm run bench -- --quick                      under two minutes, coarse; into a folder that git ignores
#   npm run bench -- --only=latency,growth        throughput latency standing daemon profile growth replay; likewise
#   npm run bench -- --out=FOLDER                 elsewhere than bench/
#
# Beside what the tests need it installs libnetfilter-queue-dev with apt-get, and the npm package nfqueue into a
# folder of its own that is removed again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:$PWD/node_modules/.bin:/usr/local/sbin:/usr/sbin:/sbin"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf 'bench: %s\n' "$*"; }

bash scripts/setup.sh
bash scripts/features.sh

if ! dpkg-query -W -f '${db:Status-Status}' libnetfilter-queue-dev 2>/dev/null | grep -qx installed; then
  say 'installing libnetfilter-queue-dev, which the textbook reader is built with'
  apt-get install -y -q --no-install-recommends libnetfilter-queue-dev >"$scratch/apt" 2>&1 ||
    { tail -n 20 "$scratch/apt" >&2; exit 1; }
fi

# Only a whole run may take the place of the results that are published.
case " $* " in
  *' --quick '* | *' --only='*) set -- "$@" --out=dist/bench/results ;;
esac
case " $* " in
  *' --quick '*) ;;
  *)
    say 'building the npm package nfqueue, to measure beside it'
    echo '{"private":true}' >"$scratch/package.json"
    (cd "$scratch" && npm install --no-audit --no-fund nfqueue@0.3.2 >npm.log 2>&1) ||
      say 'it does not build here: it will have no rows'
    export BENCH_NFQUEUE="$scratch"
    ;;
esac

tsc -p test/bench/tsconfig.json
node dist/bench/test/bench/main.js "$@"
