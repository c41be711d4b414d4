#!/bin/sh
# spa-knock.sh HOST PORT DOOR REALM SECRET|PUBLIC-KEY-FILE [ADDRESS]: one nfknock SPA v1 packet. REALM and SECRET are hexadecimal and
# come from files or the environment of whoever calls; ADDRESS is 32 hexadecimal digits. No secret that opens is ever an argument of a program.
hex() { xxd -p -c 256; }; bin() { xxd -r -p; }; sha() { openssl dgst -sha256 -binary; }
pad() { printf '%s%0128d' "$1" 0 | cut -c1-128 | fold -w2 | while read -r b; do printf %02x $((0x$b ^ $2)); done; }
mac() { { pad "$1" 92 | bin; { pad "$1" 54 | bin; cat; } | sha; } | sha | hex; }
if [ -f "$5" ]; then kind=03 id=$(cut -d' ' -f2 "$5" | base64 -d | tail -c 32 | hex); else kind=01 id=$5; fi
inner=01${kind}0000$(printf %016x "$(date +%s)000")$({ printf 'nfknock key '; printf %s "$id" | bin; } | sha | head -c 8 | hex)$(printf 'nfknock door %s' "$3" | sha | head -c 8 | hex)${6:-$(printf %032d 0)}$(head -c 4 /dev/urandom | hex)
message() { printf 'nfknock spa 1\0'; printf %s "$4" | bin | sha; printf %s "$inner" | bin; }
if [ "$kind" = 03 ]; then proof=$(message "$@" | ssh-keygen -q -Y sign -n nfknock -f "$5" | sed '/-----/d' | base64 -d | tail -c 64 | hex); else proof=$(message "$@" | mac "$5")$(printf %064d 0); fi
salt=$(head -c 16 /dev/urandom | hex)
head=$salt$(printf %s "$inner$proof" | bin | openssl enc -aes-256-ctr -K "$(printf 'nfknock spa 1 seal' | mac "$4")" -iv "$salt" | hex)
packet=$head$(printf %s "$head" | bin | mac "$(printf 'nfknock spa 1 tag' | mac "$4")" | cut -c1-32)
printf %s "$packet" | bin | nc -u -w 1 "$1" "$2" # made before nc starts, which waits for a second and no longer
