# Real clients over a line that loses, delays and reorders (netem): they get in, and none is banned.
modprobe sch_netem
make_net
plain_config
start_daemon
client tc qdisc add dev eth0 root netem loss 10% delay 20ms 5ms reorder 5%
opened=0
for number in $(seq 20 39); do
  client ip address add "192.0.2.$number/24" dev eth0
  client ip route replace 192.0.2.0/24 dev eth0 src "192.0.2.$number"
  for try in 1 2 3 4 5; do
    client knock -d 100 192.0.2.1 7000 8000:udp 9000
    if within 3 client nc -z -w 2 -s "192.0.2.$number" 192.0.2.1 22; then opened=$((opened + 1)); break; fi
  done
done
banned="$($NFKNOCK bans --json | grep -c 192.0.2. || true)"
echo "guest: $opened of 20 opened, $banned banned"
check 'at 10 % loss at least 18 of 20 get in within five tries' test "$opened" -ge 18
check 'and at most 2 are banned' test "$banned" -le 2
