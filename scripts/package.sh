#!/bin/bash
# Builds a nfknock_VERSION_ARCH.deb from this tree. `npm run package` (scripts/packages.sh) builds them all.
#
#   bash scripts/package.sh [--built] [--carry ARCH NATIVES] [DIRECTORY]
#
# --built: of what is built already; DIRECTORY: instead of dist. With --carry the package carries its own Node.js and the
# native parts that scripts/natives.sh has put into NATIVES, and needs nothing but iptables; a tarball of the same tree
# lies beside it. Without, Node.js comes from the machine that it is installed on: what is compiled for better-sqlite3
# then fits one major version of it, the one that runs this script, and the package depends on that one.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'package: %s\n' "$*"; }
fail() {
  printf 'package: %s\n' "$*" >&2
  exit 1
}

build=yes
if [ "${1:-}" = --built ]; then build=no && shift; fi
arch="$(dpkg --print-architecture)"
natives=''
if [ "${1:-}" = --carry ]; then
  arch="${2:?--carry wants amd64 or arm64}"
  natives="$(realpath "${3:?--carry wants the directory that natives.sh has filled}")"
  shift 3
fi
into="${1:-dist}"

for tool in dpkg-deb dpkg-shlibdeps gzip xz; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install dpkg-dev"
done
[ -d node_modules ] || fail 'no npm packages: run npm ci'

version="$(node -p 'require("./package.json").version')"
case "$arch" in
amd64) npm_arch=x64 ;;
*) npm_arch="$arch" ;;
esac
node_major="$(node -p 'process.versions.node.split(".")[0]')"
# Files bear the time of the last commit, so that the same tree gives the same package.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
deb="$into/nfknock_${version}_${arch}.deb"
maintainer='nfknock maintainers <nfknock@localhost>'

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
# What the linker left there is of the machine that built, whatever this package is for.
find "$modules" -path '*/build/Release/obj.target/*' -type f -delete
find "$modules" -name .npmignore -delete
rm -rf "$modules"/@nfknock/nfqueue/build/sanitize "$modules"/@nfknock/nfqueue/{test,src,binding.gyp,build.js}
rm -f "$modules"/better-sqlite3/build/Release/test_extension.node
find "$modules" -path '*/prebuilds/*' -type f ! -path "*/linux-$npm_arch/*" -delete
find "$modules" -name '*.md' ! -iname 'licen[cs]e*' -delete
find "$modules" -type f \( -name '*.html' -o -name .travis.yml -o -name Makefile -o -path '*/examples/*' \) -delete
find "$modules" -type d -empty -delete

sqlite="$modules/better-sqlite3/build/Release/better_sqlite3.node"
nfqueue="$modules/@nfknock/nfqueue/build/Release/nfqueue.node"
if [ -n "$natives" ]; then
  install -m 0755 "$natives/node" "$lib/node"
  install -D -m 0644 "$natives/better_sqlite3.node" "$sqlite"
  install -D -m 0644 "$natives/nfqueue.node" "$nfqueue"
else
  for module in "$sqlite" "$nfqueue"; do
    [ -f "$module" ] || fail "$module is missing: run npm run build"
    strip --strip-unneeded "$module"
  done
fi

install -D -m 0755 deploy/boot-rules "$lib/boot-rules"
install -D -m 0755 deploy/nfknock-knock.sh "$lib/deploy/nfknock-knock.sh"
mkdir -p "$root/usr/bin"
if [ -n "$natives" ]; then
  printf '#!/bin/sh\nexec /usr/lib/nfknock/node /usr/lib/nfknock/dist/bin/nfknock.js "$@"\n' >"$root/usr/bin/nfknock"
  chmod 0755 "$root/usr/bin/nfknock"
  # Nobody's other Node.js is to run it.
  sed -i '1{/^#!/d}' "$lib/dist/bin/nfknock.js"
  chmod 0644 "$lib/dist/bin/nfknock.js"
else
  ln -s ../lib/nfknock/dist/bin/nfknock.js "$root/usr/bin/nfknock"
