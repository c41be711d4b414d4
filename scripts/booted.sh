# shellcheck shell=bash
# A clean Debian that boots with its own systemd, in namespaces of its own (scripts/boot-root.sh): for
# scripts/try-package.sh and try-init.sh, which read this. A root is bootstrapped once for each suite (a minute, 400 MB,
# /var/tmp/nfknock-SUITE) and never changed: what is done to it goes into a layer that is thrown away.
#
#    machine 192.0.2.1, a service on port 22 ─── client 192.0.2.10, a stranger 192.0.2.66
#
# Who reads this has set NAME (what speaks), and calls `each_suite TRY [SUITE …]`; TRY, which is told the suite, calls
# `new_machine SUITE [PACKAGES]` for each machine.

readonly BOOT_SECONDS_MAX=60
# What the package depends on, and what a machine has; there is no network to fetch more from.
readonly BOOTED_PACKAGES=iptables,ipset,systemd,systemd-sysv,dbus,iproute2,procps,netcat-openbsd,libatomic1
machine="nfkp$$-m" client="nfkp$$-c"
scratch=''
base=''
init=''
failed=0
passed=0

say() { printf '%s: %s\n' "$NAME" "$*"; }
fail() {
  printf '%s: %s\n' "$NAME" "$*" >&2
  exit 1
}

begin() {
  [ "$(id -u)" -eq 0 ] || fail 'this needs root: run it with sudo'
  for tool in debootstrap unshare nsenter ip; do
    command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install debootstrap util-linux iproute2"
  done
  deb="$(find dist -maxdepth 1 -name "nfknock_*_$(dpkg --print-architecture).deb" 2>/dev/null | head -n 1 || true)"
  [ -n "$deb" ] || fail 'there is no package: run npm run package first'
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# each_suite TRY [SUITE …]: says how it ended, and fails where something did.
each_suite() {
  local try="$1" suite
  shift
  begin
  if [ "$#" -eq 0 ]; then set -- bookworm trixie; fi
  for suite in "$@"; do "$try" "$suite"; done
  summary
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
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
}

# new_machine SUITE [PACKAGES]: one that nothing was ever done to, booted, with the package in /root.
new_machine() {
  local suite="$1" more="${2:-}"
  clean_up
  scratch="$(mktemp -d)"
  base="/var/tmp/nfknock-$suite${more:+-with-${more//,/-}}"
  if [ ! -e "$base/.ready" ]; then
    say "bootstrapping Debian $suite into $base"
    rm -rf "$base"
    debootstrap --variant=minbase --include="$BOOTED_PACKAGES${more:+,$more}" "$suite" "$base" >"$scratch/debootstrap.log" 2>&1 ||
      fail "debootstrap failed: $(tail -n 1 "$scratch/debootstrap.log")"
    touch "$base/.ready"
  fi
  make_network
  boot
  cp "$deb" "/proc/$init/root/root/nfknock.deb"
}

make_network() {
  ip netns add "$machine"
  ip netns add "$client"
  ip -n "$machine" link set lo up
  ip -n "$machine" link add eth0 type veth peer name eth0 netns "$client"
  ip -n "$client" address add 192.0.2.10/24 dev eth0
  ip -n "$client" address add 192.0.2.66/24 dev eth0
  ip -n "$client" link set eth0 up
}

# What a boot finds: the disk as it was, and a network with no rules.
boot() {
  mkdir -p "$scratch"/{upper,work,root}
  setsid ip netns exec "$machine" unshare --pid --mount --uts --ipc --cgroup --fork \
    sh scripts/boot-root.sh "$(realpath "$base")" "$scratch" </dev/null >"$scratch/console.log" 2>&1 &
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
  # It holds a connection open; others wait behind it, and are connected all the same.
  inside systemd-run --quiet --unit=service sh -c 'sleep infinity | exec nc -lk 22' >/dev/null
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
    passed=$((passed + 1))
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
is_closed_to_strangers() { ! ip netns exec "$client" nc -z -w 1 -s 192.0.2.66 192.0.2.1 22; }

summary() {
  printf '%s: %d passed, %d failed\n' "$NAME" "$passed" "$failed"
  [ "$failed" -eq 0 ]
}
