# shellcheck shell=bash
# The disk of scripts/appliance.sh, which reads this: a Debian with the package that people install, the policy of an
# appliance, and sshd behind doors; and beside it, for some cases, another firewall. GPT, with an ESP that a machine's
# firmware starts systemd-boot from, and ext4. Kernel and initramfs are Debian's, of the root itself.

readonly SUITE=trixie
readonly PACKAGES=systemd,systemd-sysv,udev,dbus,ifupdown,iproute2,iptables,nftables,ipset,kmod,procps,libatomic1,openssh-server,e2fsprogs,initramfs-tools,zstd,systemd-boot-efi
readonly ESP_MB=128
readonly ROOT_MB=1400
readonly ROOT_ID=6e666b6e-6f63-4b00-a170-0000616d3634
# What a disk of a machine may hang on; the initramfs has these and what they depend on.
readonly DISK_MODULES=(virtio_pci virtio_blk virtio_scsi sd_mod ahci nvme ext4)
readonly TRIAL=/usr/local/lib/nfknock-trial

image_of() { echo "$PLACE/$arch/$1.img"; }

# Unless the one that is there is of what is here.
make_package() {
  deb="$(find dist -maxdepth 1 -name "nfknock_*_$arch.deb" 2>/dev/null | head -n 1)"
  if [ -n "$deb" ] && [ -z "$(find src native/src deploy iptables scripts/package.sh package.json -newer "$deb" -print -quit)" ]; then return; fi
  say 'building the package'
  bash scripts/packages.sh "$arch" >"$PLACE/package.log" 2>&1 || fail "scripts/packages.sh failed: see $PLACE/package.log"
  deb="$(find dist -maxdepth 1 -name "nfknock_*_$arch.deb" | head -n 1)"
}

# Drawn once: knocks, a key of ssh's and one of nfknock's, and sequences that open once each.
make_secrets() {
  local at="$PLACE/secrets" ports
  if [ ! -e "$at/ready" ]; then
    rm -rf "$at"
    mkdir -p -m 0700 "$at"
    ssh-keygen -q -t ed25519 -N '' -C appliance -f "$at/ssh"
    mapfile -t ports < <(shuf -i 20000-29999 -n 9)
    echo "KNOCK_SSH='${ports[0]}/tcp, ${ports[1]}/udp, ${ports[2]}/tcp, ${ports[3]}/udp'" >"$at/knocks"
    echo "KNOCK_BRIEF='${ports[4]}/udp, ${ports[5]}/tcp, ${ports[6]}/udp, ${ports[7]}/tcp'" >>"$at/knocks"
    echo "SPA_PORT=${ports[8]}" >>"$at/knocks"
    shuf -i 10000-19999 -n 900 | awk '{ printf "%s%s", $1, NR % 3 == 0 ? "/tcp\n" : NR % 3 == 1 ? "/tcp," : "/udp," }' >"$at/once"
    # shellcheck source=/dev/null
    . "$at/knocks"
    configuration >"$at/nfknock.yaml"
    sed -i "s|/var/lib/nfknock/once.sequences|$at/once|" "$at/nfknock.yaml"
    node dist/bin/nfknock.js key new trial --door key --host 192.0.2.1 --keys "$at/keys.yaml" --out "$at/trial.key" -c "$at/nfknock.yaml" >"$PLACE/key.log" 2>&1 ||
      fail "no key could be made: see $PLACE/key.log"
    touch "$at/ready"
  fi
  # shellcheck source=/dev/null
  . "$at/knocks"
}
configuration() { sed "s#SPA_PORT#$SPA_PORT#; s#KNOCK_SSH#$KNOCK_SSH#; s#KNOCK_BRIEF#$KNOCK_BRIEF#" test/guest/appliance/nfknock.yaml; }

