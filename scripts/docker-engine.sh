# shellcheck shell=bash
# A Docker engine: the one that answers, or, for root, one for as long as this runs. For scripts/image.sh and the lab, which
# read this. Who does has set NAME (what speaks), `engine` (empty) and `scratch` (a folder); `end_engine` ends what was started.

readonly ENGINE_SECONDS_MAX=60
# What the image of the daemon may have: every layer, as Docker says it.
# shellcheck disable=SC2034 # for who reads this
readonly IMAGE_BYTES_MAX=230000000

docker_answers() { docker version >/dev/null 2>&1; }

# It answers, or there is none to be had.
provide_engine() {
  if docker_answers; then return; fi
  if [ "$(id -u)" -ne 0 ] || ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then return 1; fi
  start_engine
}

# Nothing here needs NAT or forwarding: an engine of our own leaves this machine's firewall alone.
start_engine() {
  printf '%s: starting a Docker engine for as long as this runs\n' "$NAME"
  setsid dockerd --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --bridge=none \
    >"$scratch/engine.log" 2>&1 </dev/null &
  engine=$!
  local deadline=$((SECONDS + ENGINE_SECONDS_MAX))
  until docker_answers; do
    kill -0 "$engine" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.3
  done
}

end_engine() {
  if [ -z "$engine" ]; then return; fi
  kill "$engine" 2>/dev/null || true
  wait "$engine" 2>/dev/null || true
  engine=''
}

# Where this itself runs in a container, an engine may start and yet be allowed nothing.
runs_containers() { docker run --rm --network none debian:bookworm-slim true; }
