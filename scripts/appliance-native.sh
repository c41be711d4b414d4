# shellcheck shell=bash
# What stands in for qemu with `npm run appliance -- --native`: the same root boots with its own systemd in namespaces of this
# machine (scripts/boot-root.sh), with this machine's kernel and clock. What it writes goes to an ext4 file system of its own on
# a loop device. A power cut shuts that down as it stands (FS_IOC_SHUTDOWN, no flush of the journal: what was not synced is
# gone), then ends every process; the next boot mounts it again, and ext4 replays its journal.

readonly MACHINE_NET="$NET-m" LOOP_MB=400
readonly MOUNTED="$scratch/disk"
init=''

make_network() {
  ip netns add "$NET"
  network_is_there=yes
  ip -n "$NET" link set lo up
  cc -O2 -static -o "$scratch/prober" test/guest/prober.c
}
# A wire, with nothing at the machine's end that an earlier boot has left.
make_wire() {
  local last addresses=()
  ip netns add "$MACHINE_NET"
  ip -n "$MACHINE_NET" link set lo up
  ip -n "$MACHINE_NET" link add eth0 type veth peer name tap0 netns "$NET"
  for ((last = 2; last < 255; last++)); do addresses+=("address add 192.0.2.$last/24 dev tap0"); done
  printf '%s\n' "${addresses[@]}" "address add $STRANGER6/64 dev tap0 nodad" 'link set tap0 up' | ip -n "$NET" -batch -
}

disk_for() {
  make_image "$1"
  flavour="$1"
  disk="$scratch/$CASE.img"
  rm -f "$disk"
  truncate -s "${LOOP_MB}M" "$disk"
  mkfs.ext4 -q -F "$disk"
}

# Where nobody else sees it: any program that begins a mount namespace meanwhile would hold it for good.
holder=''
mount_disk() {
  mkdir -p "$MOUNTED"
  # shellcheck disable=SC2016 # of the inner shell
  unshare --mount sh -ec '
    mount --make-rprivate /
    mount -o loop "$1" "$2"
    mkdir -p "$2/upper" "$2/work" "$2/root"
    : >"$2.ready"
    exec sleep 100000' sh "$disk" "$MOUNTED" &
  holder=$!
  disown
  until [ -e "$MOUNTED.ready" ]; do sleep 0.1; done
  rm "$MOUNTED.ready"
}
switch_on() {
  local waited pid
  boots=$((boots + 1))
  console="$scratch/$CASE-$boots.console"
  make_wire
  mount_disk
  begin_probing
  setsid ip netns exec "$MACHINE_NET" nsenter -t "$holder" -m unshare --pid --mount --uts --ipc --cgroup --fork --kill-child \
    sh "$PWD/scripts/boot-root.sh" "$PLACE/$arch/root-$flavour" "$MOUNTED" nfknock.trial </dev/null >"$console" 2>&1 &
  machine=$!
  disown
  for ((waited = 0; waited < 300; waited++)); do
    for pid in $(ip netns pids "$MACHINE_NET"); do
      if grep -qs '^NSpid:.*[[:space:]]1$' "/proc/$pid/status" && [ "$(cat "/proc/$pid/comm")" = systemd ]; then init="$pid"; fi
    done
    if [ -n "$init" ]; then return; fi
    sleep 0.1
  done
  say "the machine does not begin: see $console"
}

hand() {
  local most="$1"
  shift
  [ -n "$init" ] && [ -d "/proc/$init" ] || { echo 'the machine is off' && return 125; }
  timeout "$most" nsenter -t "$init" -a env -i PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 bash -c "$*" </dev/null
}

end_machine() {
  local pid waited
  init=''
  for pid in $(ip netns pids "$MACHINE_NET" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
  for ((waited = 0; waited < 100; waited++)); do
    if [ -z "$(ip netns pids "$MACHINE_NET" 2>/dev/null)" ]; then break; fi
    sleep 0.1
  done
  machine=''
  ip netns delete "$MACHINE_NET" 2>/dev/null || true
  if [ -n "$holder" ]; then kill -KILL "$holder" 2>/dev/null || true; fi
  holder=''
  for ((waited = 0; waited < 100; waited++)); do
    if [ -z "$disk" ] || [ -z "$(losetup -j "$disk")" ]; then break; fi
    sleep 0.1
  done
}

cut_power() {
  cut_at="$EPOCHREALTIME"
  # FS_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
  nsenter -t "$holder" -m perl -e 'open(my $at, "<", $ARGV[0]) or die; my $flags = pack("L", 2); ioctl($at, 0x8004587d, $flags) or die "FS_IOC_SHUTDOWN: $!\n"' "$MOUNTED"
  end_machine
  lost='what was not synced is gone'
}
