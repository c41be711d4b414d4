# systemd: nftables
# Killed with -9, systemd starts the daemon again at once; also with ten thousand bans kept.
. test/guest/systemd/asked.sh
ready_again() {
  local pid since at slow took
  slow="$(how_slow)"
  pid="$(main_pid)"
  since="$(uptime_now)"
  kill -KILL "$pid"
  within 120 sh -c "[ \"\$(systemctl show -p MainPID --value nfknock)\" != $pid ] && systemctl is-active --quiet nfknock" || return 1
  at="$(active_at nfknock)"
  took="$(minus "$at" "$since")"
  echo "guest: $1: ready $took s after the kill, on a machine $slow times slower than an idle one: $(awk -v t="$took" -v s="$slow" 'BEGIN { printf "%.2f", t / s }') s there"
}
check 'the daemon is ready' within 120 is_ready
for time in 1 2 3; do ready_again 'with no bans'; done
awk 'BEGIN { for (i = 0; i < 10000; i++) printf "add nfknock-ban4 10.9.%d.%d timeout 36000\n", i / 256, i % 256 }' >/run/bans
check 'ten thousand bans in the kernel' ipset restore -file /run/bans
for time in 1 2 3 4; do ready_again 'with 10,000 bans'; done
check 'the daemon is ready with them' is_ready
check 'it knows them all' sh -c 'test "$(nfknock bans --json | grep -o "10\.9\.[0-9]*\.[0-9]*" | sort -u | wc -l)" = 10000'
check 'the kernel has them all' sh -c 'test "$(ipset list nfknock-ban4 | grep -c "^10\.9\.")" = 10000'
check 'systemd counts the starts' test "$(systemctl show -p NRestarts --value nfknock)" = 7
check 'meanwhile nobody got in' none_open
