#!/usr/bin/env bash
# Tries dist/nfknock_*.deb on a clean Debian that boots with its own systemd, in namespaces of its own:
#
#   npm run package && bash scripts/try-package.sh [DIRECTORY]
#
# Installs, knocks, kills, reboots, removes, purges, and says of each what is open and what is closed. The Debian is
# bootstrapped into DIRECTORY once (a minute, 400 MB; default: /var/tmp/nfknock-debian) and never changed: what is done
# to it goes into a layer that is thrown away. Takes root, debootstrap and a Debian mirror.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# The first Debian whose Node.js is new enough.
readonly SUITE=trixie
readonly PACKAGES=nodejs,iptables,ipset,systemd,systemd-sysv,dbus,iproute2,procps,netcat-openbsd
readonly BOOT_SECONDS_MAX=60
base="${1:-/var/tmp/nfknock-debian}"
machine="nfkp$$-m" client="nfkp$$-c"
scratch="$(mktemp -d)"
init=''
failed=0

say() { printf 'try-package: %s\n' "$*"; }
fail() {
  printf 'try-package: %s\n' "$*" >&2
  exit 1
}

end_machine() {
  local pid
  for pid in $(ip netns pids "$machine" 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
  init=''
}
clean_up() {
  end_machine
  ip netns delete "$machine" 2>/dev/null || true
  ip netns delete "$client" 2>/dev/null || true
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

main() {
  [ "$(id -u)" -eq 0 ] || fail 'this needs root: run it with sudo'
  for tool in debootstrap unshare nsenter ip; do
    command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install debootstrap util-linux iproute2"
  done
  deb="$(find dist -maxdepth 1 -name "nfknock_*_$(dpkg --print-architecture).deb" 2>/dev/null | head -n 1 || true)"
  [ -n "$deb" ] || fail 'there is no package: run npm run package first'
  if [ ! -e "$base/etc/debian_version" ]; then
    say "bootstrapping Debian $SUITE into $base"
    rm -rf "$base"
    debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$base" >"$scratch/debootstrap.log" 2>&1 ||
      fail "debootstrap failed: $(tail -n 1 "$scratch/debootstrap.log")"
  fi
  make_network
  boot
  cp "$deb" "/proc/$init/root/root/nfknock.deb"
  try_all
  if [ "$failed" -gt 0 ]; then fail "$failed went wrong"; fi
  say 'everything was as it should be'
}

make_network() {
  ip netns add "$machine"
  ip netns add "$client"
  ip -n "$machine" link set lo up
  ip -n "$machine" link add eth0 type veth peer name eth0 netns "$client"
  ip -n "$client" address add 192.0.2.10/24 dev eth0
  ip -n "$client" link set eth0 up
}

# What a boot finds: the disk as it was, and a network with no rules.
boot() {
  mkdir -p "$scratch"/{upper,work,root}
  # shellcheck disable=SC2016 # in the machine
  setsid ip netns exec "$machine" unshare --pid --mount --uts --ipc --cgroup --fork sh -ec '
    mount --make-rprivate /
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
    cd "$2/root"
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    mount -t tmpfs tmpfs sys/fs/cgroup
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs dev
    for each in null zero full random urandom tty; do
      touch "dev/$each"
      mount --bind "/dev/$each" "dev/$each"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    mount -t tmpfs -o mode=755 tmpfs run
    mkdir -p .before
    pivot_root . .before
    umount -l /.before
    exec env -i container=other PATH=/usr/sbin:/usr/bin /sbin/init --show-status=false' \
    sh "$(realpath "$base")" "$scratch" </dev/null >"$scratch/console.log" 2>&1 &
  disown
  local waited pid
  for ((waited = 0; waited < BOOT_SECONDS_MAX * 10; waited += 1)); do
    for pid in $(ip netns pids "$machine"); do
      if grep -qs '^NSpid:.*[[:space:]]1$' "/proc/$pid/status" && [ "$(cat "/proc/$pid/comm")" = systemd ]; then
        init="$pid"
      fi
    done
    if [ -n "$init" ] && inside systemctl is-active --quiet basic.target 2>/dev/null; then
      serve
      return
    fi
    sleep 0.1
  done
  fail "the machine does not boot: $(tail -n 3 "$scratch/console.log")"
}

# What an administrator has set up: an address, and a service on port 22.
serve() {
  ip -n "$machine" address replace 192.0.2.1/24 dev eth0
  ip -n "$machine" link set eth0 up
  inside systemd-run --quiet --unit=service nc -lkN 22 >/dev/null
}

reboot() {
  inside systemctl poweroff >/dev/null 2>&1 || true
  local waited
  for ((waited = 0; waited < BOOT_SECONDS_MAX * 10; waited += 1)); do
    if [ ! -d "/proc/$init" ]; then break; fi
    sleep 0.1
  done
  end_machine
  ip netns delete "$machine"
  ip netns delete "$client"
  make_network
  boot
}

inside() {
  nsenter -t "$init" -a env -i PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# expect WHAT COMMAND…
expect() {
  local what="$1" said
  shift
  if said="$("$@" 2>&1)"; then
    printf '  ✓ %s\n' "$what"
  else
    printf '  ✗ %s: %s\n' "$what" "$(tail -n 3 <<<"$said")"
    failed=$((failed + 1))
  fi
}

is_open() { ip netns exec "$client" nc -z -w 2 192.0.2.1 22; }
is_closed() { ! ip netns exec "$client" nc -z -w 1 192.0.2.1 22; }
holds() { grep -q -e "$1" <<<"$("${@:2}" 2>&1)"; }
holds_not() { ! holds "$@"; }
# Within 20 s: a busy machine is no fault.
soon() {
  local tries
  for ((tries = 0; tries < 40; tries += 1)); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.5
  done
  "$@"
}
# The knock that the installation has drawn.
knock_from_outside() {
  local knock
  knock="$(inside sed -n 's/.*knock: \[\(.*\)\].*/\1/p' /etc/nfknock/nfknock.yaml | tr -d ,)"
  # shellcheck disable=SC2086 # several words
  ip netns exec "$client" node dist/bin/nfknock.js knock -d 50 192.0.2.1 $knock
}
kill_daemon() { inside sh -c 'kill -9 "$(systemctl show -p MainPID --value nfknock)"'; }

try_all() {
  say 'installing'
  expect 'the package installs on a clean Debian' inside apt-get install -y /root/nfknock.deb
  expect 'nothing is started' holds inactive inside systemctl is-active nfknock
  expect 'nothing is enabled' holds disabled inside systemctl is-enabled nfknock nfknock-rules
  expect 'the service is open as before' soon is_open
  expect 'a sequence was drawn, and is sound' inside nfknock check
  expect 'the manual is there' inside test -s /usr/share/man/man1/nfknock.1.gz
  expect 'systemd starts it' inside systemctl enable --now nfknock

  say 'serving'
  expect 'the service is closed' is_closed
  expect 'a knock goes out' knock_from_outside
  expect 'and lets in' soon is_open
  expect 'the daemon has one capability' \
    holds 0000000000001000 inside sh -c 'grep CapEff "/proc/$(systemctl show -p MainPID --value nfknock)/status"'
  expect 'the exposure that systemd sees is 1.5' holds 'level for nfknock.service: 1.5' inside systemd-analyze security --no-pager nfknock
  expect 'a ban is made' inside nfknock ban 203.0.113.9 --for 1h
  expect 'a grant is made' inside nfknock grant ssh 192.0.2.10 --for 1h --reason 'as by hand'
  expect 'it is killed' kill_daemon
  expect 'who was let in is let in meanwhile' is_open
  expect 'and systemd has it back' soon inside nfknock status

  say 'rebooting'
  reboot
  expect 'the rules were laid before the network' inside systemctl is-active nfknock-rules
  expect 'the daemon serves again' soon inside nfknock status
  expect 'the grant is in force' is_open
  expect 'with its reason' holds 'as by hand' inside nfknock grants
  expect 'the ban is in force' holds 203.0.113.9 inside ipset list nfknock-ban4
  expect 'taken back, the grant is over' inside nfknock revoke 192.0.2.10
  expect 'and the service closed' is_closed

  say 'removing'
  expect 'the package is removed' inside apt-get remove -y nfknock
  expect 'the service stays closed' is_closed
  reboot
  expect 'after the next boot, too' is_closed
  expect 'the package is purged' inside apt-get purge -y nfknock
  expect 'the service is open' soon is_open
  expect 'no rule is left' holds_not NFKNOCK inside sh -c 'iptables-save; ip6tables-save'
  expect 'no set is left' holds_not nfknock inside ipset list -n
  expect 'no file is left' holds_not nfknock inside find /etc /var/lib /usr/bin /usr/lib/systemd -name '*nfknock*' -not -path '/var/lib/dpkg/*'
}

main
