#!/usr/bin/env bash
# Tests that want a machine of their own: Debian's kernels, booted by qemu without KVM, with nfknock as it is built here.
#
#   npm run guest                          every case on the kernel of Debian 12, then what is of the kernel on 11 and 13
#   npm run guest -- CASE…                 some: the names of test/guest/*.sh
#   npm run guest -- --kernel trixie CASE  on another kernel: bullseye, bookworm, trixie
#   npm run guest -- --native CASE         a case that has systemd, in namespaces of this machine and at its speed
#
# Needs root and Debian's packages. What it makes lies in /var/tmp/nfknock-guest and is used again; remove it at will.
# The last line sums up: "N passed, N failed".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly PLACE="${NFKNOCK_GUEST:-/var/tmp/nfknock-guest}"
readonly NEEDED=(qemu-system-x86 debootstrap busybox-static cpio kmod xz-utils curl e2fsprogs dpkg-dev)
readonly BOOT_SECONDS="${NFKNOCK_GUEST_BOOT_SECONDS:-}"

kernels=()
others=()
cases=()
native=no
plain=no
fail() { printf 'guest: %s\n' "$*" >&2; exit 1; }
say() { printf 'guest: %s\n' "$*"; }
[ "$(id -u)" -eq 0 ] || fail 'this needs root, for debootstrap: run it again with sudo.'
while [ "$#" -gt 0 ]; do
  case "$1" in
    --kernel) kernels+=("${2:?--kernel wants bullseye, bookworm or trixie}"); shift ;;
    --native) native=yes ;;
    -*) fail "unknown: $1; see the head of scripts/guest.sh" ;;
    *) cases+=("$1") ;;
  esac
  shift
done

# shellcheck source=scripts/debian-roots.sh
. scripts/debian-roots.sh
# shellcheck source=scripts/guest-roots.sh
. scripts/guest-roots.sh

