#!/bin/bash
# Tries what scripts/release.sh makes: checks signature and checksums; then, on clean Debians that boot with their own
# systemd (scripts/booted.sh), apt over http on loopback installs an earlier version from its own signed repository and
# upgrades it from that of the release, under an open session and with strangers at the door; removes and purges.
#
#   bash scripts/try-release.sh [--built] [SUITE …]        default: bookworm trixie
#
# The earlier version is the package of the release with a lower number; where NFKNOCK_EARLIER names a commit, that commit
# with a lower number, built in a clone; where it names a .deb, as such a clone has left it, that one. Keys are made for the
# trial. Takes root, minutes, and what booted.sh takes; --built: of the packages that lie in dist already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
readonly NAME=try-release
# shellcheck source=scripts/booted.sh
source scripts/booted.sh
# shellcheck source=scripts/over-upgrade.sh
source scripts/over-upgrade.sh

readonly EARLIER="${NFKNOCK_EARLIER:-}" EARLIER_VERSION=0.0.1
# dpkg-scanpackages reads the architecture of a package in the name of its file.
EARLIER_FILE="nfknock_${EARLIER_VERSION}_$(dpkg --print-architecture).deb"
readonly EARLIER_FILE PORT=18217

built=()
if [ "${1:-}" = --built ]; then built=(--built) && shift; fi
[ "$(id -u)" -eq 0 ] || fail 'this needs root: run it with sudo'
command -v git >/dev/null || fail 'git is missing: apt-get install git'
# Not in the working tree: a socket's path in there may be too long for gpg.
trial="$(mktemp -d /var/tmp/nfknock-release.XXXXXX)"
on_end() {
  GNUPGHOME="$trial/gpg" gpgconf --kill all 2>/dev/null || true
  rm -rf --one-file-system "$trial"
}
trap on_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_keys() {
  mkdir -m 0700 "$trial/gpg"
  export GNUPGHOME="$trial/gpg"
  gpg --batch --quiet --passphrase '' --quick-gen-key 'nfknock trial <trial@localhost>' ed25519 sign 1d 2>/dev/null
  ssh-keygen -q -t ed25519 -N '' -C trial -f "$trial/key"
}

# renumber FILE: a package.json.
renumber() { sed -i "s/^  \"version\": \".*\"/  \"version\": \"$EARLIER_VERSION\"/" "$1"; }
repack_earlier() {
  say 'an earlier version: the same under another number'
  dpkg-deb -R "$(find dist/release/apt/pool -name "nfknock_*_$(dpkg --print-architecture).deb")" "$1"
  sed -i "s/^Version: .*/Version: $EARLIER_VERSION/" "$1/DEBIAN/control"
  renumber "$1/usr/lib/nfknock/package.json"
  dpkg-deb --root-owner-group -Znone -b "$1" "$trial/$EARLIER_FILE" >/dev/null
}
build_earlier() {
  say "an earlier version, of $(git log -1 --format='%h of %cs' "$EARLIER")"
  git clone -q --no-hardlinks . "$1"
  git -C "$1" checkout -q --detach "$(git rev-parse "$EARLIER")"
  renumber "$1/package.json"
  (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --silent &&
    npm run --silent package -- "$(dpkg --print-architecture)") >"$trial/log" 2>&1 || {
    tail -n 30 "$trial/log" >&2
    fail 'no earlier package could be made'
  }
  cp "$1/dist/$EARLIER_FILE" "$trial/"
}
take_earlier() {
  say "an earlier version, of $EARLIER"
  [ "$(dpkg-deb -f "$EARLIER" Version)" = "$EARLIER_VERSION" ] || fail "$EARLIER is not of version $EARLIER_VERSION"
  cp "$EARLIER" "$trial/$EARLIER_FILE"
}
# Its repository is of a day before: apt takes none that is older than what it has seen, nor asks for a file again whose
# time is no later.
make_earlier() {
  case "$EARLIER" in
  '') repack_earlier "$trial/tree" ;;
  *.deb) take_earlier ;;
  *) build_earlier "$trial/tree" ;;
  esac
  SOURCE_DATE_EPOCH="$(($(git log -1 --format=%ct) - 86400))" \
    bash scripts/apt-repository.sh "$trial/earlier" trial@localhost "$trial/$EARLIER_FILE"
  find "$trial/earlier" -exec touch -d yesterday {} +
  rm -rf "$trial/tree"
}

