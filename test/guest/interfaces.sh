# Interfaces that never carry INPUT: a missing one, a bridge port, a VRF slave are told; it is never "all is well".
modprobe vrf
modprobe bridge
make_net
with_interfaces() {
  write_config <<YAML
listen: { interfaces: [$1] }
doors: { ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] } }
decoys: [23/tcp]
log: { file: /run/nfknock/events.jsonl }
YAML
}
ip link add br0 type bridge
ip link add port0 type veth peer name port1
ip link set port0 master br0 up
ip link set br0 up
ip link add red type vrf table 10
ip link set red up
ip link add slave0 type veth peer name slave1
ip link set slave0 master red up
with_interfaces 'eth0, nowhere0, port0, slave0'
$NFKNOCK check >/run/nfknock/check 2>&1
start_daemon
refuse 'status has a problem' sh -c "$NFKNOCK status >/run/nfknock/status 2>&1"
for name in nowhere0 port0 slave0; do
  check "check warns of $name" grep -q "$name" /run/nfknock/check
  check "status names $name" grep -q "$name" /run/nfknock/status
done
refuse 'and not the one that is there' grep -E 'eth0.*(no such|does not|missing|never|bridge|VRF)' /run/nfknock/status
grep -E 'nowhere0|port0|slave0' /run/nfknock/status | sed 's/^/guest: /'
stop_daemon; wait "$DAEMON" 2>/dev/null
with_interfaces eth0
rm -f /run/nfknock/events.jsonl
start_daemon
check 'and has none with one that is there' $NFKNOCK status
stop_daemon; wait "$DAEMON" 2>/dev/null
