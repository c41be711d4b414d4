# shellcheck shell=bash
# The cases of scripts/appliance.sh, which reads this, but for the power cuts.

# Everybody in these cases has an address of his own.
readonly BY_KNOCK=192.0.2.10 BY_KEY=192.0.2.11 LATER=192.0.2.12 BANNED=192.0.2.13 BRIEFLY=192.0.2.14 NEVER=192.0.2.15

closed_so_far() {
  local family
  check "$1" none_open
  for family in $families; do
    awk -v family="$family" '$3 == 8080 && $4 == "open" { exit } { n++ } END { print "appliance: IPv" family ": " n " tries before the first that the network answered" }' "$PROBED/prober$family"
  done
}

# What a machine is for, seen from outside alone.
lets_in_whom_it_should() {
  closed_so_far 'from the first packet that the network answers, nobody got in'
  refuse 'nobody gets in who has not knocked' gets_in "$BY_KNOCK" 22
  # The daemon may not be there yet.
  check 'a knock opens' within 300 knock_in "$BY_KNOCK" "$KNOCK_SSH" 22
  check 'and ssh gets in' ssh_says "$BY_KNOCK"
  check 'a key opens' key_in "$BY_KEY" 22
  check 'and ssh gets in' ssh_says "$BY_KEY"
  refuse 'nobody else does' gets_in "$NEVER" 22
  check 'a stranger never did' none_open
}
ssh_says() { [ "$(ssh_in "$1" 'uname -n')" = appliance ]; }
all_is_well() { hand 120 'nfknock status'; }

case_firmware() {
  disk_for plain
  switch_on --firmware
  check 'the firmware boots the disk, and the network answers' within "$BOOT_SECONDS" network_answers
  lets_in_whom_it_should
  check 'all is well, says status, asked over ssh' ssh_in "$BY_KNOCK" 'nfknock status'
  check 'systemd has nothing that failed' ssh_in "$BY_KNOCK" 'test -z "$(systemctl --failed --no-legend)"'
}

beside() {
  disk_for "$1"
  switch_on
  check 'it boots' await_boot
  check "$1 is active" hand 60 "systemctl is-active $1"
  lets_in_whom_it_should
  check 'all is well, says status' within 60 all_is_well
}
case_nftables() { beside nftables; }
case_netfilter_persistent() {
  beside netfilter-persistent
  check "the owner's saved rules are there" hand 30 'iptables -S INPUT | grep -q -e "--dports 22,2222 -j ACCEPT"'
}
case_ufw() {
  beside ufw
  check 'ufw lets everybody in at port 22' hand 30 'iptables -S ufw-user-input | grep -q -e "--dport 22 -j ACCEPT"'
}

case_ipv6_off() {
  families=4
  disk_for plain
  switch_on --kernel ipv6.disable=1
  check 'it boots' await_boot
  check 'there is no IPv6' hand 30 'test ! -e /proc/net/if_inet6'
  lets_in_whom_it_should
  check 'all is well, says status' within 60 all_is_well
  check 'and doctor finds no fault' hand 120 'nfknock doctor'
  families='4 6'
}

# Nothing that is in force ends for want of room, and it is told.
case_disk_full() {
  disk_for plain
  switch_on
  check 'it boots' await_boot
  check 'a knock opens' knock_in "$BY_KNOCK" "$KNOCK_SSH" 2222
  check 'a ban is made by hand' hand 60 "nfknock ban $BANNED --for 12h"
  check 'the disk is filled' hand 300 'while dd if=/dev/zero bs=1M count=64 status=none >>/fill; do :; done; dd if=/dev/zero bs=512 status=none >>/fill; test "$(df --output=avail / | tail -n 1)" -eq 0'
  check 'a knock opens all the same' knock_in "$LATER" "$KNOCK_SSH" 2222
  check 'a key too' full_key
  check 'status says so, with exit 1' within 90 says_full
  hand 30 'nfknock status' | grep -i -E 'space|full|written|disk' | sed 's/^/appliance: /' || true
  check 'the log says so' hand 30 'journalctl -b -u nfknock -o cat --no-pager | grep -i -E "ENOSPC|no space|disk is full|full"'
  check 'who was let in still is' gets_in "$BY_KNOCK" 2222
  check 'the ban is in force' hand 60 "ipset test nfknock-ban4 $BANNED && nfknock bans --json | grep -q $BANNED"
  refuse 'nobody else gets in' gets_in "$NEVER" 2222
  check 'there is room again' hand 60 'rm /fill && sync'
  check 'status is clean again' within 120 all_is_well
  cut_soon
  switch_on
  check 'it boots again' await_boot
  check 'who was let in while the disk was full still is' gets_in "$LATER" 2222
  check 'who was let in before still is' gets_in "$BY_KNOCK" 2222
  check 'the ban is kept' hand 60 "ipset test nfknock-ban4 $BANNED && nfknock bans --json | grep -q $BANNED"
  check 'a stranger never got in' none_open
}
says_full() { ! hand 60 'nfknock status' >"$scratch/status" && grep -q -i -E 'space|full|ENOSPC' "$scratch/status"; }
# Its packet must be noted as used before it opens: where there is no room for that it may be refused, and is told so.
full_key() {
  if key_in "$BY_KEY" 2225; then return 0; fi
  hand 30 'journalctl -b -u nfknock -o cat --no-pager | grep door.refused'
}

# The clock is of 1970 at the boot, and set right later.
case_clock() {
  disk_for plain
  switch_on
  check 'it boots' await_boot
  check 'a knock opens for hours' knock_in "$BY_KNOCK" "$KNOCK_SSH" 2222
  check 'another for ten seconds' knock_in "$BRIEFLY" "$KNOCK_BRIEF" 2223
  check 'a ban is made by hand' hand 60 "nfknock ban $BANNED --for 12h"
  cut_soon
  switch_on --rtc 1970-01-02T00:00:00
  check 'it boots in 1970' await_boot
  check 'the clock is wrong' hand 30 'test "$(date +%s)" -lt '"$(($(date +%s) - 86400))"
  refuse 'the grant is not in force' gets_in "$BY_KNOCK" 2222
  check 'status says that it waits' holds_text 'wait for a wall clock' hand 60 'nfknock status'
  refuse 'what had ended is not in force' gets_in "$BRIEFLY" 2223
  check 'the ban is' hand 60 "ipset test nfknock-ban4 $BANNED && nfknock bans --json | grep -q $BANNED"
  check 'a knock opens as ever' knock_in "$LATER" "$KNOCK_SSH" 2222
  set_clock
  check 'set right, the grant comes into force' within 30 gets_in "$BY_KNOCK" 2222
  refuse 'and what had ended does not' gets_in "$BRIEFLY" 2223
  check 'who was let in meanwhile still is' gets_in "$LATER" 2222
  check 'the ban is in force' hand 60 "ipset test nfknock-ban4 $BANNED"
  check 'a stranger never got in' none_open
}
set_clock() { check 'the clock is set, and synchronised' hand 60 "date -s @$(date +%s) >/dev/null && $TRIAL/synchronised"; }
# holds_text TEXT COMMAND…
holds_text() {
  local text
  text="$("${@:2}" 2>&1)" || true
  grep -q -e "$1" <<<"$text" || { echo "$text"; return 1; }
}
# What was done has had the time that it may take to be on the disk.
cut_soon() {
  sleep "$SYNCED_SECONDS"
  cut_power "$seed"
  say "the power is cut: $lost"
}
