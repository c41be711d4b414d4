#!/usr/bin/env bash
# Proves the set-up's list. In a bare Debian root (debootstrap), which has nothing but Node.js and npm, it runs the whole
# set-up and then a test of each program that tests call, so that a program that happens to be at hand hides nothing.
#
#   bash scripts/clean-root.sh [--all [--times 3]] [--suite bookworm]
#
# --all runs `npm run demo` and `npm test` there instead, from a fresh clone each time. Needs root and Debian's packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

suite=bookworm
all=no
times=1
while [ "$#" -gt 0 ]; do
  case "$1" in
    --all) all=yes ;;
    --times) times="${2:?--times wants a number, such as 3}"; shift ;;
    --suite) suite="${2:?--suite wants a name, such as bookworm}"; shift ;;
    *) echo "clean-root: unknown: $1; usage: bash scripts/clean-root.sh [--all [--times 3]] [--suite bookworm]" >&2; exit 2 ;;
  esac
  shift
done

# One test of each program that tests call, and the programs that it shows.
TESTS=(
  'test/clients/knock.test.ts'       # knock
  'test/clients/nmap.test.ts'        # nmap
  'test/clients/openers.test.ts'     # telnet, nc, hping3, fwknop, curl, ssh
  'test/clients/peers-knockd.test.ts' # knockd
  'test/kernel/firewall-life.test.ts' # iptables, ip6tables, ipset, nft
  'test/kernel/replay-nflog.test.ts' # tcpdump
  'test/kernel/replay-wire.test.ts'  # tcpreplay, ethtool
  'test/kernel/native-nfqueue.test.ts' # cc, socat
  'test/kernel/firewalld.test.ts'     # firewalld, dbus-daemon
  'test/unit/cli/completion.test.ts'   # zsh, bash, tmux
  'test/unit/docs/man.test.ts'         # groff
  'test/unit/report/browser.test.ts'   # chromium
)

fail() { printf 'clean-root: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail 'this needs root, for debootstrap and network namespaces: run it again with sudo.'
command -v git >/dev/null || fail 'git is missing, which lists what belongs to the tree: apt-get install git'
if ! command -v debootstrap >/dev/null; then
  apt-get -o DPkg::Lock::Timeout=300 update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends debootstrap >/dev/null
fi

if [ "${CLEAN_ROOT_INSIDE:-}" != yes ]; then
  # Mounts of its own, which end with this process whatever becomes of it.
  root="$(mktemp -d /var/tmp/nfknock-root.XXXXXX)"
  # As any root: other users walk through it.
  chmod 755 "$root"
  # What a test has left running in there would keep its mounts.
  clean_up() {
    local each
    for each in /proc/[0-9]*; do
      if [ "$(cat "$each/root/.bare-root" || true)" = "$root" ]; then kill -KILL "${each#/proc/}" || true; fi
    done 2>/dev/null
    rm -rf --one-file-system "$root"
  }
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  arguments=(--suite "$suite")
  if [ "$all" = yes ]; then arguments+=(--all --times "$times"); fi
  code=0
  CLEAN_ROOT_INSIDE=yes CLEAN_ROOT="$root" unshare --mount --propagation private \
    bash scripts/clean-root.sh "${arguments[@]}" || code=$?
  exit "$code"
fi

root="$CLEAN_ROOT"
say() { printf '\n── %s\n' "$*"; }

mirror="$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)"
[ -n "$mirror" ] || mirror="$(awk '/^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) {print $i; exit}}' /etc/apt/sources.list 2>/dev/null || true)"
say "a bare root: debootstrap --variant=minbase $suite"
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; rm -f "$root.log"; fail 'debootstrap failed; its last lines are above.'; }
rm -f "$root.log"

# Node.js and npm are what whoever builds brings along; certificates and the ways to packages are the machine's.
node="$(readlink -f "$(command -v node)")"
npm="$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")"
mkdir -p "$root/usr/local/bin" "$root/usr/local/lib/node_modules" "$root/usr/local/include"
cp "$node" "$root/usr/local/bin/node"
cp -r "$npm" "$root/usr/local/lib/node_modules/npm"
for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$root/usr/local/bin/$name"; done
headers="$(dirname "$(dirname "$node")")/include/node"
if [ -e "$headers/node_api.h" ]; then cp -r "$headers" "$root/usr/local/include/node"; fi
for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt /root/.npmrc; do
  if [ -e "$file" ]; then mkdir -p "$root$(dirname "$file")"; cp -L "$file" "$root$file"; fi
done
# The package ca-certificates makes its list anew; whom else this machine trusts stands here.
if [ -d /usr/local/share/ca-certificates ]; then
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp -rL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
fi
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
rm -f "$root"/etc/apt/apt.conf.d/*{packagekit,appstream}*
sources=''
for kind in '' '-updates'; do sources="$sources $suite$kind"; done
printf 'Types: deb\nURIs: %s\nSuites:%s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
  "$mirror" "$sources" >"$root/etc/apt/sources.list.d/debian.sources"
rm -f "$root/etc/apt/sources.list"

fresh_clone() {
  rm -rf "$root/nfknock"
  mkdir "$root/nfknock"
  git ls-files -z | tar --null --files-from=- --create | tar --extract --directory "$root/nfknock"
}

# The root of a namespace is to be a mount of its own: `ip netns exec` changes it.
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/lib/modules"
if [ -d /lib/modules ]; then mount --rbind /lib/modules "$root/lib/modules"; fi

# The root of its own mounts, not a folder that is called the root: in that the kernel permits no user namespace.
inside() {
  # shellcheck disable=SC2016
  unshare --mount --propagation private bash -c 'cd "$0" && pivot_root . .outside && exec chroot . /usr/bin/env "$@"' "$root" \
    HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin CLEAN_ROOT_INSIDE= CLEAN_ROOT= \
    bash -c 'umount -l /.outside && cd /nfknock && exec "$@"' inside "$@"
}
printf '%s\n' "$root" >"$root/.bare-root"
mkdir "$root/.outside"
failed=0
if [ "$all" = yes ]; then
  for ((time = 1; time <= times; time++)); do
    say "npm run demo and npm test, in a fresh clone, time $time of $times"
    started=$SECONDS
    fresh_clone
    inside npm run demo || failed=1
    inside npm test || failed=1
    say "time $time of $times took $((SECONDS - started)) s"
  done
  exit "$failed"
fi
say 'the whole set-up, in it'
fresh_clone
inside bash scripts/setup.sh tests
# Each by itself: one that belongs to no project any more is no test, and fails.
for each in "${TESTS[@]}"; do
  say "$each"
  inside node_modules/.bin/vitest run --project unit --project kernel --project long --no-allowOnly "$each" || failed=1
done
[ "$failed" -eq 0 ] || fail 'a test failed in the bare root: what it calls is not in the list of scripts/setup.sh, or the reason is above.'
printf '\nclean-root: the set-up installs all that these tests call.\n'
