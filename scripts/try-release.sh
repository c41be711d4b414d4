#!/bin/bash
# Tries what scripts/release.sh makes: installs it with apt over http on loopback, from the signed repository, on a copy
# of this machine's disk that is thrown away; checks signature and checksums; runs what was installed; installs it
# over itself; removes and purges.
#
#   bash scripts/try-release.sh [--built]
#
# Keys are made for the trial. Takes root and Debian; --built: of the packages that lie in dist already.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf 'try-release: %s\n' "$*" >&2
  exit 1
}
say() { printf 'try-release: %s\n' "$*"; }
[ "$(id -u)" -eq 0 ] || fail 'this needs root: run it with sudo'

scratch="$(mktemp -d)"
server=''
clean_up() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  GNUPGHOME="$scratch/gpg" gpgconf --kill all 2>/dev/null || true
  rm -rf --one-file-system "$scratch"
}
trap clean_up EXIT
mkdir -m 0700 "$scratch/gpg"
export GNUPGHOME="$scratch/gpg"
gpg --batch --quiet --passphrase '' --quick-gen-key 'nfknock trial <trial@localhost>' ed25519 sign 1d 2>/dev/null
ssh-keygen -q -t ed25519 -N '' -C trial -f "$scratch/key"
NFKNOCK_SIGN_SSH="$scratch/key" NFKNOCK_SIGN_GPG=trial@localhost bash scripts/release.sh "$@"

say 'signature and checksums'
printf 'trial %s\n' "$(cat "$scratch/key.pub")" >"$scratch/signers"
ssh-keygen -q -Y verify -n file -I trial -f "$scratch/signers" -s dist/release/SHA256SUMS.sig <dist/release/SHA256SUMS >/dev/null
(cd dist/release && sha256sum --quiet -c SHA256SUMS)
! ssh-keygen -q -Y verify -n file -I trial -f "$scratch/signers" -s dist/release/SHA256SUMS.sig <README.md >/dev/null 2>&1 ||
  fail 'a signature is taken for something else'

say 'apt, over http on loopback'
python3 -m http.server --bind 127.0.0.1 --directory dist/release/apt 18217 >/dev/null 2>&1 &
server=$!
waited=0
until (exec 3<>/dev/tcp/127.0.0.1/18217) 2>/dev/null; do
  waited=$((waited + 1))
  if [ "$waited" -gt 300 ]; then fail 'the web server does not start'; fi
  sleep 0.1
done
cat >"$scratch/inside" <<'END'
set -eu
export DEBIAN_FRONTEND=noninteractive
cp "$1" /usr/share/keyrings/nfknock-archive-keyring.gpg
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d/*proxy*
mkdir /etc/apt/sources.list.d
echo 'deb [signed-by=/usr/share/keyrings/nfknock-archive-keyring.gpg] http://127.0.0.1:18217 stable main' >/etc/apt/sources.list
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
quiet='-q -o APT::Sandbox::User=root -o Acquire::http::Proxy=false'
apt-get $quiet update
# No package of the machine's own is to be in the way, nor finished by us.
apt-get $quiet download nfknock
dpkg --no-triggers -i ./nfknock_*.deb
# Nothing of Node.js but what the package carries.
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -ec '
  unset -f node || true
  nfknock --version
  nfknock check >/dev/null
  nfknock rules print | grep -q NFKNOCK'
cp /etc/nfknock/nfknock.yaml /before
dpkg --no-triggers -i ./nfknock_*.deb
cmp /before /etc/nfknock/nfknock.yaml
dpkg -r nfknock
cmp /before /etc/nfknock/nfknock.yaml
dpkg -P nfknock
[ ! -e /etc/nfknock ] && [ ! -e /usr/lib/nfknock ]
END
unshare --mount --propagation private sh -ec '
  mkdir "$1/layers"; mount -t tmpfs tmpfs "$1/layers"; mkdir "$1/layers/upper" "$1/layers/work" "$1/root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$1/layers/upper,workdir=$1/layers/work" "$1/root"
  for each in dev proc; do mount --rbind "/$each" "$1/root/$each"; done
  for each in run tmp; do mount -t tmpfs tmpfs "$1/root/$each"; done
  cp "$1/inside" "$1/root/root/inside"; cp dist/release/apt/nfknock-archive-keyring.gpg "$1/root/root/ring.gpg"
  exec chroot "$1/root" sh -c "cd /root && exec sh /root/inside /root/ring.gpg"' sh "$scratch"
say 'everything was as it should be'
