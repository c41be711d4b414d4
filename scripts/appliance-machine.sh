# shellcheck shell=bash
# The machine of scripts/appliance.sh, which reads this: its network, its power switch, and what is seen of it from outside.
#
#    machine 192.0.2.1, 2001:db8::1 ─── tap0 in a namespace: 192.0.2.2 and the addresses of everybody else

readonly NET="nfkapp$$"
readonly MACHINE4=192.0.2.1 MACHINE6=2001:db8::1
# A stranger, who never knocks.
readonly STRANGER4=192.0.2.2 STRANGER6=2001:db8::2
# How long a boot may take before it is given up.
readonly BOOT_SECONDS="${NFKNOCK_APPLIANCE_BOOT_SECONDS:-900}"
# What the cases read of the prober.
PROBED="$scratch"
PROTECTED='22 2222'
# shellcheck source=test/guest/check.sh
. test/guest/check.sh
# shellcheck source=test/guest/systemd/asked.sh
. test/guest/systemd/asked.sh

passed=0
failed=0
ok() { echo "ok: $CASE: $1" && passed=$((passed + 1)); }
not_ok() { echo "not ok: $CASE: $1" && failed=$((failed + 1)) && bad_here=yes; }
bad_here=no

network_is_there=no
make_network() {
  local last addresses=()
  ip netns add "$NET"
  network_is_there=yes
  ip -n "$NET" link set lo up
  ip -n "$NET" tuntap add tap0 mode tap
  # Everybody who ever knocks has an address of his own.
  for ((last = 2; last < 255; last++)); do addresses+=("address add 192.0.2.$last/24 dev tap0"); done
  printf '%s\n' "${addresses[@]}" "address add $STRANGER6/64 dev tap0 nodad" 'address add 2001:db8::11/64 dev tap0 nodad' 'link set tap0 up' |
    ip -n "$NET" -batch -
  cc -O2 -static -o "$scratch/prober" test/guest/prober.c
}
end_network() {
  if [ "$network_is_there" = no ]; then return; fi
  ip netns delete "$NET" 2>/dev/null || true
}
outside() { ip netns exec "$NET" "$@"; }

# disk_for FLAVOUR: a copy that a case may write to.
disk=''
disk_for() {
  make_image "$1"
  flavour="$1"
  if [ -n "$disk" ]; then rm -f "$disk"; fi
  disk="$scratch/$CASE.img"
  cp --sparse=always "$(image_of "$1")" "$disk"
}

# What qemu is called with on each architecture.
qemu_words() {
  case "$arch" in
    amd64) words=(qemu-system-x86_64 -accel tcg -cpu Nehalem -m 1024 -smp 2) firmware=/usr/share/ovmf/OVMF.fd ;;
    arm64) words=(qemu-system-aarch64 -accel tcg -M virt -cpu cortex-a57 -m 1024 -smp 2) firmware=/usr/share/qemu-efi-aarch64/QEMU_EFI.fd ;;
  esac
  words+=(-display none -monitor none -no-reboot -device virtio-rng-pci -device virtio-serial-pci
    -netdev tap,id=net,ifname=tap0,script=no,downscript=no
    -device virtio-net-pci,netdev=net,mac=52:54:00:6e:66:6b,romfile=)
}

# switch_on [--firmware] [--rtc BASE] [--kernel WORDS]: the disk has a cache that a flush empties, and what is written to it
# is logged, in its order, with the flushes (scripts/power-cut.mjs reads that).
prober4='' prober6='' to='' from='' boots=0
switch_on() {
  local words firmware way=kernel rtc='' more='' log
  while [ "$#" -gt 0 ]; do
    case "$1" in
      --firmware) way=firmware ;;
      --rtc) rtc="$2"; shift ;;
      --kernel) more="$2"; shift ;;
    esac
    shift
  done
  qemu_words
  boots=$((boots + 1))
  console="$scratch/$CASE-$boots.console"
  log="$scratch/writes"
  before="$scratch/before.img"
  rm -f "$log" "$scratch"/hand.*
  cp --sparse=always "$disk" "$before"
  truncate -s 0 "$log"
  mkfifo "$scratch/hand.in" "$scratch/hand.out"
  exec {to}<>"$scratch/hand.in" {from}<>"$scratch/hand.out"
  case "$way" in
    kernel)
      words+=(-kernel "$PLACE/$arch/vmlinuz-$flavour" -initrd "$PLACE/$arch/initrd-$flavour"
        -append "$(command_line) mitigations=off nfknock.trial $more")
      ;;
    firmware) words+=(-bios "$firmware") ;;
  esac
  if [ -n "$rtc" ]; then words+=(-rtc "base=$rtc"); fi
  begin_probing
  # Not by the function: what is killed is qemu itself.
  ip netns exec "$NET" "${words[@]}" -serial "file:$console" \
    -chardev "pipe,id=hand,path=$scratch/hand" -device virtserialport,chardev=hand,name=hand \
    -blockdev "driver=blklogwrites,node-name=disk,file.driver=file,file.filename=$disk,log.driver=file,log.filename=$log" \
    -device virtio-blk-pci,drive=disk,write-cache=on </dev/null >>"$console.qemu" 2>&1 &
  machine=$!
  disown
}