# What a disk is made of; the same gives the same, and is not made again.
digest_of() {
  cat "$deb" scripts/appliance-image.sh scripts/debian-roots.sh test/guest/prober.c test/guest/systemd/interfaces test/guest/appliance/* "$PLACE"/secrets/{knocks,once,keys.yaml,ssh.pub} |
    cat - <(echo "$1") | sha256sum | cut -d ' ' -f 1
}

# make_image plain|nftables|netfilter-persistent|ufw
make_image() {
  local flavour="$1" root="$PLACE/$arch/root-$1" digest
  digest="$(digest_of "$flavour")"
  if [ "$(cat "$(image_of "$flavour").of" 2>/dev/null)" = "$digest" ] && [ -e "$root" ]; then return; fi
  make_base
  say "making the disk $(image_of "$flavour")"
  rm -rf --one-file-system "$root"
  cp -a "$PLACE/$arch/base" "$root"
  case "$flavour" in
    plain | nftables) ;;
    netfilter-persistent) chroot_apt "$root" iptables-persistent ;;
    ufw) chroot_apt "$root" ufw ;;
  esac
  put_nfknock "$root"
  put_trial "$root"
  enable_all "$root" "$flavour"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root/etc/resolv.conf"
  make_disk "$root" "$(image_of "$flavour")"
  cp "$root/vmlinuz" "$PLACE/$arch/vmlinuz-$flavour"
  cp "$root/initrd.img" "$PLACE/$arch/initrd-$flavour"
  echo "$digest" >"$(image_of "$flavour").of"
}

# A Debian that boots, and nothing of ours.
make_base() {
  local base="$PLACE/$arch/base"
  mkdir -p "$PLACE/$arch"
  emulate
  new_root "$base" "$SUITE" "$PACKAGES" --arch "$arch"
  if [ -e "$base/.kernel" ]; then return; fi
  say 'installing its kernel (once)'
  mkdir -p "$base/etc/initramfs-tools/conf.d"
  echo MODULES=list >"$base/etc/initramfs-tools/conf.d/appliance"
  printf '%s\n' "${DISK_MODULES[@]}" >"$base/etc/initramfs-tools/modules"
  chroot_apt "$base" "linux-image-$arch"
  touch "$base/.kernel"
}

put_nfknock() {
  local root="$1"
  cp "$deb" "$root/root/nfknock.deb"
  in_root "$root" dpkg -i /root/nfknock.deb >"$PLACE/dpkg.log" 2>&1 || fail "the package does not install: see $PLACE/dpkg.log"
  rm "$root/root/nfknock.deb"
  configuration >"$root/etc/nfknock/nfknock.yaml"
  cp "$PLACE/secrets/keys.yaml" "$root/etc/nfknock/keys.yaml"
  mkdir -p "$root/var/lib/nfknock"
  cp "$PLACE/secrets/once" "$root/var/lib/nfknock/once.sequences"
  in_root "$root" sh -ec '
    chown root:nfknock /etc/nfknock/nfknock.yaml && chmod 0640 /etc/nfknock/nfknock.yaml
    chown nfknock:nfknock /etc/nfknock/keys.yaml /var/lib/nfknock /var/lib/nfknock/once.sequences
    chmod 0600 /etc/nfknock/keys.yaml /var/lib/nfknock/once.sequences
    chmod 0700 /var/lib/nfknock'
  mkdir -p -m 0700 "$root/root/.ssh"
  install -m 0600 "$PLACE/secrets/ssh.pub" "$root/root/.ssh/authorized_keys"
}

# Only where the command line of the kernel has nfknock.trial: a service that is there before the network, and a hand.
put_trial() {
  local root="$1" compiler=cc
  if [ "$arch" != "$(dpkg --print-architecture)" ]; then compiler=aarch64-linux-gnu-gcc; fi
  mkdir -p "$root$TRIAL" "$root/etc/network"
  "$compiler" -O2 -static -o "$root$TRIAL/prober" test/guest/prober.c
  install -m 0755 test/guest/appliance/hand test/guest/appliance/synchronised "$root$TRIAL/"
  cp test/guest/appliance/*.service "$root/etc/systemd/system/"
  cp test/guest/systemd/interfaces "$root/etc/network/interfaces"
  echo '/dev/disk/by-partuuid/'"$ROOT_ID"' / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
  echo appliance >"$root/etc/hostname"
  echo 6e666b6e6f636b00000000000000cafe >"$root/etc/machine-id"
}

enable_all() {
  local root="$1" flavour="$2" unit
  for unit in "${MASKED[@]}"; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
  if [ "$flavour" = netfilter-persistent ]; then
    # An owner's, who lets everybody in.
    printf '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -m multiport --dports 22,2222 -j ACCEPT\nCOMMIT\n' |
      tee "$root/etc/iptables/rules.v4" >"$root/etc/iptables/rules.v6"
  fi
  # shellcheck disable=SC2016 # in the root
  in_root "$root" sh -ec '
    systemctl enable nfknock networking ssh trial-service trial-hand
    systemctl disable nftables
    case "$1" in
      ufw) for port in 22 2222 8080; do ufw allow $port/tcp; done; sed -i "s/^ENABLED=.*/ENABLED=yes/" /etc/ufw/ufw.conf ;;
      plain) exit 0 ;;
    esac
    systemctl enable "$1"' sh "$flavour" >"$PLACE/enable.log" 2>&1 || fail "the units can't be enabled: see $PLACE/enable.log"
  lay_policy "$root"
}

