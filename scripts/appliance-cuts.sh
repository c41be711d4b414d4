# shellcheck shell=bash
# The power cuts of scripts/appliance.sh, which reads this. The machine is switched on, it is looked at whether all that was
# announced before the last cut is as it was, things are done to it from outside and by hand, and at a moment that is drawn
# the power goes: qemu is killed, and of what its drive had not flushed a part is lost that is drawn too
# (scripts/power-cut.mjs). One cut in four comes during the boot; in one boot in four the clock is of 1970, and set later.
#
# What is promised (docs/state.md): nothing that had ended comes back; what was done by hand or by a key, and that a one-time
# line is used, is kept as soon as it was announced; a grant by knock and a ban that was earned, within a second.

# Under emulation a second of the machine's may take longer.
readonly SYNCED_SECONDS=6
readonly DOING_SECONDS_MAX=50

# By address: what it must be. open, closed, banned, free (of a ban), either (the cut came before it was announced).
declare -A want door_port
draw_state=0
# draw BELOW: sets `drawn`; the same seed draws the same.
drawn=0
draw() {
  draw_state=$(((draw_state * 1103515245 + 12345) & 0x7fffffff))
  drawn=$(((draw_state >> 8) % $1))
}

case_cuts() {
  local number clock=right
  draw_state=$((seed & 0x7fffffff))
  want=() door_port=() replays=()
  disk_for plain
  for ((number = 1; number <= cuts; number++)); do one_cut "$number"; done
  clock=right
  switch_on
  check 'after the last cut it boots' await_boot
  verify 'at the end'
  say "of ${#want[@]} addresses $(count_of open) are let in, $(count_of closed) are not any more, $(count_of banned) are banned, $(count_of free) are not any more; for $(count_of either) the cut came too soon to tell"
}
count_of() { printf '%s\n' "${want[@]}" | grep -c -x "$1" || true; }

one_cut() {
  local number="$1" in_boot moment begins
  clock=right
  draw 4 && in_boot=$((drawn == 0 && number > 1))
  draw 4 && if [ "$drawn" -eq 0 ] && [ "$number" -gt 1 ] && [ "$native" = no ]; then clock=1970; fi
  begins="$clock"
  : >"$scratch/books"
  if [ "$clock" = 1970 ]; then switch_on --rtc 1970-01-02T00:00:00; else switch_on; fi
  if [ "$in_boot" = 1 ]; then
    draw 40 && moment="$((2 + drawn))"
    sleep "$moment"
    moment="$moment s after the switch"
  else
    check "boot $number comes up" await_boot
    verify "boot $number"
    if [ "$clock" = 1970 ]; then
      set_clock
      clock=right
      sleep 3
      verify "boot $number, its clock set right"
    fi
    replays=()
    do_things "$number" &
    doer=$!
    draw $((DOING_SECONDS_MAX * 10)) && moment="$((drawn / 10)).$((drawn % 10))"
    sleep "$moment"
    moment="$moment s into what was done"
  fi
  check "boot $number: nobody got in who had not knocked" none_open
  draw 1000000 && cut_power "$drawn"
  end_doing
  say "cut $number: $moment, in a boot whose clock was $begins; $lost"
  read_books
}

# What goes on beside this script.
doer=''
end_doing() {
  if [ -z "$doer" ]; then return; fi
  kill "$doer" 2>/dev/null || true
  wait "$doer" 2>/dev/null || true
  doer=''
}

# Begun and done, each with the moment.
note() { echo "$EPOCHREALTIME $*" >>"$scratch/books"; }

# What goes on when the power goes. Each address is of one thing.
do_things() {
  local address kind line next=$((20 + ($1 - 1) * 11))
  draw_state=$(((seed + $1 * 7919) & 0x7fffffff))
  for kind in $(kinds); do
    address="192.0.2.$next" && next=$((next + 1))
    note begun "$kind" "$address"
    case "$kind" in
      open) knock_in "$address" "$KNOCK_SSH" 2222 || continue ;;
      brief) knock_in "$address" "$KNOCK_BRIEF" 2223 || continue ;;
      revoke)
        knock_in "$address" "$KNOCK_SSH" 2222 || continue
        hand 60 "nfknock revoke $address" || continue
        ;;
      ban) hand 60 "nfknock ban $address --for 12h" || continue ;;
      unban)
        hand 60 "nfknock ban $address --for 12h" || continue
        hand 60 "nfknock unban $address" || continue
        ;;
      strike)
        for line in 23 2323 3389; do outside nc -z -w 1 -s "$address" "$MACHINE4" "$line" & done
        wait
        within 30 hand 20 "ipset test nfknock-ban4 $address" || continue
        ;;
      key)
        record_packet "$scratch/packet-$address" || continue
        as "$address" nc -u -w 1 "$MACHINE4" "$SPA_PORT" <"$scratch/packet-$address" || true
        within 10 gets_in "$address" 2225 2 || continue
        ;;
      once)
        line="$(hand 30 'grep -v "^#" /var/lib/nfknock/once.sequences | head -n 1')" || continue
        echo "$line" >"$scratch/line-$address"
        knock_in "$address" "${line//,/, }" 2224 || continue
        ;;
    esac
    note 'done' "$kind" "$address"
  done >"$scratch/doing" 2>&1
}
# All kinds, in an order that is drawn, and three of them once more.
kinds() {
  local left=(open brief revoke ban unban strike key once open key revoke)
  while [ "${#left[@]}" -gt 0 ]; do
    draw "${#left[@]}"
    echo "${left[$drawn]}"
    left=("${left[@]:0:drawn}" "${left[@]:drawn+1}")
  done
}
# A packet of the key that names no address, kept before it is sent.
record_packet() {
  outside timeout 5 nc -u -l -w 1 127.0.0.1 "$SPA_PORT" >"$1" &
  local listener=$!
  sleep 0.3
  outside node dist/bin/nfknock.js knock 127.0.0.1 --door key --key "$PLACE/secrets/trial.key"
  wait "$listener" || true
  [ -s "$1" ]
}

