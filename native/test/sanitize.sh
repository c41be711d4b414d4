#!/usr/bin/env bash
# Runs the native code under AddressSanitizer and UndefinedBehaviorSanitizer: the parsers' own tests, a fuzzer over
# them, and, as root, the addon inside Node with the same tests on the kernel that the plain build passes. With `parsers`
# as its argument it leaves the addon to a longer run.
set -euo pipefail
cd "$(dirname "$0")/.."

CC=${CC:-gcc}
FUZZ_COUNT=${FUZZ_COUNT:-300000}
out=build/sanitize
mkdir -p "$out/build/Release"

strict="-std=gnu17 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wshadow -Wconversion -Werror"
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
plain="src/nfnl.c src/proc.c src/socket.c src/capture.c src/nfqueue.c src/nflog.c src/netlink.c"

echo "sanitize: the parsers' tests"
$CC $strict $sanitizers -o "$out/unit" test/unit.c $plain
"$out/unit"

echo "sanitize: the parsers under $FUZZ_COUNT mutated datagrams"
$CC $strict $sanitizers -DSTANDALONE -o "$out/fuzz" test/fuzz_nfnl.c $plain
"$out/fuzz" "$FUZZ_COUNT" "${FUZZ_SEED:-1}"

if [ "${1:-}" = parsers ]; then exit 0; fi
if [ "$(id -u)" != 0 ]; then
	echo "sanitize: the addon is left out, since its tests need root for network namespaces" >&2
	exit 0
fi

echo "sanitize: the addon inside Node, on the kernel"
headers=$(node -e 'import("./build.js").then((b) => console.log(b.headersDirectory()))')
$CC $strict $sanitizers -DNAPI_VERSION=8 -isystem "$headers" -fPIC -shared -fvisibility=hidden \
	-o "$out/build/Release/nfqueue.node" src/*.c
cp index.js index.d.ts package.json "$out/"
cd ..
NFQUEUE_PACKAGE="$PWD/native/$out/index.js" \
	NFQUEUE_PRELOAD="$($CC -print-file-name=libasan.so):$($CC -print-file-name=libubsan.so)" \
	npx --no-install vitest run --project kernel --project long test/kernel/native-
