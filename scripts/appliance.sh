#!/usr/bin/env bash
# A machine of its own: Debian 13 with nfknock's package, the policy of an appliance and sshd behind doors, as a disk that
# boots under qemu without KVM, and what it does, seen from the network that it is on.
#
#   npm run appliance                                every case, on amd64
#   npm run appliance -- --case CASE…                some: firmware nftables netfilter-persistent ufw ipv6-off disk-full clock cuts
#   npm run appliance -- --case cuts --cuts 5 --seed 7
#   npm run appliance -- --native --case CASE…       with this machine's kernel, in namespaces, and at its speed
#   npm run appliance -- --arch arm64                the cases firmware and cuts, of 3 cuts, unless told otherwise
#   npm run appliance -- --image                     only makes the disk, and says how to boot it
#   npm run appliance -- --shell                     boots it, with a shell of root's on this terminal
#   npm run appliance -- --keep                      leaves the disks of the cases, with their logs
#
# Needs root and Debian's packages. What it makes lies in /var/tmp/nfknock-appliance and is used again; remove it at will.
# The machine's network is a namespace that ends with this script. The last line sums up: "N passed, N failed".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

PLACE="${NFKNOCK_APPLIANCE:-/var/tmp/nfknock-appliance}"
NEEDED=(qemu-system-x86 debootstrap curl e2fsprogs dosfstools mtools fdisk knockd openssh-client netcat-openbsd ovmf dpkg-dev)
readonly FOR_ARM64=(qemu-system-arm qemu-user-static qemu-efi-aarch64 g++-aarch64-linux-gnu)
readonly CASES=(firmware nftables netfilter-persistent ufw ipv6-off disk-full clock cuts)

arch=amd64
cuts=''
seed="$((RANDOM * 32768 + RANDOM))"
cases=()
keep=no
native=no
only=''
fail() { printf 'appliance: %s\n' "$*" >&2; exit 1; }
say() { printf 'appliance: %s\n' "$*"; }
while [ "$#" -gt 0 ]; do
  case "$1" in
    --case)
      while [ "$#" -gt 1 ] && [[ "$2" != -* ]]; do cases+=("$2"); shift; done
      ;;
    --arch) arch="${2:?--arch wants amd64 or arm64}"; shift ;;
    --cuts) cuts="${2:?--cuts wants a number}"; shift ;;
    --seed) seed="${2:?--seed wants a number}"; shift ;;
    --image | --shell) only="${1#--}" ;;
    --native) native=yes ;;
    --keep) keep=yes ;;
    *) fail "unknown: $1; see the head of scripts/appliance.sh" ;;
  esac
  shift
done
for each in "${cases[@]}"; do
  [[ " ${CASES[*]} " = *" $each "* ]] || fail "there is no case $each; these are: ${CASES[*]}"
done
if [ "$native" = yes ]; then
  readonly FOR_QEMU=' firmware ipv6-off clock '
  if [ "${#cases[@]}" -eq 0 ]; then cases=(nftables netfilter-persistent ufw disk-full cuts); fi
  for each in "${cases[@]}"; do
    [[ "$FOR_QEMU" != *" $each "* ]] || fail "$each wants a machine of its own: leave out --native"
  done
  [ "$arch" = "$(dpkg --print-architecture)" ] || fail '--native is for this machine and its architecture'
fi
case "$arch" in
  amd64) [ "${#cases[@]}" -gt 0 ] || cases=("${CASES[@]}") ;;
  arm64)
    [ "${#cases[@]}" -gt 0 ] || cases=(firmware cuts)
    NEEDED+=("${FOR_ARM64[@]}")
    ;;
  *) fail "unknown architecture $arch: write amd64 or arm64" ;;
esac
if [ -z "$cuts" ]; then if [ "$arch" = amd64 ]; then cuts=20; else cuts=3; fi; fi
[ "$(id -u)" -eq 0 ] || fail 'this needs root, for debootstrap and a network namespace: run it again with sudo.'
[ -c /dev/net/tun ] || fail 'there is no /dev/net/tun: load the module tun'

# shellcheck source=scripts/debian-roots.sh
. scripts/debian-roots.sh
mkdir -p "$PLACE"
scratch="$(mktemp -d "$PLACE/run.XXXXXX")"
# shellcheck source=scripts/appliance-image.sh
. scripts/appliance-image.sh
# shellcheck source=scripts/appliance-machine.sh
. scripts/appliance-machine.sh
# shellcheck source=scripts/appliance-cases.sh
. scripts/appliance-cases.sh
# shellcheck source=scripts/appliance-cuts.sh
. scripts/appliance-cuts.sh
if [ "$native" = yes ]; then
  # shellcheck source=scripts/appliance-native.sh
  . scripts/appliance-native.sh
fi

clean_up() {
  # A second signal, as `timeout` sends one, must not end this half-way.
  trap '' INT TERM
  end_doing
  end_probing
  end_machine
  close_hand
  end_network
  release_emulation
  if [ "$keep" = no ]; then rm -rf --one-file-system "$scratch"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

install_tools "${NEEDED[@]}"
make_package
make_secrets
make_image plain
if [ "$only" = image ]; then
  say "the disk is $(image_of plain); its key for ssh is $PLACE/secrets/ssh, its knock: $KNOCK_SSH"
  exit 0
fi
make_network
if [ "$only" = shell ]; then
  shell_on plain
  exit 0
fi
say "seed $seed"
for each in "${cases[@]}"; do
  started=$SECONDS
  before="$passed $failed"
  CASE="$each"
  "case_${each//-/_}"
  leave_machine
  read -r good bad <<<"$before"
  say "$each on $arch: $((passed - good)) passed, $((failed - bad)) failed, $((SECONDS - started)) s"
done
if [ "$keep" = yes ]; then say "disks and logs are in $scratch"; fi
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
