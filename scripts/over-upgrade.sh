# shellcheck shell=bash
# What outlives an upgrade, and that nobody gets in meanwhile: for scripts/try-package.sh and try-release.sh, which read
# this after scripts/booted.sh.

# Between two tries of a stranger; the daemon is away for some hundred times that.
readonly STRANGER_MS=10
# A try says so in a line; that few would prove nothing.
readonly STRANGER_TRIES_MIN=100

# What is to be kept, beside a session.
make_lasting() {
  expect 'a ban is made' inside nfknock ban 203.0.113.9 --for 1h
  expect 'a grant is made' inside nfknock grant ssh 192.0.2.10 --for 1h --reason 'as by hand'
}

# over_upgrade VERSION COMMAND…: which upgrades to that version, while a session is open and strangers try.
over_upgrade() {
  local version="$1" strangers
  shift
  inside sh -c 'echo "# mine" >>/etc/nfknock/nfknock.yaml'
  begin_session 192.0.2.10
  expect 'a session is open' soon session_lives
  cc -O2 -o "$scratch/prober" test/guest/prober.c
  ip netns exec "$client" "$scratch/prober" ask "$STRANGER_MS" 192.0.2.66 192.0.2.1 22 >"$scratch/tried" &
  strangers=$!
  expect 'a later version installs' "$@"
  expect 'it is the one that is there' holds "$version" inside dpkg-query -W nfknock
  expect 'it serves' soon inside nfknock status
  kill "$strangers"
  wait "$strangers" 2>/dev/null || true
  expect "a stranger tried $(wc -l <"$scratch/tried") times" test "$(wc -l <"$scratch/tried")" -ge "$STRANGER_TRIES_MIN"
  expect 'and got in at no moment' holds_not ' open$' cat "$scratch/tried"
  expect 'though no ban kept him out' holds_not 192.0.2.66 inside nfknock bans
  expect 'the session is still open' session_lives
  expect 'the grant is kept' holds 'as by hand' inside nfknock grants
  expect 'and in force' is_open
  expect 'the ban is kept' holds 203.0.113.9 inside nfknock bans
  expect 'the configuration is kept' holds '# mine' inside cat /etc/nfknock/nfknock.yaml
  end_session
}