# What was announced, and how long before the cut.
read_books() {
  local moment what kind address age
  while read -r moment what kind address; do
    door_port[$address]="$(port_of "$kind")"
    age=$((${cut_at%.*} - ${moment%.*}))
    # The power was gone.
    if [ "${moment/./}" -ge "${cut_at/./}" ]; then what=begun; fi
    case "$what $kind" in
      # Its time is over before the next boot.
      *' brief') want[$address]=closed ;;
      'done key') want[$address]=open ;;
      'done open' | 'done once') if [ "$age" -ge "$SYNCED_SECONDS" ]; then want[$address]=open; fi ;;
      'done strike') if [ "$age" -ge "$SYNCED_SECONDS" ]; then want[$address]=banned; fi ;;
      'done revoke') want[$address]=closed ;;
      'done ban') want[$address]=banned ;;
      'done unban') want[$address]=free ;;
      *) want[$address]=either ;;
    esac
    case "$what $kind" in 'done key' | 'done once') replays+=("$kind $address") ;; esac
  done <"$scratch/books"
}
port_of() { case "$1" in brief) echo 2223 ;; once) echo 2224 ;; key) echo 2225 ;; *) echo 2222 ;; esac; }

# verify WHEN: all that must be so is so. With a clock of 1970 no grant is in force.
verify() {
  local address wanted wrong=() counts=(0 0 0 0) kept
  ask_all
  kept="$(hand 90 'ipset list nfknock-ban4; echo; nfknock bans --json; echo; nfknock status; ls /var/lib/nfknock')" || true
  for address in "${!want[@]}"; do
    wanted="${want[$address]}"
    case "$wanted" in
      open)
        if [ "$clock" = 1970 ]; then wanted=closed; fi
        counts[0]=$((counts[0] + 1))
        ;;
      closed) counts[1]=$((counts[1] + 1)) ;;
      banned) counts[2]=$((counts[2] + 1)) ;;
      free) counts[3]=$((counts[3] + 1)) ;;
    esac
    case "$wanted" in
      open) if [ ! -e "$scratch/in-$address" ]; then wrong+=("$address is not let in"); fi ;;
      closed) if [ -e "$scratch/in-$address" ]; then wrong+=("$address is let in"); fi ;;
      banned) if [ "$(grep -c -w -e "${address//./\\.}" <<<"$kept")" -lt 2 ]; then wrong+=("$address is not banned"); fi ;;
      free) if grep -q -w -e "${address//./\\.}" <<<"$kept"; then wrong+=("$address is banned"); fi ;;
    esac
  done
  check "$1: ${counts[0]} grants $([ "$clock" = 1970 ] && echo wait || echo 'are in force'), ${counts[1]} that ended are not; ${counts[2]} are banned, ${counts[3]} are not any more" none_wrong "${wrong[@]}"
  refuse "$1: no state file was set aside" grep -q -e 'state.db.damaged' <<<"$kept"
  replay_all "$1"
}
none_wrong() { [ "$#" -eq 0 ] || { printf '%s\n' "$@"; return 1; }; }

# All at once: who is closed out waits for nothing.
ask_all() {
  local address asked=()
  rm -f "$scratch"/in-*
  for address in "${!want[@]}"; do
    case "${want[$address]}" in open | closed) ;; *) continue ;; esac
    { gets_in "$address" "${door_port[$address]}" 6 && : >"$scratch/in-$address"; } 2>/dev/null &
    asked+=("$!")
  done
  if [ "${#asked[@]}" -gt 0 ]; then wait "${asked[@]}" || true; fi
}

# What has opened once opens nothing more, from whomever it comes.
replays=()
other=0
replay_all() {
  local each kind address
  for each in "${replays[@]}"; do
    read -r kind address <<<"$each"
    other=$((other % 13 + 1))
    case "$kind" in
      key) as "192.0.2.$((240 + other))" nc -u -w 1 "$MACHINE4" "$SPA_PORT" <"$scratch/packet-$address" || true ;;
      once) knock_as "192.0.2.$((240 + other))" "$(sed 's/,/, /g' "$scratch/line-$address")" || true ;;
    esac
    refuse "$1: the $kind of $address, used already, opens nothing" gets_in "192.0.2.$((240 + other))" "$(port_of "$kind")" 4
  done
}
