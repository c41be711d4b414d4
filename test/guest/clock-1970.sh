# boots: 3
# boot 1: -rtc base=2026-11-28T12:00:00
# boot 2: -rtc base=1970-01-02T00:00:00
# boot 3: -rtc base=2026-11-28T15:00:00
# A clock that was behind at boot: what had ended never comes back, and the step that fixes it lengthens nothing.
make_net
write_config <<'YAML'
doors:
  ssh:
    knock: [7000/tcp, 8000/udp, 9000/tcp]
    opens: [22/tcp]
    for: 10m
  long:
    knock: [7100/tcp, 8100/udp, 9100/tcp]
    opens: [2222/tcp]
    for: 1h
decoys: [23/tcp, 2323/tcp, 3389/tcp]
log: { file: /run/nfknock/events.jsonl }
YAML
start_daemon
case "$BOOT" in
  1)
    check 'a knock' knocks 192.0.2.1
    check 'opens for ten minutes' within 10 connects 192.0.2.1
    check 'and a ban is made by hand' $NFKNOCK ban 192.0.2.99 --for 4h
    # Synced within a second.
    sleep 2
    kill -KILL "$DAEMON"
    ;;
  2)
    check 'the clock is wrong' test "$(date +%Y)" = 1970
    refuse 'the grant is not in force while the clock is wrong' connects 192.0.2.1
    check 'the ban is' sh -c "$NFKNOCK bans --json | grep -q 192.0.2.99"
    date -s '2026-11-28T13:00:00' >/dev/null
    sleep 3
    refuse 'nor when NTP has set it right: its ten minutes were over' connects 192.0.2.1
    refuse 'the state file gives it no later end' sh -c "$NFKNOCK grants --json | grep -q 192.0.2.11"
    check 'a knock opens again' sh -c 'ip netns exec client knock -d 200 192.0.2.1 7000 8000:udp 9000'
    sleep 2
    kill -KILL "$DAEMON"
    ;;
  3)
    refuse 'two hours later nothing of it is left' connects 192.0.2.1
    check 'a knock opens' knocks 192.0.2.1
    check 'as ever' within 10 connects 192.0.2.1
    check 'the daemon stops' stop_daemon
    ;;
esac
