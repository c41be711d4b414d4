# shellcheck shell=bash
# Roots of Debian, and the machine that boots one: scripts/guest.sh and scripts/appliance.sh read this. Who reads it has set
# PLACE, where everything is kept, and has `say` and `fail`.

mirror="$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)"
[ -n "$mirror" ] || mirror="$(awk '/^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) {print $i; exit}}' /etc/apt/sources.list 2>/dev/null || true)"
[ -n "$mirror" ] || mirror=http://deb.debian.org/debian

# What would only cost time.
readonly MASKED=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer man-db.timer systemd-firstboot.service serial-getty@ttyS0.service)

# install_tools PACKAGE…: those that are not there.
install_tools() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
  done
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  say "installing ${missing[*]}"
  apt-get -o DPkg::Lock::Timeout=300 update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}

# new_root DIRECTORY SUITE PACKAGES [OPTION…]
new_root() {
  local root="$1" suite="$2" packages="$3"
  shift 3
  if [ "$(cat "$root/.ready" 2>/dev/null || true)" = "$packages" ]; then return; fi
  say "making $root, of Debian's $suite (once)"
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase --include="$packages" "$@" "$suite" "$root" "$mirror" >"$PLACE/debootstrap.log" 2>&1 ||
    fail "debootstrap failed: see $PLACE/debootstrap.log"
  echo "$packages" >"$root/.ready"
}

# Of this machine's network it sees nothing.
in_root() {
  local root="$1"
  shift
  unshare --net --mount env -i PATH=/usr/sbin:/usr/bin HOME=/root DEBIAN_FRONTEND=noninteractive sh -ec \
    'root="$1"; shift; mount -t proc proc "$root/proc"; exec chroot "$root" "$@"' sh "$root" "$@"
}

# Fetched with a network, installed without.
chroot_apt() {
  local root="$1"
  shift
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -ec 'apt-get update -q; apt-get install -d -y -q --no-install-recommends "$@"' sh "$@" >"$PLACE/apt.log" 2>&1 ||
    fail "apt-get failed: see $PLACE/apt.log"
  in_root "$root" apt-get install -y -q --no-install-recommends --no-download "$@" >>"$PLACE/apt.log" 2>&1 || fail "apt-get failed: see $PLACE/apt.log"
}

# The program that is a machine now; it ends with the script, however that ends.
machine=''
end_machine() {
  if [ -z "$machine" ]; then return; fi
  kill -KILL "$machine" 2>/dev/null || true
  while kill -0 "$machine" 2>/dev/null; do sleep 0.1; done
  machine=''
}
