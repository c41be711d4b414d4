#!/bin/bash
# Runs one case inside the guest: its name and the number of the boot stand in the kernel's command line, or where the
# kernel is the host's in a file.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
read -r line </proc/cmdline
if [ -e /etc/guest-case ]; then read -r line </etc/guest-case; fi
for word in $line; do
  case "$word" in
    guest=*) CASE="${word#guest=}" ;;
    boot=*) BOOT="${word#boot=}" ;;
  esac
done
cd /nfknock || exit 1
# How this boot ends: power-cut or, where there is systemd, reboot.
ENDS=power-cut
if [ -d /run/systemd/system ]; then
  NFKNOCK=nfknock
  if [ -e /etc/guest-case ]; then exec >>/guest-output 2>&1; else exec >/dev/ttyS0 2>&1; fi
else
  NFKNOCK='node /nfknock/dist/bin/nfknock.js'
  ip link set lo up
  mkdir -p /etc/nfknock /run/nfknock /dev/pts
  mount -t devpts devpts /dev/pts 2>/dev/null
fi

. test/guest/check.sh

# A server, this machine, and a client in a namespace of its own: 192.0.2.1 and 192.0.2.11, 2001:db8::1 and ::11.
client() { ip netns exec client "$@"; }
# Under emulation the first rules would wait for their modules longer than the daemon waits for iptables.
load_modules() {
  modprobe -a nf_tables nft_compat ip_set ip_set_hash_ip ip_set_hash_net xt_set xt_multiport xt_conntrack xt_NFQUEUE \
    xt_addrtype xt_comment nfnetlink_queue nfnetlink_log xt_NFLOG nf_conntrack_netlink 2>/dev/null
}
make_net() {
  load_modules
  ip netns add client
  ip link add eth0 type veth peer name eth0 netns client
  ip address add 192.0.2.1/24 dev eth0
  ip link set eth0 up
  client ip link set lo up
  client ip address add 192.0.2.11/24 dev eth0
  client ip link set eth0 up
  if [ -e /proc/net/if_inet6 ]; then
    ip address add 2001:db8::1/64 dev eth0 nodad
    client ip address add 2001:db8::11/64 dev eth0 nodad
  fi
  socat TCP6-LISTEN:22,reuseaddr,fork,ipv6only=0 PIPE 2>/dev/null &
  [ -e /proc/net/if_inet6 ] || socat TCP4-LISTEN:22,reuseaddr,fork PIPE &
  within 30 sh -c "ss -Hltn 'sport = :22' | grep -q ."
}
write_config() { cat >/etc/nfknock/nfknock.yaml; }
plain_config() {
  write_config <<'YAML'
doors:
  ssh:
    knock: [7000/tcp, 8000/udp, 9000/tcp]
    opens: [22/tcp]
    for: 1h
decoys: [23/tcp, 2323/tcp, 3389/tcp]
log: { file: /run/nfknock/events.jsonl }
YAML
}
start_daemon() {
  $NFKNOCK run >/run/nfknock/out 2>&1 &
  DAEMON=$!
  # Without KVM a start takes as long as everything else here, and the machine may be busy.
  within 240 grep -q daemon.ready /run/nfknock/events.jsonl || { echo 'guest: the daemon is not ready'; cat /run/nfknock/out /run/nfknock/events.jsonl; }
}
# It is this script's child, which a check's own shell can't wait for: its last word tells.
stop_daemon() { kill -TERM "$DAEMON" && within 20 grep -q daemon.stopped /run/nfknock/events.jsonl; }
connects() { client nc -z -w 2 "$@" 22; }
knocks() { client knock -d 200 "$@" 7000 8000:udp 9000; }

echo "guest: $CASE, boot $BOOT, $(uname -r)"
# shellcheck disable=SC1090
. "test/guest/$CASE.sh"
sync
echo 'guest: end of boot'
if [ "$ENDS" = reboot ]; then
  systemctl reboot
elif [ -e /etc/guest-case ]; then
  # In namespaces this ends their first program and nothing else.
  systemctl poweroff --force --force
else
  echo o >/proc/sysrq-trigger
fi
sleep 60
