# shellcheck shell=bash
# The roots and kernels of scripts/guest.sh, which reads this.

# What the guest's own scripts call.
readonly GUEST_PACKAGES=iptables,nftables,ipset,iproute2,conntrack,knockd,netcat-openbsd,telnet,curl,nmap,socat,kmod,procps,e2fsprogs,python3-minimal,gcc,libc6-dev
# Debian 13 is the first whose Node.js is new enough for the package.
readonly SYSTEMD_SUITE=trixie
readonly SYSTEMD_PACKAGES=systemd,systemd-sysv,dbus,ifupdown,nodejs,iptables,nftables,ipset,iproute2,knockd,netcat-openbsd,kmod,procps
readonly MODULES=(crc32c_generic crc32c_intel virtio_pci virtio_blk 9pnet_virtio 9p overlay ext4)
# A root of Debian 12 with what the scripts call, Node.js and nfknock as it is built here; its first program is a script.
make_plain_root() {
  local root="$PLACE/root"
  new_root "$root" bookworm "$GUEST_PACKAGES"
  mkdir -p "$root/usr/local/bin"
  cp "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
  rm -rf --one-file-system "$root/nfknock"
  mkdir -p "$root/nfknock"
  cp -a dist package.json package-lock.json native deploy iptables examples test scripts src docs tsconfig.json vitest.config.ts "$root/nfknock/"
  cp -al node_modules "$root/nfknock/" 2>/dev/null || cp -a node_modules "$root/nfknock/"
}

# A root with systemd, the Debian package of what is built here, enabled, and one other firewall, enabled:
# nftables, netfilter-persistent or ufw.
make_systemd_root() {
  local firewall="$1" root="$PLACE/systemd-$1" base="$PLACE/systemd" unit
  new_root "$base" "$SYSTEMD_SUITE" "$SYSTEMD_PACKAGES"
  if [ ! -e "$root/.ready-$firewall" ]; then
    say "making $root (once)"
    rm -rf --one-file-system "$root"
    cp -a "$base" "$root"
    case "$firewall" in
      nftables) ;;
      netfilter-persistent) chroot_apt "$root" iptables-persistent ;;
      ufw) chroot_apt "$root" ufw ;;
      *) fail "no root is known with $firewall" ;;
    esac
    touch "$root/.ready-$firewall"
  fi
  make_package
  cp dist/guest/nfknock_*.deb "$root/root/nfknock.deb"
  in_root "$root" dpkg --force-confnew -i /root/nfknock.deb >"$PLACE/dpkg.log" 2>&1 || fail "the package does not install: see $PLACE/dpkg.log"
  cp test/guest/systemd/nfknock.yaml "$root/etc/nfknock/nfknock.yaml"
  cp test/guest/systemd/*.service "$root/etc/systemd/system/"
  mkdir -p "$root/etc/network"
  cp test/guest/systemd/interfaces "$root/etc/network/interfaces"
  rm -rf "$root/nfknock" && mkdir -p "$root/nfknock/test"
  cp -a test/guest "$root/nfknock/test/"
  cc -O2 -static -o "$root/nfknock/prober" test/guest/prober.c
  : >"$root/etc/fstab"
  echo 6e666b6e6f636b00000000000000cafe >"$root/etc/machine-id"
  for unit in "${MASKED[@]}"; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
  in_root "$root" sh -ec '
    systemctl enable nfknock networking guest-wire guest-prober guest-service guest-case
    systemctl disable nftables
    case "$1" in
      ufw) ufw --force reset; ufw allow 22/tcp; ufw allow 8080/tcp; sed -i "s/^ENABLED=.*/ENABLED=yes/" /etc/ufw/ufw.conf ;;
      netfilter-persistent) rm -f /etc/iptables/rules.v? ;;
    esac
    systemctl enable "$1"' sh "$firewall" >"$PLACE/enable.log" 2>&1 || fail "the units can't be enabled: see $PLACE/enable.log"
}

# Unless the one that is there is of what is here.
make_package() {
  local there
  mkdir -p dist/guest
  there="$(find dist/guest -maxdepth 1 -name 'nfknock_*.deb' | head -n 1)"
  if [ -n "$there" ] && [ -z "$(find src native/src deploy iptables scripts/package.sh package.json -newer "$there" -print -quit)" ]; then return; fi
  rm -f dist/guest/nfknock_*.deb
  # With the machine's Node.js: quicker than one that carries its own.
  bash scripts/package.sh dist/guest >"$PLACE/package.log" 2>&1 || fail "scripts/package.sh failed: see $PLACE/package.log"
}

# The newest kernel of a release, unpacked, with an initramfs that mounts the root.
make_kernel() {
  local suite="$1" at="$PLACE/kernels/$1" name file
  if [ ! -e "$at/version" ]; then
    say "fetching the kernel of $suite (once)"
    mkdir -p "$at"
    curl -fsS -m 120 -o "$at/Packages.xz" "$mirror/dists/$suite/main/binary-amd64/Packages.xz" || fail "no package list of $suite at $mirror"
    name="$(xz -dc "$at/Packages.xz" | awk -v RS= '$2 == "linux-image-amd64"' | sed -n 's/^Depends: \([^ ,]*\).*/\1/p')"
    file="$(xz -dc "$at/Packages.xz" | awk -v RS= -v name="$name" '$2 == name' | sed -n 's/^Filename: //p' | head -n 1)"
    [ -n "$file" ] || fail "the package $name of $suite is not in its list"
    curl -fsS -m 300 -o "$at/kernel.deb" "$mirror/$file" || fail "$file can't be fetched"
    rm -rf "$at/tree" && mkdir "$at/tree" && dpkg-deb -x "$at/kernel.deb" "$at/tree"
    # Debian 13 has its modules below /usr.
    if [ -d "$at/tree/usr/lib/modules" ]; then mkdir -p "$at/tree/lib" && mv "$at/tree/usr/lib/modules" "$at/tree/lib/"; fi
    name="$(basename "$at"/tree/boot/vmlinuz-*)"
    depmod -b "$at/tree" "${name#vmlinuz-}"
    cp "$at/tree/boot/$name" "$at/vmlinuz"
    echo "${name#vmlinuz-}" >"$at/version"
  fi
  make_initramfs "$at" "$(cat "$at/version")"
}

make_initramfs() {
  local at="$1" version="$2" module name
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
      *) cp "$module" "$at/ram/modules/$name" ;;
    esac
    echo "$name" >>"$at/ram/order"
  done
  cp test/guest/init "$at/ram/init"
  chmod +x "$at/ram/init"
  (cd "$at/ram" && find . | cpio -o -H newc --quiet) >"$at/initrd"
}

# The modules of a kernel, in a root.
give_modules() {
  local at="$PLACE/kernels/$1" root="$2" version
  version="$(cat "$at/version")"
  mkdir -p "$root/lib/modules"
  rm -rf "$root/lib/modules/$version"
  cp -al "$at/tree/lib/modules/$version" "$root/lib/modules/"
}
