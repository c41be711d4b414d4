#!/bin/bash
# Makes everything that a release consists of, in dist/release: packages, tarballs, SBOM, notes, checksums, signature, and
# a signed apt repository as plain files, to be put on any web server.
#
#   NFKNOCK_SIGN_SSH=KEY NFKNOCK_SIGN_GPG=ID npm run release [-- --built] [--image]
#
# NFKNOCK_SIGN_SSH: the file of a private SSH key, which signs SHA256SUMS (ssh-keygen -Y sign -n file).
# NFKNOCK_SIGN_GPG: an OpenPGP key of this user's keyring, which signs the repository, since apt takes no other.
# --built: of the packages that lie in dist already.
# --image: the image of the daemon too, of this machine's architecture (scripts/image.sh says what it needs).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'release: %s\n' "$*"; }
fail() {
  printf 'release: %s\n' "$*" >&2
  exit 1
}

ssh_key="${NFKNOCK_SIGN_SSH:?release: name the SSH key that signs: NFKNOCK_SIGN_SSH=FILE}"
gpg_key="${NFKNOCK_SIGN_GPG:?release: name the OpenPGP key that signs the repository: NFKNOCK_SIGN_GPG=ID}"
for tool in ssh-keygen gpg dpkg-scanpackages gzip sha256sum; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install openssh-client gpg dpkg-dev"
done
[ -f "$ssh_key" ] || fail "$ssh_key is not there"
built=no image=no
for option in "$@"; do
  case "$option" in
    --built) built=yes ;;
    --image) image=yes ;;
    *) fail "unknown option \"$option\": --built and --image are all there are" ;;
  esac
done
if [ "$built" = no ]; then bash scripts/packages.sh; fi
if [ "$image" = yes ]; then bash scripts/image.sh; fi

version="$(node -p 'require("./package.json").version')"
out=dist/release
rm -rf "$out"
mkdir -p "$out"
for arch in amd64 arm64; do
  for file in "dist/nfknock_${version}_$arch.deb" "dist/nfknock-$version-linux-$arch.tar.xz"; do
    [ -f "$file" ] || fail "$file is missing: npm run package"
    cp "$file" "$out/"
  done
done
if [ "$image" = yes ]; then cp "dist/nfknock-image-$version-"*.{tar.gz,cdx.json} "$out/"; fi

# The client, for npm and as the one file.
[ -f dist/nfknock-client/package.json ] || fail 'dist/nfknock-client is missing: npm run build'
cp dist/nfknock-client.mjs "$out/"
npm pack --silent --pack-destination "$out" ./dist/nfknock-client >/dev/null

say 'SBOM and notes'
node scripts/bom.mjs >"$out/nfknock-$version.cdx.json"
# The section of this version, without its title.
awk -v title="## $version" 'index($0, title) == 1 { there = 1; next } /^## / { there = 0 } there' CHANGELOG.md \
  >"$out/NOTES.md"
[ -s "$out/NOTES.md" ] || fail "CHANGELOG.md has nothing under \"## $version\""

say 'the apt repository'
bash scripts/apt-repository.sh "$out/apt" "$gpg_key" "$out"/*.deb

say 'checksums and their signature'
(
  cd "$out"
  find . -maxdepth 1 -type f -printf '%f\n' | LC_ALL=C sort | xargs sha256sum >"$OLDPWD/dist/SHA256SUMS"
  mv "$OLDPWD/dist/SHA256SUMS" SHA256SUMS
)
ssh-keygen -q -Y sign -n file -f "$ssh_key" "$out/SHA256SUMS"
say "$out is whole: check it with ssh-keygen -Y verify -n file, and sha256sum -c SHA256SUMS"
