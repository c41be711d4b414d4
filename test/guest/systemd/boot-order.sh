# shellcheck shell=bash
# Three boots beside another firewall, $BESIDE: the first after an installation, with nothing kept; an ordinary one; and
# one, after a power cut, whose daemon can't start.
. test/guest/systemd/asked.sh

check 'the first program is systemd' test "$(cat /proc/1/comm)" = systemd
check "$BESIDE is active" systemctl is-active "$BESIDE"
case "$BOOT" in
  1 | 2)
    check 'the daemon is ready' within 120 is_ready
    closed_from_the_first_packet
    check 'a knock lets in' knock_and_connect
    check 'a stranger is not' none_open
    ;;
  3)
    check 'the daemon has failed' within 60 systemctl is-failed nfknock
    closed_from_the_first_packet
    check 'a knock does not let in' sh -c '! ip netns exec client nc -z -w 2 -s 192.0.2.12 192.0.2.1 22'
    ;;
esac
if [ "$BOOT" = 1 ]; then ENDS=reboot; fi
