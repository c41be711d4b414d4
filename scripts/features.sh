#!/usr/bin/env bash
# Tries, in a network namespace of its own, every kernel feature that the demo and the tests need, and says
# which are missing and what brings them. Nothing is skipped for want of one.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

namespace="nfk-probe-$$"
missing=0

clean_up() { ip netns delete "$namespace" 2>/dev/null || true; }
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# need WHAT MEND COMMAND…
need() {
  local what="$1" fix="$2" reason
  shift 2
  if ! reason="$(ip netns exec "$namespace" "$@" 2>&1)"; then
    printf 'features: %s is missing: %s\n  %s said: %s\n' "$what" "$fix" "$1" "${reason%%$'\n'*}" >&2
    missing=$((missing + 1))
  fi
}

if [ "$(id -u)" -ne 0 ]; then
  echo 'features: network namespaces and iptables need root: run it again with sudo, or as root.' >&2
  exit 1
fi
if ! reason="$(ip netns add "$namespace" 2>&1)"; then
  echo "features: no network namespace can be made ($reason): in a container, run it with --privileged." >&2
  exit 1
fi

modprobe='load its module on this machine with'
for iptables in iptables ip6tables; do
  need "$iptables" 'this kernel has no netfilter, or the package iptables is missing' "$iptables" -S
  need "conntrack for $iptables" "$modprobe: modprobe nf_conntrack xt_conntrack" \
    "$iptables" -A INPUT -m conntrack --ctstate NEW,INVALID -j ACCEPT
  need "NFQUEUE for $iptables" "$modprobe: modprobe nfnetlink_queue xt_NFQUEUE" \
    "$iptables" -A INPUT -p tcp -j NFQUEUE --queue-num 0
  need "NFLOG for $iptables" "$modprobe: modprobe nfnetlink_log xt_NFLOG" \
    "$iptables" -A INPUT -p tcp -j NFLOG --nflog-group 5
  need "the time match for $iptables" "$modprobe: modprobe xt_time" \
    "$iptables" -A INPUT -m time --datestop 2037-01-01T00:00:00 -m comment --comment probe -j ACCEPT
done
for family in inet inet6; do
  tool=iptables
  if [ "$family" = inet6 ]; then tool=ip6tables; fi
  need "ipset for $family" "$modprobe: modprobe ip_set_hash_net" \
    ipset create "probe-$family" hash:net family "$family" timeout 60
  need "the set match for $tool" "$modprobe: modprobe xt_set" \
    "$tool" -A INPUT -m set --match-set "probe-$family" src -j DROP
done
need 'veth' "$modprobe: modprobe veth" ip link add probe0 type veth peer name probe1
need 'the list of connections' "$modprobe: modprobe nf_conntrack_netlink" conntrack -L

if [ "$missing" -gt 0 ]; then
  echo "features: $missing missing, so nothing was tried." >&2
  exit 1
fi
