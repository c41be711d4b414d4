#!/usr/bin/env bash
# Tests that want a machine of their own: Debian's kernels, booted by qemu without KVM, with nfknock as it is built here.
#
#   npm run guest                          every case on the kernel of Debian 12, then the basics on those of 11 and 13
#   npm run guest -- CASE…                 some: the names of test/guest/*.sh
#   npm run guest -- --kernel trixie CASE  on another kernel: bullseye, bookworm, trixie
#
# Needs root and Debian's packages. What it makes lies in /var/tmp/nfknock-guest and is used again; remove it at will.
# The last line sums up: "N passed, N failed".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly PLACE="${NFKNOCK_GUEST:-/var/tmp/nfknock-guest}"
readonly ROOT="$PLACE/root"
readonly NEEDED=(qemu-system-x86 debootstrap busybox-static cpio kmod xz-utils curl e2fsprogs)
# What the guest's own scripts call.
readonly GUEST_PACKAGES=iptables,nftables,ipset,iproute2,conntrack,knockd,netcat-openbsd,telnet,curl,nmap,socat,kmod,procps,e2fsprogs,python3-minimal
readonly MODULES=(crc32c_generic crc32c_intel virtio_pci virtio_blk 9pnet_virtio 9p overlay ext4)
readonly BOOT_SECONDS=900

kernels=()
cases=()
fail() { printf 'guest: %s\n' "$*" >&2; exit 1; }
say() { printf 'guest: %s\n' "$*"; }
[ "$(id -u)" -eq 0 ] || fail 'this needs root, for debootstrap: run it again with sudo.'
while [ "$#" -gt 0 ]; do
  case "$1" in
    --kernel) kernels+=("${2:?--kernel wants bullseye, bookworm or trixie}"); shift ;;
    -*) fail "unknown: $1; see the head of scripts/guest.sh" ;;
    *) cases+=("$1") ;;
  esac
  shift
done

mirror="$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)"
[ -n "$mirror" ] || mirror="$(awk '/^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) {print $i; exit}}' /etc/apt/sources.list 2>/dev/null || true)"
[ -n "$mirror" ] || mirror=http://deb.debian.org/debian

install_tools() {
  local missing=() package
  for package in "${NEEDED[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  say "installing ${missing[*]}"
  apt-get -o DPkg::Lock::Timeout=300 update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}

# A root of Debian 12 with what the scripts call, Node.js and every kernel's modules.
make_root() {
  if [ ! -e "$ROOT/.ready" ]; then
    say 'making a root of Debian 12 (once)'
    rm -rf --one-file-system "$ROOT"
    debootstrap --variant=minbase --include="$GUEST_PACKAGES" bookworm "$ROOT" "$mirror" >"$PLACE/debootstrap.log" 2>&1 ||
      fail "debootstrap failed: see $PLACE/debootstrap.log"
    touch "$ROOT/.ready"
  fi
  mkdir -p "$ROOT/usr/local/bin"
  cp "$(readlink -f "$(command -v node)")" "$ROOT/usr/local/bin/node"
  rm -rf "$ROOT/nfknock"
  mkdir -p "$ROOT/nfknock"
  cp -a dist package.json native deploy iptables examples test scripts src tsconfig.json vitest.config.ts "$ROOT/nfknock/"
  cp -al node_modules "$ROOT/nfknock/" 2>/dev/null || cp -a node_modules "$ROOT/nfknock/"
}

# The newest kernel of a release, unpacked, with an initramfs that mounts the root.
make_kernel() {
  local suite="$1" at="$PLACE/kernels/$1" name file version module
  if [ -e "$at/initrd" ] && [ -e "$at/version" ]; then return; fi
  say "fetching the kernel of $suite (once)"
  mkdir -p "$at"
  curl -fsS -m 120 -o "$at/Packages.xz" "$mirror/dists/$suite/main/binary-amd64/Packages.xz" || fail "no package list of $suite at $mirror"
  name="$(xz -dc "$at/Packages.xz" | awk -v RS= '$2 == "linux-image-amd64"' | sed -n 's/^Depends: \([^ ,]*\).*/\1/p')"
  file="$(xz -dc "$at/Packages.xz" | awk -v RS= -v name="$name" '$2 == name' | sed -n 's/^Filename: //p' | head -n 1)"
  [ -n "$file" ] || fail "the package $name of $suite is not in its list"
  curl -fsS -m 300 -o "$at/kernel.deb" "$mirror/$file" || fail "$file can't be fetched"
  rm -rf "$at/tree" && mkdir "$at/tree" && dpkg-deb -x "$at/kernel.deb" "$at/tree"
  version="$(basename "$at"/tree/boot/vmlinuz-*)"
  version="${version#vmlinuz-}"
  # Debian 13 has its modules below /usr.
  if [ -d "$at/tree/usr/lib/modules" ]; then mkdir -p "$at/tree/lib" && mv "$at/tree/usr/lib/modules" "$at/tree/lib/"; fi
  depmod -b "$at/tree" "$version"
  rm -rf "$at/ram" && mkdir -p "$at/ram"/{bin,proc,sys,dev,low,up,root,modules}
  cp /bin/busybox "$at/ram/bin/busybox"
  : >"$at/ram/order"
  for module in "${MODULES[@]}"; do
    modprobe --dirname "$at/tree" --set-version "$version" --show-depends "$module" 2>/dev/null |
      sed -n 's/^insmod \([^ ]*\).*/\1/p' || true
  done | awk '!seen[$0]++' | while read -r module; do
    name="$(basename "$module")"
    case "$name" in
      *.xz) xz -dc "$module" >"$at/ram/modules/${name%.xz}"; name="${name%.xz}" ;;
      *.zst) zstd -qdc "$module" >"$at/ram/modules/${name%.zst}"; name="${name%.zst}" ;;
      *) cp "$module" "$at/ram/modules/$name" ;;
    esac
    echo "$name" >>"$at/ram/order"
  done
  cp test/guest/init "$at/ram/init"
  chmod +x "$at/ram/init"
  (cd "$at/ram" && find . | cpio -o -H newc --quiet) >"$at/initrd"
  mkdir -p "$ROOT/lib/modules"
  rm -rf "$ROOT/lib/modules/$version"
  cp -al "$at/tree/lib/modules/$version" "$ROOT/lib/modules/"
  cp "$at/tree/boot/vmlinuz-$version" "$at/vmlinuz"
  echo "$version" >"$at/version"
}

