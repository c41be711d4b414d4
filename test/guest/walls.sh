# systemd: nftables
# The unit's walls and a fleet: the daemon reaches exactly the engine that is configured, once doctor has fitted them.
. test/guest/systemd/asked.sh
readonly DROP_IN=/etc/systemd/system/nfknock.service.d/zz-nfknock.conf
# Whoever speaks to one of these two addresses is written down: how far TLS comes is not on trial here.
client ip address add 192.0.2.25/24 dev eth0
client ip address add 192.0.2.26/24 dev eth0
: >/run/met
client node -e '
  const { appendFileSync } = require("node:fs");
  for (const host of ["192.0.2.25", "192.0.2.26"])
    require("node:net").createServer((socket) => {
      appendFileSync("/run/met", `${host}\n`);
      socket.on("error", () => undefined).destroy();
    }).listen(6379, host);
' &
engine=$!
met() { grep -qx "$1" /run/met; }
# configured ADDRESS: the same configuration, with the engine there.
cp /etc/nfknock/nfknock.yaml /run/alone.yaml
configured() {
  { cat /run/alone.yaml && echo "fleet: { name: edge1, engine: \"rediss://$1\" }"; } >/etc/nfknock/nfknock.yaml
}
restarted() { systemctl restart nfknock && within 60 systemctl is-active --quiet nfknock; }
finds() { nfknock doctor --json | grep -q "\"$1\""; }

check 'the daemon is ready' within 120 is_ready
check 'what is outside the walls reaches the engine' nc -z -w 5 192.0.2.25 6379
check 'it met that' within 20 met 192.0.2.25
: >/run/met
check 'a password is made' nfknock fleet users edge1 --password-file /etc/nfknock/fleet.password
chown nfknock:nfknock /etc/nfknock/fleet.password
configured 192.0.2.25
check 'with a fleet the daemon starts' restarted
sleep 10
refuse 'the walls keep the engine from it' met 192.0.2.25
check 'doctor finds that' finds unit-address
check 'and mends it' nfknock doctor --drop-in
refuse 'and finds it no more' finds unit-address
check 'the daemon starts again' restarted
check 'and reaches the engine' within 60 met 192.0.2.25

configured 192.0.2.26
check 'doctor finds what an engine before has left' finds unit-address-stale
check 'and that the new one is shut out' finds unit-address
check 'and mends both' nfknock doctor --drop-in
check 'the daemon starts with the new one' restarted
check 'and reaches it' within 60 met 192.0.2.26
configured 192.0.2.25
: >/run/met
check 'the daemon starts with the old one' restarted
sleep 10
refuse 'which is shut out again' met 192.0.2.25

cp /run/alone.yaml /etc/nfknock/nfknock.yaml
check 'without a fleet the drop-in goes' nfknock doctor --drop-in
refuse 'and is gone' test -e "$DROP_IN"
kill "$engine"
