# shellcheck shell=bash
# A clean Debian that boots with its own systemd, in namespaces of its own (scripts/boot-root.sh): for
# scripts/try-package.sh, try-init.sh, try-stand-down.sh and try-typed.sh, which read this. A root is bootstrapped once for
# each suite (a minute, 400 MB, /var/tmp/nfknock-SUITE) and never changed: what is done to it goes into a layer that is
# thrown away.
#
#    machine 192.0.2.1, a service on port 22 ─── client 192.0.2.10, a stranger 192.0.2.66
#
# Who reads this has set NAME (what speaks), and calls `each_suite TRY [SUITE …]`; TRY, which is told the suite, calls
# `new_machine SUITE ['PACKAGE …']` for each machine.

readonly BOOT_SECONDS_MAX=60
# What the package depends on, and what a machine has; there is no network to fetch more from.
readonly BOOTED_PACKAGES=iptables,ipset,systemd,systemd-sysv,dbus,iproute2,procps,netcat-openbsd,libatomic1
machine="nfkp$$-m" client="nfkp$$-c"
scratch=''
base=''
init=''
session=''
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
  trap end EXIT
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
# Who reads this may have more to end.
on_clean_up() { :; }
clean_up() {
  on_clean_up
  end_machine
  ip netns delete "$machine" 2>/dev/null || true
  ip netns delete "$client" 2>/dev/null || true
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
}

# What is kept until this script ends, whoever reads this gives up here.
on_end() { :; }
end() {
  clean_up
  on_end
}

# new_machine SUITE ['PACKAGE …']: one that nothing was ever done to, booted, with the package in /root.
new_machine() {
  local suite="$1" more="${2:-}"
  clean_up
  scratch="$(mktemp -d)"
  provide_root "$suite"
  if [ -n "$more" ]; then provide_root_with "$more"; fi
  make_network
  boot
  cp "$deb" "/proc/$init/root/root/nfknock.deb"
}

# What is half made is in nobody's way.
provide_root() {
  base="/var/tmp/nfknock-$1"
  if [ -e "$base/.ready" ]; then return; fi
  say "bootstrapping Debian $1 into $base"
  rm -rf --one-file-system "$base"
  debootstrap --variant=minbase --include="$BOOTED_PACKAGES" "$1" "$base" >"$scratch/debootstrap.log" 2>&1 ||
    fail "debootstrap failed: $(tail -n 1 "$scratch/debootstrap.log")"
  touch "$base/.ready"
}

# provide_root_with 'PACKAGE …': the same with more, and what that depends on.
provide_root_with() {
  local bare="$base"
  base="$bare-with-${1// /-}"
  if [ -e "$base/.ready" ]; then return; fi
  say "installing $1 in $base"
  rm -rf --one-file-system "$base"
  cp -a "$bare" "$base"
  rm "$base/.ready"
  cp /etc/resolv.conf "$base/etc/resolv.conf"
  # shellcheck disable=SC2016 # in the root
  chroot "$base" env DEBIAN_FRONTEND=noninteractive sh -ec '
    apt-get update -q
    apt-get install -y -q --no-install-recommends $1
    apt-get clean' sh "$1" >"$scratch/apt.log" 2>&1 || fail "apt-get failed: $(tail -n 1 "$scratch/apt.log")"
  touch "$base/.ready"
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
  write_network_unit
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
    if [ -n "$init" ] && inside systemctl is-active --quiet trial-network.service 2>/dev/null; then
      serve
      return
    fi
    sleep 0.1
  done
  fail "the machine does not boot: $(tail -n 3 "$scratch/console.log")"
}

# An address, when Debian's own networking.service would set it.
write_network_unit() {
  local units="$scratch/upper/etc/systemd/system"
  mkdir -p "$units/multi-user.target.wants"
  cat >"$units/trial-network.service" <<'END_OF_UNIT'
[Unit]
After=network-pre.target
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip address replace 192.0.2.1/24 dev eth0
ExecStart=ip link set eth0 up
END_OF_UNIT
  ln -sf ../trial-network.service "$units/multi-user.target.wants/"
}

# A service on port 22, which says what it is told.
serve() {
  # shellcheck disable=SC2016 # of Perl
  inside systemd-run --quiet --unit=service perl -MIO::Socket::INET -e '
    $SIG{CHLD} = "IGNORE";
    my $served = IO::Socket::INET->new(LocalPort => 22, Listen => 128, ReuseAddr => 1) or die;
    while (my $client = $served->accept) {
      if (fork == 0) { while (sysread($client, my $text, 999)) { syswrite($client, $text) } exit }
    }' >/dev/null
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

# begin_session ADDRESS: one that stays; end_session ends it.
begin_session() {
  mkfifo "$scratch/said"
  ip netns exec "$client" nc -s "$1" 192.0.2.1 22 <"$scratch/said" >"$scratch/heard" &
  session=$!
  exec 8>"$scratch/said"
}
session_lives() {
  local word="word $RANDOM $RANDOM"
  echo "$word" >&8
  sleep 0.5
  holds "$word" cat "$scratch/heard"
}
end_session() {
  exec 8>&-
  kill "$session" 2>/dev/null || true
  rm -f "$scratch/said" "$scratch/heard"
}

is_open() { ip netns exec "$client" nc -z -w 2 192.0.2.1 22; }
is_closed() { ! ip netns exec "$client" nc -z -w 1 192.0.2.1 22; }
# The knock that the installation has drawn, by the client of this tree.
knock_from_outside() {
  local knock
  knock="$(inside sed -n 's/.*knock: \[\(.*\)\].*/\1/p' /etc/nfknock/nfknock.yaml | tr -d ,)"
  # shellcheck disable=SC2086 # several words
  ip netns exec "$client" node dist/bin/nfknock.js knock -d 50 192.0.2.1 $knock
}
# holds PATTERN COMMAND…: what it says has that; else it is shown.
holds() {
  local text
  text="$("${@:2}" 2>&1)" || true
  grep -q -e "$1" <<<"$text" || {
    echo "$text"
    return 1
  }
}
holds_not() { ! holds "$@"; }
# soon_within SECONDS COMMAND…
soon_within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then
      "$@"
      return
    fi
    sleep 0.5
  done
}
# A busy machine is no fault.
soon() { soon_within 20 "$@"; }
is_open_to_strangers() { ip netns exec "$client" nc -z -w 2 -s 192.0.2.66 192.0.2.1 22; }
is_closed_to_strangers() { ! ip netns exec "$client" nc -z -w 1 -s 192.0.2.66 192.0.2.1 22; }

summary() {
  printf '%s: %d passed, %d failed\n' "$NAME" "$passed" "$failed"
  [ "$failed" -eq 0 ]
}
