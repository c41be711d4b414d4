# shellcheck shell=bash
# Three members of a fleet behind a router, and their engine. Sourced by scripts/lab.sh, which says what the words in use
# here mean.

readonly EDGES=203.0.113.200 EDGE1=203.0.113.11 EDGE2=203.0.113.12 EDGE3=203.0.113.13
readonly FLEET_SECONDS_MAX=90 SPREAD_SECONDS_MAX=10

fleet() {
  say 'a fleet: three machines behind a router, and their engine'
  fleet_up
  check 'each sees the two others' met
  check 'the page is shut at all of them' shut_everywhere "$OWNER"

  try knock -d 100 "$EDGE1" 7000 8000:udp 9000
  check 'a knock at one opens it there' spread shows_page edge1 "http://$EDGE1/"
  check 'and at the second' spread shows_page edge2 "http://$EDGE2/"
  check 'and at the third' spread shows_page edge3 "http://$EDGE3/"
  check 'to the one who knocked alone' shut_everywhere "$STRANGER"
  check 'the others know where it was opened' spread tells edge3 grants edge1
  on edge2-door nfknock revoke "$OWNER" -c /etc/nfknock/edge2.yaml >/dev/null
  check 'taken back at another it is shut at all' spread shut_everywhere "$OWNER"

  check 'the router spreads connections to their common address over the machines' scatters
  check 'knocks at it open it, to whichever of them each comes' knocks_scattered
  check 'at all of them' spread open_everywhere "$OWNER"

  local port
  for port in 23 2323 3389; do on visitor nc -z -w 1 -s "$SCANNER" "$EDGE2" "$port" 2>/dev/null; done
  check 'who is banned at one' spread tells edge2 bans "$SCANNER"
  check 'is banned at the others' spread banned_elsewhere
  on edge3-door nfknock unban "$SCANNER" -c /etc/nfknock/edge3.yaml >/dev/null
  check 'and forgiven by one, by all' spread forgiven

  docker stop --time 3 "${container[engine]}" >/dev/null
  try knock -d 100 "$EDGE1" 7000 8000:udp 9000
  check 'without the engine a knock opens where it comes' spread shows_page edge1 "http://$EDGE1/"
}

fleet_up() {
  is_ours=yes
  quiet_unless_failed "${compose[@]}" up --detach visitor router edge1-door edge2-door edge3-door ||
    stop 'the fleet did not come up; the reason is above'
  local name
  for name in visitor router engine edge{1,2,3} edge{1,2,3}-door; do container[$name]="$("${compose[@]}" ps -q "$name")"; done
  if ! within "$FLEET_SECONDS_MAX" met; then
    docker logs "${container[engine]}" 2>&1 | tail -n 10 >&2
    docker logs "${container[edge1-door]}" 2>&1 | tail -n 10 >&2
    stop 'the members did not meet; the last words of the engine and of one of them are above'
  fi
}

# tells EDGE LIST TEXT: whether a member has it in its list.
tells() { on "$1-door" nfknock "$2" -c "/etc/nfknock/$1.yaml" 2>/dev/null | grep -F "$3" >/dev/null; }

# Each has a list of the others, and is not apart.
met() {
  local edge
  for edge in edge1 edge2 edge3; do
    on "$edge-door" nfknock fleet -c "/etc/nfknock/$edge.yaml" >"$scratch/fleet" 2>/dev/null || return 1
    [ "$(grep -cE '^ *edge[123] ' "$scratch/fleet")" -ge 2 ] || return 1
  done
}

shut_everywhere() { not connects "$EDGE1" 80 "$1" && not connects "$EDGE2" 80 "$1" && not connects "$EDGE3" 80 "$1"; }
open_everywhere() { connects "$EDGE1" 80 "$1" && connects "$EDGE2" 80 "$1" && connects "$EDGE3" 80 "$1"; }
banned_elsewhere() { tells edge1 bans "$SCANNER" && tells edge3 bans "$SCANNER"; }
forgiven() { met && not tells edge1 bans "$SCANNER" && not tells edge2 bans "$SCANNER" && not tells edge3 bans "$SCANNER"; }

# More than one of the machines is met by connections of the same client.
scatters() {
  local at
  on edge1-door nfknock grant page "$OWNER" --for 10s -c /etc/nfknock/edge1.yaml >/dev/null
  spread open_everywhere "$OWNER" || return 1
  for at in 1 2 3 4 5 6 7 8 9 10 11 12; do page "http://$EDGES/"; done | sort -u >"$scratch/met"
  on edge1-door nfknock revoke "$OWNER" -c /etc/nfknock/edge1.yaml >/dev/null
  spread shut_everywhere "$OWNER" && [ "$(wc -l <"$scratch/met")" -ge 2 ]
}

knocks_scattered() {
  try knock -d 100 "$EDGES" 7000 8000:udp 9000
  spread connects "$EDGES" 80
}

# spread COMMAND…: whether it succeeds, now or within a while; what is told takes its time.
spread() { within "$SPREAD_SECONDS_MAX" "$@"; }
