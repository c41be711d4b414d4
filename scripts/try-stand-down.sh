#!/usr/bin/env bash
# Tries `nfknock stand-down` under a real systemd, on clean Debians, in namespaces of their own:
#
#   npm run package -- amd64 && bash scripts/try-stand-down.sh [SUITE …]      default: bookworm trixie
#
# Out and back by itself, over restarts of the daemon, an installation of the package and boots, with a real-time clock and
# without. Takes root, debootstrap and a Debian mirror; scripts/booted.sh says where the roots are kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
readonly NAME=try-stand-down
# shellcheck source=scripts/booted.sh
source scripts/booted.sh

# Long enough for what is tried meanwhile on a busy machine.
readonly UNTIL_SECONDS=90

try_suite() {
  say "Debian $1"
  new_machine "$1"
  expect 'the package installs' inside apt-get install -y /root/nfknock.deb
  expect 'systemd starts it' inside systemctl enable --now nfknock
  expect 'the service is closed' is_closed
  say 'for a time, beside a daemon'
  over_restarts
  say 'for a time, over boots'
  over_boots
  say 'without a time'
  without_time
  say 'without Node.js'
  without_node
}

stand_down() { inside nfknock stand-down "$@"; }
kill_daemon() { inside sh -c 'kill -9 "$(systemctl show -p MainPID --value nfknock)"'; }
daemon_runs() { inside systemctl is-active --quiet nfknock && holds_not 'no daemon answers' inside nfknock status; }
says_since() { holds 'stood down since' inside nfknock status; }
has_timer() { holds nfknock-stand-down inside systemctl list-timers --all; }
no_rule() { holds_not NFKNOCK inside sh -c 'iptables-save; ip6tables-save'; }

# is_back SINCE: closed again, not before its time, and not long after.
is_back() {
  soon_within $((UNTIL_SECONDS + 30)) is_closed || return 1
  local took=$((SECONDS - $1))
  if [ "$took" -lt $((UNTIL_SECONDS - 3)) ]; then
    echo "back after $took s"
    return 1
  fi
}

over_restarts() {
  local since=$SECONDS
  expect 'it stands down' stand_down --until "${UNTIL_SECONDS}s"
  expect 'the service is open' is_open_to_strangers
  expect 'no rule is left' no_rule
  expect 'status says so' says_since
  expect 'a timer of systemd is to end it' has_timer
  begin_session 192.0.2.66
  expect 'a session begins' soon session_lives
  expect 'systemd restarts the daemon' inside systemctl restart nfknock
  expect 'it stays open' is_open_to_strangers
  expect 'the daemon is killed' kill_daemon
  expect 'and is there again' soon daemon_runs
  expect 'it stays open' is_open_to_strangers
  expect 'the package is installed over itself' inside dpkg -i /root/nfknock.deb
  expect 'it stays open' is_open_to_strangers
  expect 'status still says so' says_since
  expect 'after its time it is back by itself' is_back "$since"
  expect 'to strangers closed' is_closed_to_strangers
  expect 'all is well' soon inside nfknock status
  expect 'the session of meanwhile is still open' session_lives
  end_session
}

over_boots() {
  local since=$SECONDS
  expect 'it stands down' stand_down --until "${UNTIL_SECONDS}s"
  reboot
  expect 'after a boot it is open' soon is_open_to_strangers
  expect 'the daemon runs' soon daemon_runs
  expect 'and has laid no rule' no_rule
  expect 'status says so' says_since
  expect 'a timer of systemd is to end it' has_timer
  expect 'after its time it is back by itself' is_back "$since"
  expect 'all is well' soon inside nfknock status
  expect 'it stands down' stand_down --until 1h
  NFKNOCK_BOOT_RTC=none reboot
  expect 'without a real-time clock it is over with the boot' is_closed_to_strangers
  expect 'the daemon runs' soon daemon_runs
  expect 'nothing says that it is stood down' holds_not 'stood down' inside nfknock status
}

without_time() {
  expect 'it stands down' stand_down
  reboot
  expect 'after a boot it is open' soon is_open_to_strangers
  expect 'the daemon runs' soon daemon_runs
  expect 'and has laid no rule' no_rule
  expect 'it is ended' stand_down --over
  expect 'and the service closed' is_closed_to_strangers
  reboot
  expect 'after the next boot, too' is_closed_to_strangers
}

without_node() {
  local since
  expect 'the daemon runs' soon daemon_runs
  inside mv /usr/lib/nfknock/node /usr/lib/nfknock/node.gone
  expect 'the daemon is killed' kill_daemon
  since=$SECONDS
  expect 'it stands down' inside /usr/lib/nfknock/boot-rules unlay "${UNTIL_SECONDS}s"
  expect 'the service is open' is_open_to_strangers
  expect 'after its time it is back by itself' is_back "$since"
  expect 'to strangers closed' is_closed_to_strangers
}

each_suite try_suite "$@"
