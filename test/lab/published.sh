# shellcheck shell=bash
# Ports that a real Docker engine publishes. Sourced by scripts/lab.sh, which says what the words in use here mean.
#
#    visitor                        host, with an engine of its own
#   ┌───────────────────┐          ┌─────────────────────────────────────────────────────┐
#   │ .7  ::7   knocks  │          │ 192.0.2.1        8080 ─▶ 80    web  203.0.113.10     │
#   │ .8  ::8   doesn't ├──────────┤ 2001:db8:a::1    8081 ─▶ 81         2001:db8:d::10   │
#   └───────────────────┘          │ nfknock, which protects 80 of web                   │
#                                  └─────────────────────────────────────────────────────┘
#
# The host is a network namespace, so that the engine that makes rules there makes none on this machine.

readonly PUBLISHED_HOST="nfkD$$-h" PUBLISHED_VISITOR="nfkD$$-v"
readonly PUBLISHED_SECONDS_MAX=30
# What is fixed after a change by somebody else is fixed within five seconds.
readonly FIXED_SECONDS_MAX=5
published_engine=''

published() {
  say 'ports that a Docker engine publishes'
  published_world || return
  local host4=192.0.2.1 host6=2001:db8:a::1
  check 'without nfknock everyone reaches the page' reached 8 "$host4" 8080
  check 'over IPv6 too' soon reached 8 "$host6" 8080

  guard
  check 'with nfknock nobody does' not reached 8 "$host4" 8080
  check 'nor over IPv6' not reached 8 "$host6" 8080
  check 'what no door names stays as Docker published it' reached 8 "$host4" 8081
  check 'over IPv6 too' reached 8 "$host6" 8081

  knock_published 7 "$host4" 7101 7102 7103
  check 'a knock opens it' soon reached 7 "$host4" 8080
  check 'to the one who knocked alone' not reached 8 "$host4" 8080
  knock_published 7 "$host6" 7201 7202 7203
  check 'and over IPv6' soon reached 7 "$host6" 8080
  check 'to the one who knocked alone' not reached 8 "$host6" 8080

  restart_published_engine
  check 'after a restart of the engine, which puts its rules first, what no door names is there' soon reached 8 "$host4" 8081
  check 'and the page is shut to strangers' fixed not reached 8 "$host4" 8080
  check 'and over IPv6' fixed not reached 8 "$host6" 8080
  check 'but not to the one who was let in' reached 7 "$host4" 8080

  inner kill --signal KILL nfknock >/dev/null
  check 'with nfknock killed (SIGKILL) it stays shut to strangers' not reached 8 "$host4" 8080
  check 'and over IPv6' not reached 8 "$host6" 8080
  published_end
}

# What is in the way of it is said, and is no fault of nfknock's.
published_world() {
  local reason=''
  if [ "$(id -u)" -ne 0 ]; then
    reason='that takes root'
  elif ! command -v dockerd >/dev/null || ! command -v nsenter >/dev/null; then
    reason='there is no dockerd or no nsenter on this machine'
  elif ! published_network || ! start_published_engine; then
    reason="a second engine does not start; the end of what it said is: $(tail -n 2 "$scratch/published.log" 2>/dev/null)"
  fi
  if [ -n "$reason" ]; then
    printf '!!!! NOT TRIED: %s !!!!\n' "$reason"
    published_end
    return 1
  fi
  docker save "$PROJECT/lab" "$PROJECT/door" | inner load --quiet >/dev/null || stop 'the images could not be handed on'
  quiet_unless_failed inner network create --ipv6 --subnet 203.0.113.0/24 --subnet 2001:db8:d::/64 front ||
    stop 'the engine made no network; the reason is above'
  quiet_unless_failed inner run --detach --name web --network front --ip 203.0.113.10 --ip6 2001:db8:d::10 \
    --publish 8080:80 --publish 8081:81 "$PROJECT/lab" \
    sh -c 'echo a page of web >/srv/web/index.html; busybox httpd -p 81 -h /srv/web; exec busybox httpd -f -p 80 -h /srv/web' ||
    stop 'the container that publishes ports does not run; the reason is above'
  soon reached 8 192.0.2.1 8080
}

