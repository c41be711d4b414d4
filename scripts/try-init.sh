#!/usr/bin/env bash
# Tries `nfknock init` under a real systemd, on clean Debians, in namespaces of their own:
#
#   npm run package -- amd64 && bash scripts/try-init.sh [SUITE …]         default: bookworm trixie
#
# From `apt install` to the first connection through the door; a change that nobody confirms, which is rolled back; and the
# Ansible role twice. Takes root, debootstrap and a Debian mirror; scripts/booted.sh says where the roots are kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
readonly NAME=try-init
# shellcheck source=scripts/booted.sh
source scripts/booted.sh

try_suite() {
  say "Debian $1: init, confirmed by a knock"
  new_machine "$1"
  confirmed
  say "Debian $1: init, confirmed by nobody"
  new_machine "$1"
  unconfirmed
  say "Debian $1: the Ansible role, twice"
  new_machine "$1" "ansible-core python3-apt"
  by_ansible
}

# init WITHIN: in the background, with its words in a file.
init_in_background() {
  inside sh -c "nfknock init --yes --confirm-by knock --within $1 --opens 22/tcp --allow none --by key --host 192.0.2.1 \
    --never none --out /root/door.key >/root/init.log 2>&1; echo \$? >/root/init.code" &
  disown
}

# The rules are in before the daemon is there to hear of anybody.
waits_for_knock() { holds 'Now knock from somewhere else' inside cat /root/init.log; }

said_code() { [ "$(inside cat /root/init.code 2>/dev/null)" = "$1" ]; }

# Opens with the client's one file and the key that init has made, as its owner would after copying it.
open_by_key() {
  inside cat /root/door.key >"$scratch/door.key" && chmod 0600 "$scratch/door.key" &&
    ip netns exec "$client" node dist/nfknock-client.mjs 192.0.2.1 --key "$scratch/door.key"
}

confirmed() {
  expect 'the package installs' inside apt-get install -y /root/nfknock.deb
  expect 'the service is open before' is_open
  init_in_background 2m
  expect 'init waits for a knock' soon_within 60 waits_for_knock
  expect 'the door is closed' is_closed
  expect 'the key opens it' open_by_key
  expect 'its owner gets in' soon is_open
  expect 'and nobody else' is_closed_to_strangers
  expect 'init has kept the change' soon said_code 0
  expect 'daemon and rules come again at the next boot' inside systemctl is-enabled nfknock nfknock-rules
  expect 'all is well, says status' inside nfknock status
  expect 'all is well, says doctor' inside nfknock doctor
  inside sha256sum /etc/nfknock/nfknock.yaml /etc/nfknock/keys.yaml >"$scratch/before"
  expect 'a second init refuses' holds 'already' inside nfknock init --yes --confirm-by now
  expect 'and changes nothing' diff "$scratch/before" <(inside sha256sum /etc/nfknock/nfknock.yaml /etc/nfknock/keys.yaml)
  reboot
  expect 'after a reboot the door is closed' is_closed
  expect 'the daemon serves' soon inside nfknock status
  expect 'a new packet of the key opens it' open_by_key
  expect 'to its owner' soon is_open
  expect 'and nobody else' is_closed_to_strangers
}

unconfirmed() {
  expect 'the package installs' inside apt-get install -y /root/nfknock.deb
  init_in_background 25s
  expect 'init waits for a knock' soon_within 60 waits_for_knock
  expect 'the door is closed' is_closed
  expect 'nobody came, and it is as it was' soon_within 60 is_open
  expect 'init says so, with a code of its own' soon said_code 1
  expect 'no rule is left' holds_not NFKNOCK inside sh -c 'iptables-save; ip6tables-save'
  expect 'nothing comes again at the next boot' holds disabled inside systemctl is-enabled nfknock nfknock-rules
  reboot
  expect 'after a reboot it is open as before' soon is_open
}

# Ansible runs on the machine itself, as it would over SSH.
by_ansible() {
  local root="/proc/$init/root/root"
  cp -r deploy/ansible/roles "$root/roles"
  cat >"$root/site.yml" <<'END'
- hosts: localhost
  connection: local
  roles:
    - role: nfknock
      nfknock_package: /root/nfknock.deb
      nfknock_never: [192.0.2.10/32]
      nfknock_host: 192.0.2.1
END
  expect 'the role runs' holds 'failed=0' inside ansible-playbook /root/site.yml
  expect 'the door is closed' soon is_closed
  expect 'to strangers too' is_closed_to_strangers
  inside cp /root/nfknock-door.key /root/door.key
  expect 'the key that it has made opens it' open_by_key
  expect 'to its owner' soon is_open
  begin_session 192.0.2.10
  expect 'who has a session' soon session_lives
  expect 'a second run changes nothing' holds 'changed=0 .*failed=0' inside ansible-playbook /root/site.yml
  expect 'and ends no session' session_lives
  expect 'the key opens it again' open_by_key
  expect 'to its owner' soon is_open
  end_session
}

each_suite try_suite "$@"
