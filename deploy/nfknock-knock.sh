#!/bin/sh
# nfknock-knock.sh HOST DOOR KEYFILE [ADDRESS]: opens a door with one nfknock SPA v1 packet. Needs openssl, xxd and nc;
# for an SSH key ssh-keygen. KEYFILE is what "nfknock key new" made. SSH_KEY=FILE: sign with this SSH key instead of that
# of the agent. ADDRESS, IPv4 or all eight groups of IPv6: for whom to open, instead of where the packet comes from.
# PORT=N: another port. The secret and the realm reach openssl through pipes, never as arguments.
set -eu
[ $# -ge 3 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
host=$1 door=$2 file=$3 address=${4:-}
[ -r "$file" ] || { echo "nfknock-knock.sh: $file can't be read" >&2; exit 2; }
field() { sed -n "s/^$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\} *\$/\1/p" "$file" | head -n 1; }
bytes() { field "$1" | sed -n 's/^base64://p' | openssl base64 -d -A; }
hex() { xxd -p | tr -d '\n'; }
bin() { xxd -r -p; }
sha() { openssl dgst -sha256 -binary; }
# HMAC-SHA256 of standard input under a key in hexadecimal, which no program is given as an argument (RFC 2104).
pad() { # KEY BYTE
  key=$1
  [ ${#key} -le 128 ] || key=$(printf %s "$key" | bin | sha | hex)
  while [ ${#key} -lt 128 ]; do key=${key}0; done
  while [ -n "$key" ]; do
    rest=${key#??}
    printf %02x $((0x${key%"$rest"} ^ $2))
    key=$rest
  done
}
mac() { { pad "$1" 92 | bin; { pad "$1" 54 | bin; cat; } | sha; } | sha | hex; }
id() { { printf %s "$1"; cat; } | sha | head -c 8 | hex; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM

realm=$(bytes realm | hex) secret=$(bytes secret | hex) seed=$(bytes ed25519_private | hex)
[ ${#realm} = 64 ] || { echo "nfknock-knock.sh: $file names no realm of 32 bytes" >&2; exit 2; }
if [ -z "${SSH_KEY:-}" ] && [ -n "$secret" ]; then
  kind=01 key=$(printf %s "$secret" | bin | id 'nfknock key ')
elif [ -z "${SSH_KEY:-}" ] && [ -n "$seed" ]; then
  pem() { { echo '-----BEGIN PRIVATE KEY-----'; printf '302e020100300506032b657004220420%s' "$seed" | bin | openssl base64; echo '-----END PRIVATE KEY-----'; }; }
  kind=02 key=$(pem | openssl pkey -in /dev/stdin -pubout -outform DER | tail -c 32 | id 'nfknock key ')
else
  if [ -n "${SSH_KEY:-}" ]; then cat "${SSH_KEY%.pub}.pub"; else field ssh; fi >"$scratch/key.pub"
  signer=${SSH_KEY:-$scratch/key.pub}
  kind=03 key=$(cut -d' ' -f2 "$scratch/key.pub" | openssl base64 -d -A | tail -c 32 | id 'nfknock key ')
fi
case $address in
'') whom=$(printf %032d 0) ;;
*:*) whom=$(IFS=:; set -f; printf '0x%s ' $address | xargs printf %04x) ;;
*) whom=00000000000000000000ffff$(IFS=.; set -f; printf '%02x' $address) ;;
esac
[ ${#whom} = 32 ] || { echo "nfknock-knock.sh: write IPv4, or all eight groups of IPv6" >&2; exit 2; }

# What is asked for: version, kind, seconds (0: the door's), milliseconds, key, door, for whom, and four random bytes.
now=$(printf %016x "$(date +%s)000")
inner=01${kind}0000$now$key$(printf %s "$door" | id 'nfknock door ')$whom$(head -c 4 /dev/urandom | hex)
message() { printf 'nfknock spa 1\0'; printf %s "$realm" | bin | sha; printf %s "$inner" | bin; }
case $kind in
01) proof=$(message | mac "$secret")$(printf %064d 0) ;;
02)
  message >"$scratch/message"
  proof=$(pem | openssl pkeyutl -sign -rawin -inkey /dev/stdin -in "$scratch/message" | hex)
  ;;
03) proof=$(message | ssh-keygen -q -Y sign -n nfknock -f "$signer" | sed '/-----/d' | openssl base64 -d | tail -c 64 | hex) ;;
esac
[ ${#proof} = 128 ] || { echo 'nfknock-knock.sh: nothing was signed' >&2; exit 1; }

# All of it is made before nc is started, which would not wait for it.
salt=$(head -c 16 /dev/urandom | hex)
seal=$(printf 'nfknock spa 1 seal' | mac "$realm")
head=$salt$(printf %s "$inner$proof" | bin | openssl enc -aes-256-ctr -K "$seal" -iv "$salt" | hex)
tag=$(printf %s "$head" | bin | mac "$(printf 'nfknock spa 1 tag' | mac "$realm")" | cut -c1-32)
port=${PORT:-$(field port)}
printf %s "$head$tag" | bin >"$scratch/packet"
nc -u -w 1 "$host" "${port:-62201}" <"$scratch/packet" >/dev/null 2>&1 || true