# Boots once. Arguments: kernel, case, boot number, disk; the rest goes to the kernel's command line and to qemu.
boot() {
  local suite="$1" name="$2" number="$3" disk="$4" log="$5" options rtc=() append=''
  # A case may want more of its boots: "# boot 2: -rtc base=1970-01-02" and "# kernel: ipv6.disable=1" in its head.
  options="$(sed -n "s/^# boot $number: //p" "test/guest/$name.sh")"
  append="$(sed -n 's/^# kernel: //p' "test/guest/$name.sh")"
  read -r -a rtc <<<"$options"
  timeout --kill-after=10 "$BOOT_SECONDS" qemu-system-x86_64 -accel tcg -m 1536 -smp 1 -nographic -no-reboot \
    -nic none -kernel "$PLACE/kernels/$suite/vmlinuz" -initrd "$PLACE/kernels/$suite/initrd" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off guest=$name boot=$number $append" \
    -virtfs "local,path=$ROOT,mount_tag=root,security_model=none,readonly=on" \
    -drive "file=$disk,format=raw,if=virtio,cache=writeback" "${rtc[@]}" </dev/null >>"$log" 2>&1 || true
}

passed=0
failed=0
run_case() {
  local suite="$1" name="$2" boots disk log number started=$SECONDS
  [ -e "test/guest/$name.sh" ] || fail "there is no case $name; these are: $(cd test/guest && echo *.sh)"
  boots="$(sed -n 's/^# boots: //p' "test/guest/$name.sh")"
  disk="$(mktemp "$PLACE/disk.XXXXXX")"
  log="$PLACE/$suite-$name.log"
  : >"$log"
  truncate -s 64M "$disk"
  mkfs.ext4 -q -F "$disk"
  for ((number = 1; number <= ${boots:-1}; number++)); do boot "$suite" "$name" "$number" "$disk" "$log"; done
  rm -f "$disk"
  local good bad
  # The serial line ends lines as a terminal does.
  sed -i 's/\r//g' "$log"
  good="$(grep -c '^ok: ' "$log" || true)"
  bad="$(grep -c '^not ok: ' "$log" || true)"
  if [ "$(grep -c 'guest: end of boot' "$log" || true)" -ne "${boots:-1}" ]; then
    bad=$((bad + 1))
    echo "not ok: $name did not come to its end; the last lines of $log:" && tail -n 25 "$log"
  fi
  passed=$((passed + good))
  failed=$((failed + bad))
  grep -A 15 -E '^(ok|not ok): |^guest: [0-9]|^    ' "$log" | grep -E '^(ok|not ok): |^guest: [0-9]|^    ' || true
  say "$name on $(cat "$PLACE/kernels/$suite/version"): $good passed, $bad failed, $((SECONDS - started)) s"
}

mkdir -p "$PLACE"
install_tools
bash scripts/setup.sh
make_root
if [ "${#cases[@]}" -eq 0 ]; then
  for file in test/guest/*.sh; do
    name="$(basename "$file" .sh)"
    case "$name" in lib) ;; *) cases+=("$name") ;; esac
  done
  if [ "${#kernels[@]}" -eq 0 ]; then
    kernels=(bookworm)
    others=(bullseye trixie)
  fi
fi
[ "${#kernels[@]}" -gt 0 ] || kernels=(bookworm)
for suite in "${kernels[@]}" "${others[@]:-}"; do
  [ -n "$suite" ] || continue
  make_kernel "$suite"
done
for suite in "${kernels[@]}"; do
  for name in "${cases[@]}"; do run_case "$suite" "$name"; done
done
for suite in "${others[@]:-}"; do
  [ -n "$suite" ] || continue
  run_case "$suite" basics
done
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
