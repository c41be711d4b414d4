# shellcheck shell=bash
# What the prober met, and how long something took; the cases that have systemd read this, and scripts/appliance.sh.

# Where the prober writes, and the ports that are protected.
PROBED="${PROBED:-/run}"
PROTECTED="${PROTECTED:-22}"
uptime_now() { cut -d ' ' -f 1 /proc/uptime; }
# answers PORT WHAT [SINCE [UNTIL]]: how many tries of the prober met that, over both families.
answers() {
  cat "$PROBED/prober4" "$PROBED/prober6" | awk -v port="$1" -v what="$2" -v since="${3:-0}" -v until="${4:-1e9}" \
    'NF == 4 && $3 == port && $4 == what && $1 >= since && $1 <= until { n++ } END { print n + 0 }'
}
answered() { [ "$(awk -v since="${2:-0}" 'NF == 4 && $3 == 8080 && $4 == "open" && $1 >= since' "$PROBED/prober$1" | wc -l)" -gt 0 ]; }
none_open() {
  local port open all=0
  for port in $PROTECTED; do
    open="$(answers "$port" open "${1:-0}")"
    if [ "$open" -eq 0 ]; then continue; fi
    all=$((all + open))
    echo "port $port was open to $open tries:"
    cat "$PROBED/prober4" "$PROBED/prober6" | grep " $port open$" | sort -n | sed -n '1p;$p'
  done
  [ "$all" -eq 0 ]
}
# Monotonic seconds at which a unit became active; with Type=notify that is READY=1.
active_at() { systemctl show -p ActiveEnterTimestampMonotonic --value "$1" | awk '{ printf "%.3f", $1 / 1e6 }'; }
less() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'; }
minus() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a - b }'; }
# How many times slower than an idle machine this is, here and now: by what Node.js takes to run nothing, there 40 ms.
how_slow() {
  local since
  since="$(uptime_now)"
  node -e 0
  awk -v took="$(minus "$(uptime_now)" "$since")" 'BEGIN { slow = took / 0.04; printf "%.1f", slow < 1 ? 1 : slow }'
}
main_pid() { systemctl show -p MainPID --value nfknock; }
# Dead, and not to be started again.
end_daemon() {
  systemctl mask --runtime nfknock 2>/dev/null
  kill -KILL "$(main_pid)"
  check 'the daemon is dead' within 30 sh -c '! systemctl is-active --quiet nfknock'
  systemctl stop nfknock
}
is_ready() { systemctl is-active --quiet nfknock && nfknock status >/dev/null; }
# From another address than the prober's, which is to stay a stranger.
knock_and_connect() {
  client ip route replace 192.0.2.0/24 dev eth0 src 192.0.2.12
  client knock -d 200 192.0.2.1 7000 8000:udp 9000
  within 20 client nc -z -w 2 -s 192.0.2.12 192.0.2.1 22
}

# The network answers strangers on the port that is not protected, and has never let one in on the one that is.
closed_from_the_first_packet() {
  check 'the network answers over IPv4' within 120 answered 4
  check 'and over IPv6' within 120 answered 6
  check 'and from its first packet on the port was closed' none_open
  for file in /run/prober4 /run/prober6; do
    awk 'NF == 4 && $3 == 8080 && $4 == "open" { print "guest: the first answer came " $1 " s after the boot, over " $2; exit }' "$file"
  done
  for unit in "$BESIDE" nfknock-sets nfknock-rules networking nfknock; do
    echo "guest: $unit: $(systemctl is-active "$unit"), since $(active_at "$unit") s"
  done
}
# reloaded WHAT COMMAND…: runs it, and tells for how long the port stood open. A second afterwards it must be closed, on
# an idle machine.
reloaded() {
  local what="$1" since done_at last slow
  shift
  slow="$(how_slow)"
  since="$(uptime_now)"
  check "$what: it goes" "$@"
  done_at="$(uptime_now)"
  sleep 5
  check "$what: the network answers" answered 4 "$done_at"
  cat /run/prober4 /run/prober6 | awk -v since="$since" 'NF == 4 && $3 == 22 && $4 == "open" && $1 >= since { print $1 }' | sort -n >/run/opened
  if [ -s /run/opened ]; then
    last="$(tail -n 1 /run/opened)"
    echo "guest: $what: open for $(minus "$last" "$(head -n 1 /run/opened)") s, in $(wc -l </run/opened) tries; the command took $(minus "$done_at" "$since") s, the last was $(minus "$last" "$done_at") s after its end"
  else
    last="$since"
    echo "guest: $what: open to no try; the command took $(minus "$done_at" "$since") s"
  fi
  echo "guest: $what: the machine was $slow times slower than an idle one"
  check "$what: closed a second after its end at the latest" less "$last" "$(awk -v t="$done_at" -v slow="$slow" 'BEGIN { printf "%.3f", t + slow }')"
  check "$what: our chain is there over both families" sh -c 'iptables -C INPUT ! -i lo -m comment --comment nfknock -j NFKNOCK && ip6tables -C INPUT ! -i lo -m comment --comment nfknock -j NFKNOCK'
}
