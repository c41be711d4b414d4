#!/bin/bash
# Builds what people install: for amd64 and arm64 a .deb that carries its own Node.js, and a tarball of the same tree.
#
#   npm run package [-- ARCH …]      into dist; ARCH: only these
#
# Takes some minutes of a processor; nothing else on the machine is to wait for it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'packages: %s\n' "$*"; }
bytes_max=$((33 * 1000 * 1000))

renice -n 15 -p $$ >/dev/null
if [ "$#" -eq 0 ]; then set -- amd64 arm64; fi
say 'building'
npm run --silent build
for arch in "$@"; do
  natives="dist/natives/$arch"
  say "Node.js and native parts for $arch"
  bash scripts/natives.sh "$arch" "$natives"
  bash scripts/package.sh --built --carry "$arch" "$natives"
  deb="dist/nfknock_$(node -p 'require("./package.json").version')_$arch.deb"
  size="$(stat -c %s "$deb")"
  if [ "$size" -gt "$bytes_max" ]; then
    printf 'packages: %s has %s bytes, and %s is the most that it may have\n' "$deb" "$size" "$bytes_max" >&2
    exit 1
  fi
done
