# What nfknock is for, on this kernel: closed, a knock opens over both families, a scan is banned, a kill leaves it shut.
make_net
plain_config
start_daemon
check 'the daemon is ready and has no problem' $NFKNOCK status
refuse 'the door is closed over IPv4' connects 192.0.2.1
refuse 'the door is closed over IPv6' connects 2001:db8::1
check 'a knock over IPv4' knocks 192.0.2.1
check 'opens it over IPv4' within 10 connects 192.0.2.1
refuse 'and not over IPv6' connects 2001:db8::1
check 'a knock over IPv6' knocks -6 2001:db8::1
check 'opens it over IPv6' within 10 connects 2001:db8::1
client ip address add 192.0.2.12/24 dev eth0
for port in 23 2323 3389; do client nc -z -w 1 -s 192.0.2.12 192.0.2.1 "$port"; done
check 'three decoys are a ban' within 10 sh -c "$NFKNOCK bans --json | grep -q 192.0.2.12"
kill -KILL "$DAEMON"
wait "$DAEMON" 2>/dev/null
client ip address add 192.0.2.13/24 dev eth0
refuse 'with the daemon killed the door is closed to newcomers' client nc -z -w 2 -s 192.0.2.13 192.0.2.1 22
rm -f /run/nfknock/events.jsonl
start_daemon
check 'started again it has no problem' $NFKNOCK status
check 'who was let in still is' connects 192.0.2.1
check 'the ban is kept' sh -c "$NFKNOCK bans --json | grep -q 192.0.2.12"
refuse 'and a newcomer finds it closed' client nc -z -w 2 -s 192.0.2.13 192.0.2.1 22
check 'it stops' stop_daemon
