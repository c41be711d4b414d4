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
$NFKNOCK doctor >/run/nfknock/doctor 2>&1
for name in nowhere0 port0 slave0; do
  case "$name" in nowhere0) fix='ip link' ;; port0) fix='write br0 instead' ;; slave0) fix='write red instead' ;; esac
  check "check warns of $name and says: $fix" sh -c "grep '$name' /run/nfknock/check | grep -q '$fix'"
  check "doctor names $name and says: $fix" sh -c "grep -A 1 '$name' /run/nfknock/doctor | grep -q '$fix'"
  check "the start warns of $name and says: $fix" sh -c "grep config.warning /run/nfknock/events.jsonl | grep '$name' | grep -q '$fix'"
  check "status names $name and says: $fix" sh -c "grep -A 2 '$name' /run/nfknock/status | grep -q '$fix'"
done
refuse 'and not the one that is there' grep -E 'eth0.*(no such|does not|missing|never|bridge|VRF)' /run/nfknock/status
grep -E 'nowhere0|port0|slave0' /run/nfknock/status | sed 's/^/guest: /'
stop_daemon; wait "$DAEMON" 2>/dev/null
# The fix for a VRF's port is the right one: what comes in by it is INPUT's as the VRF's, closed until a knock.
ip link set slave1 netns client
ip address add 198.51.100.1/24 dev slave0
client ip address add 198.51.100.11/24 dev slave1
client ip link set slave1 up
sysctl -qw net.ipv4.tcp_l3mdev_accept=1
check 'while slave0 is named the service is open by it to strangers' connects 198.51.100.1
with_interfaces red
rm -f /run/nfknock/events.jsonl
start_daemon
check 'with red named status has no problem' $NFKNOCK status
refuse 'and the service is closed' connects 198.51.100.1
knocks 198.51.100.1
check 'the knock is heard' within 20 grep -q door.opened /run/nfknock/events.jsonl
check 'and opens' within 20 connects 198.51.100.1
stop_daemon; wait "$DAEMON" 2>/dev/null
with_interfaces eth0
rm -f /run/nfknock/events.jsonl
start_daemon
check 'and has none with one that is there' $NFKNOCK status
stop_daemon; wait "$DAEMON" 2>/dev/null