# As an owner does once: the policy of an appliance, kept for each boot. Emulated programs can't speak netlink, so on another
# architecture what was kept on this one is taken: the rules are the same.
lay_policy() {
  local root="$1" own=(lib/nfknock-rules lib/nfknock-rollback)
  if [ "$arch" = "$(dpkg --print-architecture)" ]; then
    in_root "$root" sh -ec 'nfknock rules install --policy appliance; /usr/lib/nfknock/boot-rules keep' >"$PLACE/policy.log" 2>&1 ||
      fail "the policy can't be laid: see $PLACE/policy.log"
    rm -rf "$PLACE/policy" && mkdir -p "$PLACE/policy"
    tar -C "$root/var" -cf "$PLACE/policy/kept.tar" "${own[@]}"
  else
    [ -e "$PLACE/policy/kept.tar" ] || fail "make the disk of $(dpkg --print-architecture) first: npm run appliance -- --image"
    tar -C "$root/var" -xf "$PLACE/policy/kept.tar"
  fi
  grep -q '^:INPUT DROP' "$root/var/lib/nfknock-rules/rules.v4" || fail 'the policy was not kept'
}

# make_disk ROOT IMAGE
make_disk() {
  local root="$1" image="$2" esp="$scratch/esp" offset=$(((1 + ESP_MB) * 1024 * 1024)) letter
  rm -f "$image"
  truncate -s $((ESP_MB + ROOT_MB + 2))M "$image"
  sfdisk -q "$image" <<END
label: gpt
start=1MiB, size=${ESP_MB}MiB, type=uefi
start=$((1 + ESP_MB))MiB, size=${ROOT_MB}MiB, type=linux, uuid=$ROOT_ID
END
  mke2fs -q -F -t ext4 -E "offset=$offset" -d "$root" "$image" "${ROOT_MB}M" 2>"$PLACE/mke2fs.log" || fail "mke2fs failed: see $PLACE/mke2fs.log"
  case "$arch" in amd64) letter=x64 ;; *) letter=aa64 ;; esac
  truncate -s "${ESP_MB}M" "$esp"
  mkfs.vfat -n ESP "$esp" >/dev/null
  mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
  mcopy -i "$esp" "$root/usr/lib/systemd/boot/efi/systemd-boot$letter.efi" "::/EFI/BOOT/BOOT${letter^^}.EFI"
  mcopy -i "$esp" "$root/vmlinuz" ::/vmlinuz
  mcopy -i "$esp" "$root/initrd.img" ::/initrd.img
  printf 'timeout 0\ndefault debian.conf\n' | mcopy -i "$esp" - ::/loader/loader.conf
  printf 'title Debian with nfknock\nlinux /vmlinuz\ninitrd /initrd.img\noptions %s\n' "$(command_line)" | mcopy -i "$esp" - ::/loader/entries/debian.conf
  dd if="$esp" of="$image" bs=1M seek=1 conv=notrunc,sparse status=none
  rm "$esp"
}
serial() { if [ "$arch" = arm64 ]; then echo ttyAMA0; else echo ttyS0; fi; }
command_line() { echo "root=PARTUUID=$ROOT_ID rw console=$(serial) net.ifnames=0 panic=-1 quiet"; }

# Programs of another architecture, in its root.
emulated=no
emulate() {
  if [ "$arch" = "$(dpkg --print-architecture)" ] || [ "$emulated" = yes ]; then return; fi
  emulated=yes
  tell_binfmt ':nfknock-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' register ||
    fail "this kernel runs no programs of arm64 (binfmt_misc)"
}
release_emulation() {
  if [ "$emulated" = no ]; then return; fi
  tell_binfmt -1 nfknock-aarch64 || true
}
# Its file system is mounted for this alone.
tell_binfmt() {
  # shellcheck disable=SC2016 # of the inner shell
  unshare --mount sh -ec 'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; printf %s "$1" >"/proc/sys/fs/binfmt_misc/$2"' sh "$1" "$2"
}
