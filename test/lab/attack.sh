# shellcheck shell=bash
# What happens in the lab, in order. Sourced by scripts/lab.sh, which says what the words in use here mean.

attack() {
  say 'the lab comes up'
  up nfknock
  unprivileged
  closed
  knocked
  over_ipv6
  behind
  killed
  guessed
  scanned
  steered
}

unprivileged() {
  say 'what the daemon may do'
  local status
  status="$(on door cat /proc/1/status)"
  check 'its image is a small one: at most 230 MB, and no npm in it' is_small
  check 'it is no root' grep -qE '^Uid:\s+900\s+900\s+900\s+900$' <<<"$status"
  check 'it has CAP_NET_ADMIN, and can have nothing else' has_only_net_admin "$status"
  check 'it can gain no privileges' grep -qE '^NoNewPrivs:\s+1$' <<<"$status"
  check 'its files are read-only' not on door sh -c 'touch /usr/lib/nfknock/x || touch /etc/x' 2>/dev/null
}

# Bit 12 of each set of capabilities: inheritable, permitted, effective, bounding, ambient.
# What Docker says in bytes, of every layer.
is_small() {
  [ "$(docker image inspect --format '{{.Size}}' "$PROJECT/door")" -le "$IMAGE_BYTES_MAX" ] && not on door sh -c 'command -v npm'
}

has_only_net_admin() {
  [ "$(grep -cE '^Cap(Inh|Prm|Eff|Bnd|Amb):\s+0000000000001000$' <<<"$1")" -eq 5 ]
}

closed() {
  say 'nobody has knocked'
  check 'the page is there for everyone' shows_page machine "http://$MACHINE/"
  check 'and from another address' connects "$MACHINE" 80 "$STRANGER"
  check 'ssh gives no answer' not connects "$MACHINE" 22
  check 'the page behind gives no answer' not connects "$BEHIND" 8080
}

knocked() {
  say "knock $MACHINE 7000 8000:udp 9000"
  try knock -d 100 "$MACHINE" 7000 8000:udp 9000
  check 'the daemon opens the door' said "\"event\":\"door.opened\",\"source\":\"$OWNER\",\"door\":\"ssh\""
  check 'ssh answers the one who knocked' answers machine "$MACHINE"
  check 'and nobody else' not connects "$MACHINE" 22 "$STRANGER"
}

over_ipv6() {
  say "knock -6 $MACHINE6 7000 8000:udp 9000"
  check 'ssh gives no answer over IPv6 before' not connects "$MACHINE6" 22
  try knock -6 -d 100 "$MACHINE6" 7000 8000:udp 9000
  check 'and answers after' answers machine "$MACHINE6"
}

behind() {
  say 'a host behind the machine'
  try knock -d 100 "$MACHINE" 7201 7202:udp 7203
  said "\"source\":\"$OWNER\",\"door\":\"routed\",\"ports\""
  check 'its page is shown to the one who knocked' shows_page behind "http://$BEHIND:8080/"
  check 'and to nobody else' not connects "$BEHIND" 8080 "$STRANGER"
  check 'its sshd gives no answer on a port of the machine in front' not connects "$MACHINE" 8022
  try knock -d 100 "$MACHINE" 7301 7302:udp 7303
  said "\"source\":\"$OWNER\",\"door\":\"translated\",\"ports\""
  check 'and answers there after a knock' answers behind "$MACHINE" -p 8022
}

killed() {
  say 'the daemon is killed (SIGKILL)'
  on door nfknock grant ssh "$OWNER" --for 5m >/dev/null
  # A connection that is there before: it says so a few seconds later, into a file of its own.
  asked "$MACHINE" --run 'sleep 8; echo alive' >"$scratch/session" 2>&1 &
  local session=$!
  sleep 2
  docker kill --signal KILL "${container[door]}" >/dev/null
  check 'the door stays shut to newcomers' not connects "$MACHINE" 22 "$STRANGER"
  check 'the host behind stays shut to newcomers' not connects "$BEHIND" 8080 "$STRANGER"
  check 'the one who was let in is let in still: the kernel knows until when' connects "$MACHINE" 22
  docker start "${container[door]}" >/dev/null
  until_ready
  check 'started again, it knows whom it let in' grants "$OWNER"
  wait "$session"
  check 'the connection that was open lives on' grep -q alive "$scratch/session"
}

until_ready() {
  local deadline=$((SECONDS + READY_SECONDS_MAX))
  until is_ready || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.3; done
}

grants() { on door nfknock grants --json | grep -F "\"$1" >/dev/null; }

