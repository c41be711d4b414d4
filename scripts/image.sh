#!/bin/bash
# Builds the image of the daemon (`door` in the Dockerfile), for the machine that this runs on, and writes beside each other
# into dist the image, for `docker load`, and what is inside it as CycloneDX. Fails where the image is larger than it may be.
#
#   bash scripts/image.sh            needs a Docker engine that answers, or root and dockerd
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
readonly NAME=image
# shellcheck source=scripts/docker-engine.sh
source scripts/docker-engine.sh

engine=''
scratch="$(mktemp -d)"
clean_up() {
  end_engine
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf 'image: %s\n' "$*"; }
fail() {
  printf 'image: %s\n' "$*" >&2
  tail -n 30 "$scratch/log" >&2 2>/dev/null || true
  exit 1
}

# What is inside, asked of the programs that are inside.
inside() { docker run --rm --network none --entrypoint /bin/sh "$tag" -c "$1"; }
look_inside() {
  printf 'image %s\n' "$(docker image inspect --format '{{.Id}}' "$tag")"
  # shellcheck disable=SC2016 # in the image
  inside '. /etc/os-release && echo "os $ID $VERSION_ID"
    echo "node $(node -p process.versions.node)"
    dpkg-query -W -f "deb \${Package} \${Version} \${Architecture} \${source:Package}\n"'
}

provide_engine || fail 'no Docker engine answers, and none could be started: systemctl start docker'
say 'the base images'
bash scripts/offline-images.sh
version="$(node -p 'require("./package.json").version')"
arch="$(dpkg --print-architecture)"
tag="nfknock:$version"
say "building $tag"
docker build --network host --target door --tag "$tag" . >"$scratch/log" 2>&1 || fail 'it could not be built'
size="$(docker image inspect --format '{{.Size}}' "$tag")"
[ "$size" -le "$IMAGE_BYTES_MAX" ] || fail "$tag has $size bytes, and $IMAGE_BYTES_MAX is the most that it may have"
said="$(inside 'exec nfknock --version')"
[ "$said" = "$version" ] || fail "the program in it says that it is $said"

file="dist/nfknock-image-$version-$arch"
look_inside >"$scratch/inside"
node scripts/bom.mjs --image "$scratch/inside" >"$file.cdx.json"
docker save "$tag" | gzip -9n >"$file.tar.gz"
say "$file.tar.gz ($((size / 1000000)) MB unpacked, $(($(stat -c %s "$file.tar.gz") / 1000000)) MB packed); docker load -i it"
say "$file.cdx.json names $(grep -c '"bom-ref"' "$file.cdx.json") parts of it"
