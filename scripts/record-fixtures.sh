#!/usr/bin/env bash
# Records the captures in test/fixtures/captures: real clients against a machine that drops what nfknock would drop.
# The captures there are kept, since every recording has other moments and ports, which the golden files name.
#
#   scripts/record-fixtures.sh [NAME …]      records all, or those named, into $OUT (default: a new directory)
#
#    ┌── visitor ─────────────────┐        ┌── door ─────────────────┐
#    │ knocker 198.51.100.7       │  veth  │ 192.0.2.1               │
#    │ scanner 203.0.113.9 …      ├────────┤ 2001:db8:1::1           │
#    │ 2001:db8:7::7, :9::9       │        │ 80/tcp open, rest DROP  │
#    └────────────────────────────┘        └─────────────────────────┘
set -euo pipefail

readonly DOOR="nfkRd$$" VISITOR="nfkRv$$"
readonly OUT="${OUT:-$(mktemp -d)}"
readonly HOST=192.0.2.1 HOST6=2001:db8:1::1
readonly KNOCKER=198.51.100.7 SCANNER=203.0.113.9
readonly KNOCKER6=2001:db8:7::7 SCANNER6=2001:db8:9::9
capture=''
server=''

main() {
  trap clean_up EXIT
  build_network
  local names=("$@")
  if [ ${#names[@]} -eq 0 ]; then
    names=(knock burst telnet nc nmap_syn nmap_stealth nmap_udp nmap_timing flood forged fwknop ipv6 fragments cooked connections one_time)
  fi
  for name in "${names[@]}"; do "record_$name"; done
  ls -l "$OUT"
}

clean_up() {
  if [ -n "$capture" ]; then kill "$capture" 2>/dev/null || true; fi
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  ip netns delete "$DOOR" 2>/dev/null || true
  ip netns delete "$VISITOR" 2>/dev/null || true
}

build_network() {
  ip netns add "$DOOR"
  ip netns add "$VISITOR"
  ip -n "$DOOR" link add wire type veth peer name wire netns "$VISITOR"
  for space in "$DOOR" "$VISITOR"; do
    ip netns exec "$space" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
      net.ipv6.conf.wire.accept_dad=0 net.ipv6.conf.wire.router_solicitations=0
    ip -n "$space" link set lo up
    ip -n "$space" link set wire up
    # Checksums as they are on a wire, not as an offloading card would make them later.
    ip netns exec "$space" ethtool -K wire tx off >/dev/null 2>&1 || true
  done
  ip -n "$DOOR" address add "$HOST/24" dev wire
  ip -n "$DOOR" address add "$HOST6/64" dev wire nodad
  ip -n "$DOOR" route add default dev wire
  ip -n "$DOOR" -6 route add default dev wire
  for address in "$KNOCKER" "$SCANNER" 203.0.113.{11..15} 203.0.113.{20..22}; do ip -n "$VISITOR" address add "$address/32" dev wire; done
  for address in "$KNOCKER6" "$SCANNER6" 2001:db8:9::a; do ip -n "$VISITOR" address add "$address/128" dev wire nodad; done
  ip -n "$VISITOR" route add 192.0.2.0/24 dev wire src "$KNOCKER"
  ip -n "$VISITOR" -6 route add 2001:db8:1::/64 dev wire src "$KNOCKER6"
  for tables in iptables ip6tables; do
    at_door "$tables" -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
    at_door "$tables" -A INPUT -p tcp --dport 80 -j ACCEPT
    at_door "$tables" -A INPUT -p tcp -j DROP
    at_door "$tables" -A INPUT -p udp -j DROP
  done
  # A web page for 80/tcp.
  ip netns exec "$DOOR" nc -lk -p 80 >/dev/null 2>&1 &
  server=$!
  sleep 0.5
  # The neighbours learn of each other before anything is recorded.
  for host in "$HOST" "$HOST6"; do try 2 nc -z -w 1 "$host" 80; done
}

at_door() { ip netns exec "$DOOR" "$@"; }
by_visitor() { ip netns exec "$VISITOR" "$@"; }
# Clients end by themselves or by the clock, and that they reach nothing is no failure here.
try() { timeout "$1" ip netns exec "$VISITOR" "${@:2}" >/dev/null 2>&1 </dev/null || true; }

# begin NAME [tcpdump's options]: only IP, so that the moments of neighbour and listener discovery are left out.
begin() {
  local name=$1
  shift
  ip netns exec "$DOOR" tcpdump -Z root -i wire -U --immediate-mode -w "$OUT/$name.pcap" "$@" 'tcp or udp or (ip6 and not icmp6 and ip6[6] != 0)' 2>"$OUT/$name.log" &
  capture=$!
  for _ in $(seq 100); do grep -q 'listening on' "$OUT/$name.log" && break; sleep 0.05; done
}

end() {
  sleep 0.3
  kill "$capture"
  wait "$capture" || true
  capture=''
  rm -f "$OUT"/*.log
}

record_knock() {
  begin knock
  try 5 knock -d 200 "$HOST" 7000 8000:udp 9000
  try 2 nc -z -w 1 "$HOST" 22
  end
}

# Without -d the client sends its knocks 0.1 ms apart.
record_burst() {
  begin burst
  try 5 knock "$HOST" 7000 8000:udp 9000
  end
}

record_telnet() {
  begin telnet
  try 8 telnet "$HOST" 7101
  try 8 telnet "$HOST" 7102
  end
}

record_nc() {
  begin nc
  try 3 nc -z -w 1 "$HOST" 7000
  try 1 bash -c "echo -n x | nc -u -w 1 $HOST 8000"
  try 3 nc -z -w 1 "$HOST" 9000
  end
}

record_nmap_syn() {
  begin nmap-syn
  try 30 nmap -n -Pn -sS -S "$SCANNER" -e wire -p 22,23,80,443,3389,5900,7000,9000 "$HOST"
  end
}

record_nmap_stealth() {
  begin nmap-stealth
  try 30 nmap -n -Pn -sN --max-retries 0 -S 203.0.113.11 -e wire -p 23,443,7000 "$HOST"
  try 30 nmap -n -Pn -sF --max-retries 0 -S 203.0.113.12 -e wire -p 23,443,7000 "$HOST"
  try 30 nmap -n -Pn -sX --max-retries 0 -S 203.0.113.13 -e wire -p 23,443,7000 "$HOST"
  try 30 nmap -n -Pn -sA --max-retries 0 -S 203.0.113.14 -e wire -p 23,443,7000 "$HOST"
  try 30 nmap -n -Pn -sM --max-retries 0 -S 203.0.113.15 -e wire -p 23,443,7000 "$HOST"
  end
}

record_nmap_udp() {
  begin nmap-udp
  try 30 nmap -n -Pn -sU --max-retries 1 -S "$SCANNER" -e wire -p 53,161,8000 "$HOST"
  end
}

# Polite: 0.4 s between two probes. Then all at once.
record_nmap_timing() {
  begin nmap-timing
  try 30 nmap -n -Pn -r -sS -T2 --max-retries 0 -S 203.0.113.21 -e wire -p 7000,9000,9001 "$HOST"
  try 30 nmap -n -Pn -r -sS -T5 --max-retries 0 -S 203.0.113.22 -e wire -p 7000,9000,9001,5900,5901,5902 "$HOST"
  end
}

# One source, 200 packets in 0.2 s, each to another port.
record_flood() {
  begin flood
  try 10 hping3 -q -S -p ++10001 -i u1000 -c 200 -a "$SCANNER" "$HOST"
  end
}

# First knocks in many names, and in between someone who knocks as one should.
record_forged() {
  begin forged
  local pids=()
  for last in $(seq 101 130); do
    timeout 3 ip netns exec "$VISITOR" hping3 -q -S -p 7000 -s "$((2000 + last))" -k -i u200000 -c 4 -a "203.0.113.$last" "$HOST" >/dev/null 2>&1 </dev/null &
    pids+=($!)
  done
  try 5 knock -d 150 "$HOST" 7000 8000:udp 9000
  wait "${pids[@]}" || true
  end
}

record_fwknop() {
  begin fwknop
  local home
  home="$(mktemp -d)"
  HOME="$home" try 10 fwknop --no-save-args -A tcp/22 -a "$KNOCKER" -D "$HOST" \
    --key-base64-rijndael "$(printf 'a key for the fixture, no secret' | base64)" --no-home-dir --no-rc-file -E "$home/arguments"
  rm -rf "$home"
  end
}

record_ipv6() {
  begin ipv6
  try 5 knock -6 -d 200 "$HOST6" 7000 8000:udp 9000
  try 30 nmap -6 -n -Pn -r -sS --max-retries 0 --scan-delay 100ms -S "$SCANNER6" -e wire -p 23,3389 "$HOST6"
  try 30 nmap -6 -n -Pn -r -sS --max-retries 0 --scan-delay 100ms -S 2001:db8:9::a -e wire -p 5900,5901 "$HOST6"
  end
}

# A SYN in 8-byte pieces, and a datagram too long for one frame.
record_fragments() {
  begin fragments
  try 30 nmap -n -Pn -r -f -sS --max-retries 0 -S "$SCANNER" -e wire -p 23,7000 "$HOST"
  try 2 bash -c "head -c 4000 /dev/zero | nc -u -w 1 -s 203.0.113.20 $HOST 161"
  end
}

# All interfaces at once: the cooked link layer, which also says which way a packet went.
record_cooked() {
  ip netns exec "$DOOR" tcpdump -Z root -i any -y LINUX_SLL2 -U --immediate-mode -w "$OUT/cooked.pcap" 'tcp or udp' 2>"$OUT/cooked.log" &
  capture=$!
  for _ in $(seq 100); do grep -q 'listening on' "$OUT/cooked.log" && break; sleep 0.05; done
  try 5 knock -d 200 "$HOST" 7000 8000:udp 9000
  try 3 bash -c "echo hello | nc -q 1 -w 1 $HOST 80"
  end
}

# Ordinary traffic in both directions, begun before the capture, during it, and by the door itself.
record_connections() {
  ip netns exec "$VISITOR" nc -l -p 8080 >/dev/null 2>&1 </dev/null &
  local peer=$!
  { sleep 0.5; echo before; sleep 2; echo during; sleep 1; } | ip netns exec "$VISITOR" nc -q 0 "$HOST" 80 >/dev/null 2>&1 &
  local client=$!
  sleep 1
  begin connections
  try 3 bash -c "echo hello | nc -q 1 -w 1 $HOST 80"
  { echo question | timeout 3 ip netns exec "$DOOR" nc -q 1 "$KNOCKER" 8080; } >/dev/null 2>&1 || true
  try 2 nc -z -w 1 -s "$SCANNER" "$HOST" 23
  wait "$client" || true
  end
  kill "$peer" 2>/dev/null || true
}

# The sequences of test/fixtures/captures/one-time.sequences, of which the first is used up: the next, by its owner;
# the same by one who has watched; the used one; the one after, and the last but for its second half.
record_one_time() {
  begin one-time
  try 5 knock -d 200 "$HOST" 7011 7012:udp 7013
  for port in 7011 7013; do try 2 nc -z -w 1 -s "$SCANNER" "$HOST" "$port"; done
  try 5 knock -d 200 "$HOST" 7001 7002:udp 7003
  try 5 knock -d 200 "$HOST" 7021 7022:udp
  try 5 knock -d 200 "$HOST" 7031:udp
  end
}

main "$@"
