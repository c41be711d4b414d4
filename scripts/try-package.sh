#!/usr/bin/env bash
# Tries dist/nfknock_*.deb on clean Debians that boot with their own systemd, in namespaces of their own:
#
#   npm run package -- amd64 && bash scripts/try-package.sh [SUITE …]      default: bookworm trixie
#
# Installs, knocks, kills, upgrades, reboots, removes, purges, and says of each what is open and what is closed. Takes root,
# debootstrap and a Debian mirror; scripts/booted.sh says where the roots are kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
readonly NAME=try-package
# shellcheck source=scripts/booted.sh
source scripts/booted.sh
# shellcheck source=scripts/over-upgrade.sh
source scripts/over-upgrade.sh

try_suite() {
  say "Debian $1"
  new_machine "$1"
  try_all
}

exposure_as_documented() {
  local documented
  documented="$(grep -o 'Overall exposure level for nfknock.service: [0-9.]*' docs/operations.md)"
  holds "$documented " inside systemd-analyze security --no-pager nfknock
}
kill_daemon() { inside sh -c 'kill -9 "$(systemctl show -p MainPID --value nfknock)"'; }

# The same package under a later version.
upgrade() {
  local tree="$scratch/deb"
  dpkg-deb -R "$deb" "$tree"
  sed -i 's/^Version: .*/&+later1/' "$tree/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone -b "$tree" "/proc/$init/root/root/later.deb" >/dev/null
  over_upgrade later1 inside apt-get install -y /root/later.deb
}

try_all() {
  say 'installing'
  expect 'the package installs on a clean Debian' inside apt-get install -y /root/nfknock.deb
  expect 'nothing is started' holds inactive inside systemctl is-active nfknock
  expect 'nothing is enabled' holds disabled inside systemctl is-enabled nfknock nfknock-rules
  expect 'the service is open as before' soon is_open
  expect 'a sequence was drawn, and is sound' inside nfknock check
  expect 'the manual is there' inside test -s /usr/share/man/man1/nfknock.1.gz
  expect 'systemd starts it' inside systemctl enable --now nfknock

  say 'serving'
  expect 'the service is closed' is_closed
  expect 'a knock goes out' knock_from_outside
  expect 'and lets in' soon is_open
  expect 'the daemon has one capability' \
    holds 0000000000001000 inside sh -c 'grep CapEff "/proc/$(systemctl show -p MainPID --value nfknock)/status"'
  expect 'the exposure that systemd sees is the one in docs/operations.md' exposure_as_documented
  make_lasting
  expect 'it is killed' kill_daemon
  expect 'who was let in is let in meanwhile' is_open
  expect 'and systemd has it back' soon inside nfknock status

  say 'upgrading'
  upgrade

  say 'rebooting'
  reboot
  expect 'the rules were laid before the network' soon inside systemctl is-active nfknock-rules
  expect 'the daemon serves again' soon inside nfknock status
  expect 'the grant is in force' is_open
  expect 'with its reason' holds 'as by hand' inside nfknock grants
  expect 'the ban is in force' holds 203.0.113.9 inside ipset list nfknock-ban4
  expect 'taken back, the grant is over' inside nfknock revoke 192.0.2.10
  expect 'and the service closed' is_closed

  say 'removing'
  expect 'the package is removed' inside apt-get remove -y nfknock
  expect 'the service stays closed' is_closed
  reboot
  expect 'after the next boot, too' is_closed
  expect 'the package is purged' inside apt-get purge -y nfknock
  expect 'the service is open' soon is_open
  expect 'no rule is left' holds_not NFKNOCK inside sh -c 'iptables-save; ip6tables-save'
  expect 'no set is left' holds_not nfknock inside ipset list -n
  expect 'no file is left' holds_not nfknock inside find /etc /var/lib /usr/bin /usr/lib/systemd -name '*nfknock*' -not -path '/var/lib/dpkg/*'
}

each_suite try_suite "$@"
