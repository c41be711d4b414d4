#!/bin/bash
# Builds dist/nfknock_VERSION_ARCH.deb from this tree. Run through `npm run package`.
#
#   bash scripts/package.sh [--built] [DIRECTORY]   --built: of what is built already; DIRECTORY: instead of dist
#
# The package brings the program, its npm packages and its native parts; Node.js comes from the machine. What is
# compiled for better-sqlite3 fits one major version of Node.js, the one that runs this script, so the package
# depends on that one.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'package: %s\n' "$*"; }
fail() {
  printf 'package: %s\n' "$*" >&2
  exit 1
}

build=yes
if [ "${1:-}" = --built ]; then build=no && shift; fi
into="${1:-dist}"

for tool in dpkg-deb dpkg-shlibdeps gzip; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install dpkg-dev"
done
[ -d node_modules ] || fail 'no npm packages: run npm ci'

version="$(node -p 'require("./package.json").version')"
arch="$(dpkg --print-architecture)"
node_major="$(node -p 'process.versions.node.split(".")[0]')"
# Files bear the time of the last commit, so that the same tree gives the same package.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
deb="$into/nfknock_${version}_${arch}.deb"

stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT
root="$stage/root"
lib="$root/usr/lib/nfknock"

if [ "$build" = yes ]; then
  say 'building'
  npm run --silent build
fi

say 'gathering'
mkdir -p "$lib/node_modules" "$lib/dist/report" "$root/DEBIAN"
cp -r iptables package.json LICENSE "$lib/"
# Of the build what runs. The rest is what that was made of, and what earlier builds have left there.
cp -r dist/bin "$lib/dist/"
find "$lib/dist" -name '*.map' -delete
cp dist/report/charting.min.js "$lib/dist/report/"
node scripts/production.mjs | while read -r package; do
  mkdir -p "$lib/node_modules/$package"
  # -h: the workspace package is a link in node_modules.
  tar -C "node_modules/$package" -h \
    --exclude='*.map' --exclude='*.ts' --exclude='*.mts' --exclude='*.cts' --exclude='*.o' --exclude='*.a' \
    --exclude='./src/*.c' --exclude='./src/*.h' --exclude='./test' --exclude='./tests' --exclude='./benchmark*' \
    --exclude='./node_modules/.cache' --exclude='./.github' \
    -cf - . | tar -C "$lib/node_modules/$package" -xf -
done

# What these packages bring for compiling them, and binaries for other machines.
modules="$lib/node_modules"
rm -rf "$modules"/@types "$modules"/better-sqlite3/{deps,src,binding.gyp}
find "$modules" -path '*/build/*' -type f ! -path '*/build/Release/*.node' -delete
rm -rf "$modules"/@nfknock/nfqueue/build/sanitize "$modules"/@nfknock/nfqueue/{test,src,binding.gyp,build.js}
rm -f "$modules"/better-sqlite3/build/Release/test_extension.node
find "$modules" -path '*/prebuilds/*' -type f ! -path "*/linux-$(node -p process.arch)/*" -delete
find "$modules" -name '*.md' ! -iname 'licen[cs]e*' -delete
find "$modules" -type d -empty -delete

for module in "$modules"/better-sqlite3/build/Release/better_sqlite3.node "$modules"/@nfknock/nfqueue/build/Release/nfqueue.node; do
  [ -f "$module" ] || fail "$module is missing: run npm run build"
  strip --strip-unneeded "$module"
done