# A stranger asks from before the machine is on.
begin_probing() {
  end_probing
  ip netns exec "$NET" "$scratch/prober" ask 50 "$STRANGER4" "$MACHINE4" 22 2222 8080 >"$scratch/prober4" 2>/dev/null &
  prober4=$!
  disown
  ip netns exec "$NET" "$scratch/prober" ask 50 "$STRANGER6" "$MACHINE6" 22 2222 8080 >"$scratch/prober6" 2>/dev/null &
  prober6=$!
  disown
}
end_probing() {
  local each
  for each in $prober4 $prober6; do kill "$each" 2>/dev/null || true; done
  prober4='' prober6=''
}

# cut_power SEED: nothing is told to the guest, and what its drive had not flushed may be lost; `lost` says how much.
before='' lost='' cut_at=''
cut_power() {
  cut_at="$EPOCHREALTIME"
  end_machine
  close_hand
  lost="$(node scripts/power-cut.mjs "$before" "$scratch/writes" "$1")"
  mv "$before" "$disk"
}
close_hand() {
  if [ -n "$to" ]; then exec {to}>&- {from}<&-; fi
  to='' from=''
}
leave_machine() {
  if [ -n "$machine" ] && [ "$bad_here" = yes ]; then tell_more; fi
  bad_here=no
  end_machine
  end_probing
  close_hand
  if [ -n "$disk" ] && [ "$keep" = no ]; then rm -f "$disk"; fi
  disk=''
}
tell_more() {
  say "the last of $console:"
  tail -n 8 "$console" | tr -d '\r' | sed 's/^/    /'
  say 'and what the machine says of itself:'
  hand 60 'nfknock status; systemctl --failed --no-legend; journalctl -b -u nfknock -u nfknock-rules -n 20 --no-pager -o cat' | sed 's/^/    /' || true
}

# hand SECONDS COMMAND: has a shell of the machine's root do that.
hand() {
  local id="h$RANDOM$RANDOM" most="$1" line until=$((SECONDS + $1))
  shift
  printf '%s %s\n' "$id" "$*" >&"$to"
  while [ "$SECONDS" -lt "$until" ]; do
    if ! kill -0 "$machine" 2>/dev/null; then echo 'the machine is off' && return 125; fi
    if ! IFS= read -r -t 1 line <&"$from"; then continue; fi
    case "$line" in
      "$id ="*) return "${line#"$id ="}" ;;
      "$id "*) printf '%s\n' "${line#"$id "}" ;;
    esac
  done
  echo "no answer within $most s"
  return 124
}

# as ADDRESS COMMAND…: what asks for no address of its own has this one.
as() {
  ip -n "$NET" route replace 192.0.2.0/24 dev tap0 src "$1"
  shift
  outside "$@"
}
# gets_in ADDRESS PORT [SECONDS]
gets_in() { outside nc -z -w "${3:-4}" -s "$1" "$MACHINE4" "$2"; }
# Debian's own knock, by its words.
knock_words() { echo "$1" | sed 's#/tcp##g; s#/#:#g; s/,/ /g'; }
knock_as() {
  # shellcheck disable=SC2046 # several words
  as "$1" knock -d 200 "$MACHINE4" $(knock_words "$2")
}
# knock_in ADDRESS KNOCK PORT: once more where a slow machine took the first for too slow.
knock_in() {
  local try
  for try in 1 2 3; do
    knock_as "$1" "$2"
    if within 8 gets_in "$1" "$3" 2; then return 0; fi
    echo "try $try of $1 did not open"
  done
  return 1
}
key_in() {
  as "$1" node dist/bin/nfknock.js knock "$MACHINE4" --door key --key "$PLACE/secrets/trial.key"
  within 20 gets_in "$1" "$2" 2
}
ssh_in() {
  outside ssh -n -i "$PLACE/secrets/ssh" -b "$1" -o BatchMode=yes -o ConnectTimeout=60 -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ServerAliveInterval=20 root@"$MACHINE4" "$2"
}

is_on() { [ -n "$machine" ] && kill -0 "$machine" 2>/dev/null; }
families='4 6'
network_answers() {
  local family
  for family in $families; do if is_on && ! answered "$family"; then return 1; fi; done
}
# Up, and the daemon with it; false after the time that a boot may take, or where the machine has ended.
await_boot() {
  within "$BOOT_SECONDS" network_answers || return 1
  within "$BOOT_SECONDS" daemon_answers && is_on
}
# A problem, such as grants that wait for the clock, is told with exit 1.
daemon_answers() { ! is_on || hand 60 'systemctl is-active --quiet nfknock && test -S /run/nfknock/control.sock'; }

shell_on() {
  local words firmware
  flavour="$1"
  CASE=shell
  disk_for "$1"
  qemu_words
  say 'a shell of root; Ctrl-A X ends the machine'
  outside "${words[@]}" -serial mon:stdio -drive "file=$disk,format=raw,if=virtio" \
    -kernel "$PLACE/$arch/vmlinuz-$1" -initrd "$PLACE/$arch/initrd-$1" \
    -append "$(command_line) mitigations=off systemd.debug_shell=$(serial)"
}