published_network() {
  local space
  for space in "$PUBLISHED_HOST" "$PUBLISHED_VISITOR"; do
    ip netns add "$space" || return 1
    ip -n "$space" link set lo up
  done
  ip -n "$PUBLISHED_HOST" link add wire type veth peer name wire netns "$PUBLISHED_VISITOR"
  ip -n "$PUBLISHED_HOST" address add 192.0.2.1/24 dev wire
  ip -n "$PUBLISHED_HOST" address add 2001:db8:a::1/64 dev wire nodad
  for last in 7 8; do
    ip -n "$PUBLISHED_VISITOR" address add "192.0.2.$last/32" dev wire
    ip -n "$PUBLISHED_VISITOR" address add "2001:db8:a::$last/128" dev wire nodad
  done
  for space in "$PUBLISHED_HOST" "$PUBLISHED_VISITOR"; do ip -n "$space" link set wire up; done
}

# Its own everything, and the same files as any other: only the network is another. Containers outlive it.
start_published_engine() {
  local place="$scratch/published"
  mkdir -p "$place"
  nsenter --net="/run/netns/$PUBLISHED_HOST" dockerd --host "unix://$place/docker.sock" --pidfile "$place/pid" \
    --data-root "$place/data" --exec-root "$place/exec" --live-restore --bip 198.51.100.1/24 \
    --experimental --ipv6 --ip6tables --fixed-cidr-v6 2001:db8:c::/64 >>"$scratch/published.log" 2>&1 </dev/null &
  published_engine=$!
  local deadline=$((SECONDS + ENGINE_SECONDS_MAX))
  until inner version >/dev/null 2>&1; do
    kill -0 "$published_engine" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.3
  done
}

inner() { docker --host "unix://$scratch/published/docker.sock" "$@"; }

restart_published_engine() {
  kill "$published_engine" && wait "$published_engine"
  start_published_engine || stop 'the engine did not start again'
}

# nfknock beside the engine: its network is the host's.
guard() {
  quiet_unless_failed inner run --detach --name nfknock --network host --user nfknock --read-only --cap-drop ALL \
    --cap-add NET_ADMIN --volume "$PWD/test/lab/published.yaml:/etc/nfknock/nfknock.yaml:ro" \
    --volume nfknock-state:/var/lib/nfknock --volume nfknock-control:/run/nfknock "$PROJECT/door" ||
    stop 'nfknock does not run beside the engine; the reason is above'
  soon inner exec nfknock nfknock status >/dev/null 2>&1 || stop "nfknock is not ready: $(inner logs nfknock 2>&1 | tail -n 5)"
}

# visiting LAST COMMAND…: as the visitor, from the address that ends so.
visiting() {
  ip -n "$PUBLISHED_VISITOR" route replace 192.0.2.0/24 dev wire src "192.0.2.$1"
  ip -n "$PUBLISHED_VISITOR" -6 route replace 2001:db8:a::/64 dev wire src "2001:db8:a::$1"
  ip netns exec "$PUBLISHED_VISITOR" "${@:2}"
}

# reached LAST HOST PORT: whether the page is shown there.
reached() {
  visiting "$1" timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$2" "$3" \
    2>/dev/null | grep -F 'a page of web' >/dev/null
}

# knock_published LAST HOST TCP UDP TCP
knock_published() {
  visiting "$1" bash -c 'tcp() { timeout 0.3 bash -c "exec 3<>\"/dev/tcp/$1/$2\"" 2>&-; }
    tcp "$0" "$1"; echo >"/dev/udp/$0/$2"; sleep 0.2; tcp "$0" "$3"' "${@:2}" || true
}

# soon COMMAND…, fixed COMMAND…: whether it succeeds, now or within a while.
soon() { within "$PUBLISHED_SECONDS_MAX" "$@"; }
fixed() { within "$FIXED_SECONDS_MAX" "$@"; }
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    if [ "$SECONDS" -ge "$deadline" ]; then return 1; fi
    sleep 0.2
  done
}

# However far it came. What the engine has mounted goes with it.
published_end() {
  local left
  if [ -n "$published_engine" ] && kill -0 "$published_engine" 2>/dev/null; then
    left="$(inner ps -aq 2>/dev/null)"
    if [ -n "$left" ]; then inner rm --force --volumes $left >/dev/null 2>&1; fi
    kill "$published_engine" 2>/dev/null
    wait "$published_engine" 2>/dev/null
  fi
  published_engine=''
  for space in "$PUBLISHED_HOST" "$PUBLISHED_VISITOR"; do
    for left in $(ip netns pids "$space" 2>/dev/null); do kill -9 "$left" 2>/dev/null; done
    ip netns delete "$space" 2>/dev/null
  done
  awk -v place="$scratch/published/" 'index($2, place) == 1 { print $2 }' /proc/mounts | sort -r |
    while read -r left; do umount "$left" 2>/dev/null; done
}