guessed() {
  # 9000 would begin the sequence that closes, and what follows it there would be no mistake.
  say 'a guesser: 7303, 7203, 8000/udp'
  local port
  for port in 7303 7203 8000:udp; do knock_as "$GUESSER" "$port"; done
  check 'is banned at the third offence' said "\"event\":\"ban.added\",\"source\":\"$GUESSER\""
  for port in 7000 8000:udp 9000; do knock_as "$GUESSER" "$port"; done
  check 'now the right knock does not help either' not connects "$MACHINE" 22 "$GUESSER"
  check 'and the page is gone for it' not connects "$MACHINE" 80 "$GUESSER"
  check 'the others have it' shows_page machine "http://$MACHINE/"
}

# knock_as SOURCE PORT[:udp]: Debian's knock has no choice of address.
knock_as() {
  case "$2" in
    *:udp) try sh -c "echo | nc -u -w 1 -s $1 $MACHINE ${2%:udp}" ;;
    *) try nc -z -w 1 -s "$1" "$MACHINE" "$2" ;;
  esac
}

scanned() {
  say "nmap -sS -r -p 1-10000 $MACHINE"
  try nmap -n -Pn -sS -r -p 1-10000 --max-retries 0 --min-rate 2000 -S "$SCANNER" -e "$(wire)" "$MACHINE"
  check 'meets three decoys on its way up, and is banned' said "\"event\":\"ban.added\",\"source\":\"$SCANNER\""
  check 'opens nothing, though every knock was on its way' not has_said "\"event\":\"door.opened\",\"source\":\"$SCANNER\""
  say "hping3 -F -p 7000 -c 50 $MACHINE"
  try hping3 -q -F -p 7000 -i u20000 -c 50 -a "$PROBER" "$MACHINE"
  check 'packets that begin nothing are a scan too' said "\"event\":\"ban.added\",\"source\":\"$PROBER\""
}

wire() { on visitor ip -o -4 address show to "$OWNER" | awk '{print $2}'; }

steered() {
  say 'by hand'
  check 'nfknock bans names all three' names_bans
  check 'nfknock explain tells what the guesser did' explains
  on door nfknock unban "$GUESSER" >/dev/null
  check 'nfknock unban gives the page back' connects "$MACHINE" 80 "$GUESSER"
}

names_bans() {
  local bans
  bans="$(on door nfknock bans --json)"
  grep -qF "$GUESSER" <<<"$bans" && grep -qF "$SCANNER" <<<"$bans" && grep -qF "$PROBER" <<<"$bans"
}

explains() { on door nfknock explain "$GUESSER" | grep -F 7303/tcp >/dev/null; }

# Every capture under each configuration that it has golden files for; the first lab is up.
replays() {
  say 'every fixture, played onto the wire by tcpreplay'
  replay
  observed
  tailed
  say 'the same with every other port a decoy, in a lab that begins anew'
  down
  up decoys-all
  replay
  say 'and where sequences open once'
  down
  up one-time
  replay_one_time
}

replay() {
  if is_replayed "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

is_replayed() {
  beside "${compose[@]}" run --rm -T replay "$@" 2>"$scratch/log" && return
  grep -v '^Creating ' "$scratch/log" >&2
  return 1
}

# What was used up can't be played again: where the wire was too slow, all of it begins anew.
replay_one_time() {
  local file=one-time.sequences plays
  for plays in 1 2 3; do
    docker exec -i "${container[door]}" sh -c "cat >/run/nfknock/$file" <"test/fixtures/captures/$file"
    on door nfknock reload >/dev/null
    if is_replayed; then
      passed=$((passed + 1))
      check 'and the two lines that opened are marked as used' \
        [ "$(on door grep -c '^#' "/run/nfknock/$file")" -eq 3 ]
      return
    fi
    if [ "$plays" -lt 3 ]; then printf '  … with new sequences\n'; fi
  done
  failed=$((failed + 1))
}

play_capture() {
  say "$capture, played onto the wire by tcpreplay"
  export NFKNOCK_LAB_CAPTURES="${capture%/*}"
  up nfknock
  replay "/captures/${capture##*/}"
  tailed
}

observed() {
  say 'Prometheus reads the metrics'
  quiet_unless_failed "${compose[@]}" up --detach observe
  container[observe]="$("${compose[@]}" ps -q observe)"
  check 'it finds the daemon' measured 'up{job="nfknock"} == 1'
  check 'it counts the doors that were opened' measured 'nfknock_doors_opened_total > 0'
}

# measured QUERY: whether it gives anything, now or soon.
measured() {
  local deadline=$((SECONDS + 30))
  until on observe promtool query instant http://127.0.0.1:9090 "$1" 2>/dev/null | grep '=>' >/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then return 1; fi
    sleep 1
  done
}

tailed() {
  say 'nfknock tail -n 15, the end of the log'
  docker logs "${container[door]}" 2>/dev/null | docker exec -i "${container[door]}" nfknock tail -n 15 - | sed 's/^/    /'
}
