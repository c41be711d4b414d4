#!/bin/bash
# Makes a signed apt repository of plain files, to be put on any web server. scripts/release.sh makes that of a release.
#
#   bash scripts/apt-repository.sh DIRECTORY ID PACKAGE…
#
# ID: an OpenPGP key of this user's keyring, which signs it; its public half lies beside as nfknock-archive-keyring.gpg.
# The repository bears the time SOURCE_DATE_EPOCH, or that of the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf 'apt-repository: %s\n' "$*" >&2
  exit 1
}

into="${1:?apt-repository: name a directory}"
gpg_key="${2:?apt-repository: name the OpenPGP key that signs}"
shift 2
[ "$#" -gt 0 ] || fail 'name the packages'
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"

mkdir -p "$into/pool/main"
cp "$@" "$into/pool/main/"
cd "$into"
architectures="$(for file in pool/main/*.deb; do dpkg-deb -f "$file" Architecture; done | sort -u)"
for arch in $architectures; do
  folder="dists/stable/main/binary-$arch"
  mkdir -p "$folder"
  dpkg-scanpackages --arch "$arch" --multiversion pool >"$folder/Packages" 2>/dev/null
  # It takes the architecture from the name of the file, NAME_VERSION_ARCH.deb, and no other file is seen.
  [ "$(grep -c '^Package: ' "$folder/Packages")" -eq "$(find pool -name "*.deb" -exec dpkg-deb -f {} Architecture \; | grep -cx "$arch")" ] ||
    fail "not every package of $arch is named as dpkg names them"
  gzip -9nk "$folder/Packages"
done
cd dists/stable
{
  printf 'Origin: nfknock\nLabel: nfknock\nSuite: stable\nCodename: stable\nArchitectures: %s\nComponents: main\n' \
    "$(xargs <<<"$architectures")"
  printf 'Date: %s\n' "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
  printf 'SHA256:\n'
  find main -type f | LC_ALL=C sort | while read -r file; do
    printf ' %s %s %s\n' "$(sha256sum "$file" | cut -d ' ' -f 1)" "$(stat -c %s "$file")" "$file"
  done
} >Release
gpg --batch --yes --local-user "$gpg_key" --clearsign --output InRelease Release
gpg --batch --yes --local-user "$gpg_key" --armor --detach-sign --output Release.gpg Release
gpg --batch --export "$gpg_key" >../../nfknock-archive-keyring.gpg