check_signatures() {
  say 'signature and checksums'
  printf 'trial %s\n' "$(cat "$trial/key.pub")" >"$trial/signers"
  local verify=(ssh-keygen -q -Y verify -n file -I trial -f "$trial/signers" -s dist/release/SHA256SUMS.sig)
  "${verify[@]}" <dist/release/SHA256SUMS >/dev/null
  (cd dist/release && sha256sum --quiet -c SHA256SUMS)
  ! "${verify[@]}" <README.md >/dev/null 2>&1 || fail 'a signature is taken for something else'
}

# serve DIRECTORY: in place of what was served before.
serve_repository() { ln -sfn "$(realpath "$1")" "$trial/served"; }

# What an owner does once; nothing else is to be had by apt, and nothing is asked for anywhere else.
begin_repository() {
  local root="/proc/$init/root"
  ip netns exec "$machine" python3 -m http.server --bind 127.0.0.1 --directory "$trial/served" "$PORT" >/dev/null 2>&1 &
  disown
  cp dist/release/apt/nfknock-archive-keyring.gpg "$root/usr/share/keyrings/"
  rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/*proxy*
  echo "deb [signed-by=/usr/share/keyrings/nfknock-archive-keyring.gpg] http://127.0.0.1:$PORT stable main" \
    >"$root/etc/apt/sources.list.d/nfknock.list"
}
apt_update() { inside apt-get update --error-on=any; }
has_version() { [ "$(inside nfknock --version)" = "$1" ]; }

try_suite() {
  local version
  version="$(node -p 'require("./package.json").version')"
  say "Debian $1"
  new_machine "$1"
  inside rm /root/nfknock.deb
  serve_repository "$trial/earlier"
  begin_repository
  expect 'apt reads the repository' soon apt_update
  expect 'and installs from it' inside apt-get install -y nfknock
  expect 'the earlier version' has_version "$EARLIER_VERSION"
  expect 'systemd starts it' inside systemctl enable --now nfknock
  expect 'the service is closed' is_closed
  expect 'a knock goes out' knock_from_outside
  expect 'and lets in' soon is_open
  make_lasting

  say 'upgrading'
  serve_repository dist/release/apt
  expect 'apt sees the release' apt_update
  over_upgrade "$version" inside apt-get upgrade -y
  expect 'the version of the release runs' has_version "$version"
  expect 'apt has nothing more to do' holds '^0 upgraded' inside apt-get upgrade -y

  say 'removing'
  expect 'apt removes it' inside apt-get remove -y nfknock
  expect 'the service stays closed' is_closed_to_strangers
  expect 'the configuration stays' holds '# mine' inside cat /etc/nfknock/nfknock.yaml
  expect 'apt purges it' inside apt-get purge -y nfknock
  expect 'the service is open' soon is_open_to_strangers
  expect 'no rule is left' holds_not NFKNOCK inside sh -c 'iptables-save; ip6tables-save'
  expect 'no file is left' holds_not nfknock inside sh -c 'ls -d /etc/nfknock /usr/lib/nfknock /var/lib/nfknock* 2>/dev/null'
}

make_keys
NFKNOCK_SIGN_SSH="$trial/key" NFKNOCK_SIGN_GPG=trial@localhost bash scripts/release.sh "${built[@]}"
check_signatures
make_earlier
each_suite try_suite "$@"
