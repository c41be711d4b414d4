#!/usr/bin/env bash
# `npm run fuzz [SEED [CASES [TARGET]]]`: broken input from a seed, for everything that takes what strangers wrote, in
# JavaScript; then the native parsers under AddressSanitizer, with libFuzzer where there is clang. CASES 0: the long run.
# What breaks a promise ends it with the seed and the case's number, by which it can be had again.
#
# Half of the cases are made of inputs in test/fuzz/corpus. More of those, as many as run something new, are looked for by
#   node_modules/.bin/tsc -p test/fuzz/tsconfig.json && node dist/fuzz/test/fuzz/grow.js SEED CASES [TARGET]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seed="${1:-$((RANDOM * 32768 + RANDOM))}"
cases="${2:-0}"
echo "fuzz: seed $seed"

node_modules/.bin/tsc -p test/fuzz/tsconfig.json
if [ "${3:-}" != native ]; then
  node dist/fuzz/test/fuzz/main.js "$seed" "$cases" ${3:+"$3"}
fi
[ -z "${3:-}" ] || [ "$3" = native ] || exit 0

cd native
out=build/fuzz
mkdir -p "$out"
count=$((cases == 0 ? 10000000 : cases))
parsers=(src/nfnl.c src/proc.c src/socket.c src/capture.c src/nfqueue.c src/nflog.c)
flags=(-std=gnu17 -D_GNU_SOURCE -O1 -g -fno-sanitize-recover=all)
if command -v clang >/dev/null; then
  clang "${flags[@]}" -fsanitize=fuzzer,address,undefined -o "$out/libfuzzer" test/fuzz_nfnl.c "${parsers[@]}"
  mkdir -p test/corpus
  "$out/libfuzzer" -seed="$((seed % 4294967295 + 1))" -runs="$count" -max_len=4096 -print_final_stats=1 \
    -artifact_prefix="$out/" "$out" test/corpus
fi
gcc "${flags[@]}" -fsanitize=address,undefined -DSTANDALONE -o "$out/standalone" test/fuzz_nfnl.c "${parsers[@]}"
"$out/standalone" "$count" "$seed"