install -D -m 0755 deploy/boot-rules "$lib/boot-rules"
install -D -m 0755 deploy/nfknock-knock.sh "$lib/deploy/nfknock-knock.sh"
mkdir -p "$root/usr/bin"
ln -s ../lib/nfknock/dist/bin/nfknock.js "$root/usr/bin/nfknock"
install -D -m 0644 -t "$root/usr/lib/systemd/system" deploy/systemd/*.service
for service in nftables netfilter-persistent iptables ip6tables ufw firewalld; do
  install -D -m 0644 deploy/systemd/beside.conf "$root/usr/lib/systemd/system/$service.service.d/nfknock.conf"
done
install -D -m 0644 -t "$root/usr/lib/sysusers.d" deploy/sysusers.d/nfknock.conf
install -D -m 0644 deploy/debian/nfknock.yaml "$root/usr/share/nfknock/nfknock.yaml"
install -m 0755 deploy/debian/draw-knock "$lib/draw-knock"

doc="$root/usr/share/doc/nfknock"
# The terms of nfknock, and of what is inside it. Packages in node_modules bring their own;
# they are here too, where an owner looks.
mkdir -p "$doc"
{
  cat LICENSE
  for each in dist/bin/LICENCES.txt dist/report/charting.LICENCES.txt; do printf '\n\n' && cat "$each"; done
  node scripts/production.mjs | sed 's|^|node_modules/|' | xargs node scripts/licences.mjs
} >"$doc/copyright"
for each in README.md CHANGELOG.md ARCHITECTURE.md docs/*.md docs/*.schema.json; do
  if [ -f "$each" ]; then install -m 0644 -t "$doc" "$each"; fi
done
mkdir -p "$doc/examples"
cp -r examples/. "$doc/examples/" 2>/dev/null || true
cp -r deploy/prometheus*.yml deploy/grafana-dashboard.json deploy/logrotate "$doc/examples/"
if [ -f "$doc/CHANGELOG.md" ]; then gzip -9n "$doc/CHANGELOG.md"; fi

for section in 1 5; do
  mkdir -p "$root/usr/share/man/man$section"
  for each in docs/man/*."$section"; do
    gzip -9nc "$each" >"$root/usr/share/man/man$section/$(basename "$each").gz"
  done
done
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions"
node "$lib/dist/bin/nfknock.js" completion bash >"$root/usr/share/bash-completion/completions/nfknock"
node "$lib/dist/bin/nfknock.js" completion zsh >"$root/usr/share/zsh/vendor-completions/_nfknock"

say 'describing'
# dpkg-shlibdeps wants to stand beside a debian/control.
mkdir -p "$stage/debian"
printf 'Source: nfknock\n\nPackage: nfknock\nArchitecture: any\n' >"$stage/debian/control"
libraries="$(cd "$stage" && find "$lib" -name '*.node' -exec dpkg-shlibdeps -O --ignore-missing-info {} + 2>/dev/null |
  sed -n 's/^shlibs:Depends=//p')"
cat >"$root/DEBIAN/control" <<END
Package: nfknock
Version: $version
Architecture: $arch
Section: net
Priority: optional
Maintainer: nfknock maintainers <nfknock@localhost>
Depends: nodejs (>= 20.19), nodejs (>= $node_major), nodejs (<< $((node_major + 1))~), iptables, ipset${libraries:+, $libraries}
Recommends: systemd
Suggests: prometheus
Installed-Size: $(du -k -s --apparent-size "$root" | cut -f 1)
Description: port-knocking firewall daemon
 Services behind nfknock are closed to everyone. Who knocks at the right ports
 in the right order is let in, alone and for a while; who knocks wrong, scans or
 touches a decoy is banned. Packets are dropped by the kernel whatever the
 daemon does, and a daemon that is dead leaves every protected port closed.
END
install -m 0755 -t "$root/DEBIAN" deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
chmod -R u=rwX,go=rX "$root"
chmod 0755 "$lib/dist/bin/nfknock.js"
find "$root" -print0 | xargs -0 touch --no-dereference --date="@$SOURCE_DATE_EPOCH"

say 'packing'
dpkg-deb --root-owner-group -Zxz --build "$root" "$deb" >/dev/null
say "$deb ($(du -h "$deb" | cut -f 1)); install it with: apt-get install $(realpath "$deb")"