# What runs for one boot, and ends with this script however that ends.
disk='' scratch=''
clean_up() {
  # A second signal, as `timeout` sends one, must not end this half-way.
  trap '' INT TERM
  end_machine
  if [ -n "$disk" ]; then rm -f "$disk"; fi
  if [ -n "$scratch" ]; then rm -rf --one-file-system "$scratch"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What a case says of itself in its head: "# boots: 2", "# boot 2: -rtc base=1970-01-02", "# kernel: ipv6.disable=1",
# "# systemd: nftables" (a root with systemd, beside that firewall), "# seconds: 3600" (how long a boot may take, 900).
head_of() { sed -n "s/^# $2: //p" "test/guest/$1.sh"; }
root_of() {
  local firewall
  firewall="$(head_of "$1" systemd)"
  echo "$PLACE/${firewall:+systemd-}${firewall:-root}"
}

# await_machine CASE LOG: waits for the machine's end, or makes one.
await_machine() {
  local most until
  most="${BOOT_SECONDS:-$(head_of "$1" seconds)}"
  most="${most:-900}"
  until=$((SECONDS + most))
  while kill -0 "$machine" 2>/dev/null; do
    if [ "$SECONDS" -ge "$until" ]; then echo "guest: ended after $most s" >>"$2"; break; fi
    sleep 0.5
  done
  end_machine
}

# boot KERNEL CASE NUMBER LOG
boot() {
  local suite="$1" name="$2" number="$3" log="$4" options=() more
  read -r -a options <<<"$(head_of "$name" "boot $number")"
  more="$(head_of "$name" kernel)"
  if [ -n "$(head_of "$name" systemd)" ]; then more="$more systemd=1 systemd.show_status=0"; fi
  qemu-system-x86_64 -accel tcg -m 1536 -smp 2 -nographic -no-reboot \
    -nic none -kernel "$PLACE/kernels/$suite/vmlinuz" -initrd "$PLACE/kernels/$suite/initrd" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off guest=$name boot=$number $more" \
    -virtfs "local,path=$(root_of "$name"),mount_tag=root,security_model=none,readonly=on" \
    -drive "file=$disk,format=raw,if=virtio,cache=writeback" "${options[@]}" </dev/null >>"$log" 2>&1 &
  machine=$!
  disown
  await_machine "$name" "$log"
}

# The same with this machine's kernel, in namespaces. When the first program ends, so do all that are in there.
boot_native() {
  local name="$1" number="$2" log="$3"
  mkdir -p "$scratch"/{upper/etc,work,root}
  echo "guest=$name boot=$number" >"$scratch/upper/etc/guest-case"
  rm -f "$scratch/upper/guest-output"
  unshare --net --pid --mount --uts --ipc --cgroup --fork --kill-child \
    sh scripts/boot-root.sh "$(root_of "$name")" "$scratch" </dev/null >>"$log.console" 2>&1 &
  machine=$!
  disown
  await_machine "$name" "$log"
  cat "$scratch/upper/guest-output" >>"$log" 2>/dev/null || true
}

passed=0
failed=0
run_case() {
  local suite="$1" name="$2" boots log number started=$SECONDS good bad
  boots="$(head_of "$name" boots)"
  boots="${boots:-1}"
  log="$PLACE/$suite-$name.log"
  : >"$log"
  if [ "$suite" = native ]; then
    scratch="$(mktemp -d "$PLACE/native.XXXXXX")"
  else
    give_modules "$suite" "$(root_of "$name")"
    disk="$(mktemp "$PLACE/disk.XXXXXX")"
    truncate -s 1G "$disk"
    mkfs.ext4 -q -F "$disk"
  fi
  for ((number = 1; number <= boots; number++)); do
    if [ "$suite" = native ]; then boot_native "$name" "$number" "$log"; else boot "$suite" "$name" "$number" "$log"; fi
  done
  rm -rf --one-file-system "$disk" "$scratch"
  disk='' scratch=''
  # The serial line ends lines as a terminal does.
  sed -i 's/\r//g' "$log"
  good="$(grep -c '^ok: ' "$log" || true)"
  bad="$(grep -c '^not ok: ' "$log" || true)"
  if [ "$(grep -c 'guest: end of boot' "$log" || true)" -ne "$boots" ]; then
    bad=$((bad + 1))
    echo "not ok: $name did not come to its end; the last lines of $log:" && tail -n 25 "$log"
  fi
  passed=$((passed + good))
  failed=$((failed + bad))
  grep -E '^(ok|not ok): |^guest: |^    ' "$log" || true
  say "$name on $(cat "$PLACE/kernels/$suite/version" 2>/dev/null || uname -r): $good passed, $bad failed, $((SECONDS - started)) s"
}

mkdir -p "$PLACE"
install_tools "${NEEDED[@]}"
bash scripts/setup.sh
if [ "${#cases[@]}" -eq 0 ]; then
  for file in test/guest/*.sh; do
    name="$(basename "$file" .sh)"
    case "$name" in lib | check) ;; *) cases+=("$name") ;; esac
  done
  if [ "${#kernels[@]}" -eq 0 ]; then others=(bullseye trixie); fi
fi
if [ "$native" = yes ]; then kernels=(native); fi
[ "${#kernels[@]}" -gt 0 ] || kernels=(bookworm)
for name in "${cases[@]}"; do
  [ -e "test/guest/$name.sh" ] || fail "there is no case $name; these are: $(cd test/guest && echo *.sh)"
  firewall="$(head_of "$name" systemd)"
  if [ "$native" = yes ] && [ -z "$firewall" ]; then fail "$name wants a machine of its own: leave out --native"; fi
  if [ -n "$firewall" ]; then make_systemd_root "$firewall"; else plain=yes; fi
done
if [ "${#others[@]}" -gt 0 ] || [ "$plain" = yes ]; then make_plain_root; fi
for suite in "${kernels[@]}" "${others[@]}"; do
  if [ "$suite" != native ]; then make_kernel "$suite"; fi
done
for suite in "${kernels[@]}"; do
  for name in "${cases[@]}"; do run_case "$suite" "$name"; done
done
for suite in "${others[@]}"; do
  for name in basics kernel-tests; do run_case "$suite" "$name"; done
done
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
