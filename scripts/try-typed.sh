#!/usr/bin/env bash
# Tries `nfknock init` as a person types it, in a real terminal (tmux), on clean Debians that boot with their own systemd:
#
#   npm run package -- amd64 && bash scripts/try-typed.sh [SUITE …]        default: bookworm trixie
#
# From `apt install` to the first connection through the door by the client's line as it was shown, with the time that took;
# and back by ^C from every question. Takes root, tmux, debootstrap and a Debian mirror.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
readonly NAME=try-typed
# shellcheck source=scripts/booted.sh
source scripts/booted.sh

# What the questions say, in their order; the last asks for leave.
readonly QUESTIONS=('1 of 4' '2 of 4' '3 of 4' '4 of 4' 'Do this now?')
# As over SSH from the client.
readonly SESSION='SSH_CONNECTION=192.0.2.10 50000 192.0.2.1 22'
readonly MINUTES_MAX=5

try_suite() {
  command -v tmux >/dev/null || fail 'tmux is missing: apt-get install tmux'
  say "Debian $1: ^C at each question"
  new_machine "$1"
  interrupted
  say "Debian $1: from apt to a first connection"
  new_machine "$1"
  typed
}

# A terminal of this run's own.
terminal() { tmux -L "$NAME-$$" -f /dev/null "$@"; }
# in_terminal COMMAND…: in the machine; how it ends is shown.
in_terminal() {
  terminal kill-server 2>/dev/null || true
  terminal new-session -d -x 200 -y 60 "$(printf '%q ' nsenter -t "$init" -a env -i PATH=/usr/sbin:/usr/bin HOME=/root \
    LANG=C.UTF-8 TERM=tmux-256color DEBIAN_FRONTEND=noninteractive "$SESSION" "$@"); echo \"it ended with \$?\"; exec sleep 1000"
}
# All that was shown, with lines that were folded put together.
shown() { terminal capture-pane -p -J -S - | sed 's/ *$//'; }
shows() { grep -qF -e "$1" <<<"$(shown)"; }
press() { terminal send-keys "$@"; }
# answer COUNT: takes what is recommended, so many times.
answer() {
  local question
  for question in "${QUESTIONS[@]:0:$1}"; do
    soon_within 60 shows "$question" || return 1
    press Enter
  done
}

# All that init may change.
state() {
  inside sh -c 'for each in /etc /var/lib/nfknock* /var/log/nfknock /run/nfknock* /root; do
      find "$each" -xdev -type f -exec sha256sum {} + -o -printf "%M %u %p\n" 2>/dev/null
    done | sort -k 2 | grep -v -e " /etc/\.updated" -e /var/lib/systemd
    for each in iptables ip6tables; do $each-save; done | grep -v "^#" | sed "s/ \[.*//"
    ipset list -n; systemctl is-enabled nfknock nfknock-rules; systemctl is-active nfknock' || true
}

# Something else that is served, so that no question is left out.
serve_web() { inside systemd-run --quiet --unit=web nc -lk 8080; }

interrupted() {
  local at
  serve_web
  expect 'the package installs' inside apt-get install -y /root/nfknock.deb
  inside iptables-save >/dev/null && inside ip6tables-save >/dev/null
  state >"$scratch/before"
  for at in "${!QUESTIONS[@]}"; do
    in_terminal nfknock init
    expect "the questions before \"${QUESTIONS[$at]}\" are answered" answer "$at"
    expect "\"${QUESTIONS[$at]}\" is asked" soon_within 60 shows "${QUESTIONS[$at]}"
    press C-c
    expect '^C ends it' soon shows 'it ended with 130'
    state >"$scratch/after"
    expect 'the machine is as it was' diff "$scratch/before" "$scratch/after"
  done
  expect 'and the service open' is_open_to_strangers
}

typed() {
  local begun=$SECONDS
  serve_web
  in_terminal sh -c 'apt-get install -y /root/nfknock.deb && exec nfknock init'
  expect 'what is recommended is taken four times' answer 4
  expect 'leave is asked' soon_within 60 shows "${QUESTIONS[4]}"
  expect 'the service is open until then' is_open_to_strangers
  press Enter
  expect 'init waits for a knock' soon_within 60 shows 'Now knock from somewhere else'
  expect 'the service is closed' is_closed_to_strangers
  keep_what_was_shown
  expect 'the line that was shown knocks' knock_as_shown
  expect 'and init says that it opened' soon shows 'The door is open to'
  expect 'its owner gets in' soon is_open
  expect 'and nobody else' is_closed_to_strangers
  expect 'what is served to everybody is open' ip netns exec "$client" nc -z -w 2 -s 192.0.2.66 192.0.2.1 8080
  expect 'the change stays' soon_within 60 shows 'the change stays'
  expect 'init is content' soon shows 'it ended with 0'
  local took=$((SECONDS - begun))
  expect "it took $took s: less than $MINUTES_MAX minutes" test "$took" -lt $((MINUTES_MAX * 60))
  expect 'all is well' inside nfknock status
}

# The first key that was shown, as its owner saves it.
keep_what_was_shown() {
  mkdir -p "$scratch/home/.config/nfknock"
  shown >"$scratch/screen"
  sed -n '/^# nfknock key /,/^doors: /{p;/^doors: /q}' "$scratch/screen" >"$scratch/home/.config/nfknock/192.0.2.1.key"
  chmod 0600 "$scratch/home/.config/nfknock/192.0.2.1.key"
}
knock_as_shown() {
  local line
  line="$(grep -m 1 '^  nfknock knock 192.0.2.1 ' "$scratch/screen")"
  line="${line#  nfknock }"
  HOME="$scratch/home" ip netns exec "$client" sh -c "node dist/bin/nfknock.js $line"
}

# With the machine goes its terminal.
on_clean_up() { terminal kill-server 2>/dev/null || true; }

each_suite try_suite "$@"
