#!/bin/bash
# Proves that a commit gives the same packages to everybody, byte for byte: builds them in two fresh clones that differ in
# folder, language, time zone and umask, and compares. Then lintian reads them, and nothing that it warns of may be there.
#
#   bash scripts/try-reproduce.sh [ARCH …]        of what is committed; default: amd64
#
# Takes some minutes of a processor for each clone. The packages are left in dist/reproduced.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'try-reproduce: %s\n' "$*"; }
fail() {
  printf 'try-reproduce: %s\n' "$*" >&2
  exit 1
}
for tool in git lintian npm; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install git lintian"
done
if [ "$#" -eq 0 ]; then set -- amd64; fi

# The second clone is made minutes later.
commit="$(git rev-parse HEAD)"
renice -n 15 -p $$ >/dev/null
scratch="$(mktemp -d /var/tmp/nfknock-reproduce.XXXXXX)"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# build FOLDER ARCH…
build() {
  local folder="$1"
  shift
  say "a clone in $folder"
  git clone -q --no-hardlinks . "$folder"
  cd "$folder"
  git checkout -q --detach "$commit"
  # What runs is compiled by the build; of the other compiled packages only what natives.sh makes goes into the package.
  npm ci --ignore-scripts --no-audit --no-fund --silent
  npm run --silent package -- "$@" >"$scratch/log" 2>&1 || {
    tail -n 30 "$scratch/log" >&2
    fail "no package comes of $folder"
  }
}
(
  umask 022
  export TZ=UTC LC_ALL=C
  build "$scratch/first" "$@"
)
(
  umask 077
  export TZ=Asia/Kathmandu LC_ALL=C.UTF-8
  build "$scratch/the second/one" "$@"
)

mkdir -p dist/reproduced
for arch in "$@"; do
  for file in "$scratch"/first/dist/nfknock_*_"$arch".deb "$scratch"/first/dist/nfknock-*-linux-"$arch".tar.xz; do
    cmp "$file" "$scratch/the second/one/dist/$(basename "$file")" || fail "$(basename "$file") is not the same twice"
    cp "$file" dist/reproduced/
    say "the same twice: $(basename "$file"), $(stat -c %s "$file") bytes"
  done
  # It reads a package as whoever may read it.
  lintian --no-cfg --fail-on error,warning "dist/reproduced/nfknock_"*"_$arch.deb" ||
    fail 'lintian has found something, as above'
  say "lintian finds nothing in that of $arch"
done