fi
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
  for each in dist/bin/LICENCES.txt dist/report/charting.LICENCES.txt; do cat "$each" && printf '\n\n'; done
  node scripts/production.mjs | sed 's|^|node_modules/|' | xargs node scripts/licences.mjs
  if [ -n "$natives" ]; then
    node_title="Node.js $(node -p 'require("./package.json").config.node'), which stands in /usr/lib/nfknock/node: see below"
    printf '\n\n%s\n%s\n' "$node_title" "${node_title//?/=}"
    cat "$natives/LICENSE"
  fi
} >"$doc/third-party-licences.txt"
{
  cat LICENSE
  printf '\nInside are, each under its own terms, which stand in third-party-licences.txt beside this file:\n\n'
  grep -B 1 -E '^=+$' "$doc/third-party-licences.txt" | grep -vE '^(=+|--)$' | sed 's/: see below$//; s/^/  /'
  printf '\nOn Debian the Apache License 2.0 is also in /usr/share/common-licenses/Apache-2.0.\n'
} >"$doc/copyright"
for each in README.md CHANGELOG.md ARCHITECTURE.md docs/*.md docs/*.schema.json; do
  if [ -f "$each" ]; then install -m 0644 -t "$doc" "$each"; fi
done
mkdir -p "$doc/examples"
cp -r examples/. "$doc/examples/" 2>/dev/null || true
cp -r deploy/prometheus*.yml deploy/grafana-dashboard.json deploy/logrotate "$doc/examples/"
if [ -f "$doc/CHANGELOG.md" ]; then gzip -9n "$doc/CHANGELOG.md"; fi
# In Debian's form, as apt-listchanges reads it.
printf 'nfknock (%s) stable; urgency=medium\n\n  * What changed is in CHANGELOG.md.gz beside this file.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9nc >"$doc/changelog.gz"

for section in 1 5; do
  mkdir -p "$root/usr/share/man/man$section"
  for each in docs/man/*."$section"; do
    gzip -9nc "$each" >"$root/usr/share/man/man$section/$(basename "$each").gz"
  done
done
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions"
node "$lib/dist/bin/nfknock.js" completion bash >"$root/usr/share/bash-completion/completions/nfknock"
node "$lib/dist/bin/nfknock.js" completion zsh >"$root/usr/share/zsh/vendor-completions/_nfknock"
mkdir -p "$root/usr/share/fish/vendor_completions.d"
node "$lib/dist/bin/nfknock.js" completion fish >"$root/usr/share/fish/vendor_completions.d/nfknock.fish"

overrides="$root/usr/share/lintian/overrides/nfknock"
mkdir -p "$(dirname "$overrides")"
{
  echo '# Whoever publishes packages puts an address of his own into scripts/package.sh.'
  echo 'nfknock: bogus-mail-host Maintainer *'
  echo 'nfknock: bogus-mail-host-in-debian-changelog *'
  if [ -n "$natives" ]; then
    echo '# Node.js as nodejs.org publishes it, so that the package needs none of the system.'
    for tag in 'embedded-library *' hardening-no-pie; do echo "nfknock: $tag [usr/lib/nfknock/node]"; done
  fi
} >"$overrides"

say 'describing'
if [ -n "$natives" ]; then
  libraries="$(cat "$natives/libraries")"
else
  # dpkg-shlibdeps wants to stand beside a debian/control.
  mkdir -p "$stage/debian"
  printf 'Source: nfknock\n\nPackage: nfknock\nArchitecture: any\n' >"$stage/debian/control"
  libraries="nodejs (>= 20.19), nodejs (>= $node_major), nodejs (<< $((node_major + 1))~), $(cd "$stage" && find "$lib" -name '*.node' -exec dpkg-shlibdeps -O --ignore-missing-info {} + 2>/dev/null |
    sed -n 's/^shlibs:Depends=//p')"
fi
cat >"$root/DEBIAN/control" <<END
Package: nfknock
Version: $version
Architecture: $arch
Section: net
Priority: optional
Maintainer: $maintainer
Depends: iptables, ipset${libraries:+, ${libraries%, }}
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
if [ -z "$natives" ]; then chmod 0755 "$lib/dist/bin/nfknock.js"; fi
find "$root" -print0 | xargs -0 touch --no-dereference --date="@$SOURCE_DATE_EPOCH"

say 'packing'
# One thread: how xz cuts its blocks would else depend on the machine.
dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$root" "$deb" >/dev/null
say "$deb ($(du -h "$deb" | cut -f 1)); install it with: apt-get install $(realpath "$deb")"

if [ -n "$natives" ]; then
  tarball="$into/nfknock-$version-linux-$arch.tar.xz"
  tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --transform "s,^usr,nfknock-$version/usr," -cf - usr | xz -6 -T 1 >"$tarball"
  say "$tarball ($(du -h "$tarball" | cut -f 1)); unpack it with: tar -C / --strip-components=1 -xf $(basename "$tarball")"
fi
