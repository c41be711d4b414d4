# shellcheck shell=bash
# Whether there is an engine for the lab (scripts/docker-engine.sh), and compose. Sourced by scripts/lab.sh, which says what
# the words in use here mean.

find_engine() {
  if docker_answers; then return; fi
  if [ "$get_engine" = yes ]; then install_engine; fi
  provide_engine || unavailable 'no Docker engine answers, and none could be started'
}

# Loudly: who reads only the end of a long log must still see that the lab did not run.
unavailable() {
  {
    printf '\n%s\n' '!!!! THE LAB DID NOT RUN !!!!'
    printf 'lab: %s.\n' "$1"
    if [ -s "$scratch/engine.log" ]; then tail -n 5 "$scratch/engine.log"; fi
    printf '%s\n' 'lab: start one (systemctl start docker), or, as root on Debian or Ubuntu: npm run lab -- --get-engine' \
      '!!!! THE LAB DID NOT RUN !!!!'
  } >&2
  exit "$UNAVAILABLE"
}

install_engine() {
  local wanted=()
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then return; fi
  command -v dockerd >/dev/null || wanted+=(docker.io)
  docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || wanted+=(docker-compose)
  command -v debootstrap >/dev/null || wanted+=(debootstrap)
  if [ "${#wanted[@]}" -eq 0 ]; then return; fi
  printf 'lab: installing %s\n' "${wanted[*]}"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${wanted[@]}"; } \
    >"$scratch/engine.log" 2>&1 </dev/null || unavailable "apt-get could not install ${wanted[*]}"
}

find_compose() {
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif command -v docker-compose >/dev/null; then
    compose=(docker-compose)
  else
    unavailable 'neither `docker compose` nor docker-compose is installed'
  fi
  compose+=(--project-name "$PROJECT" --file docker-compose.yml --profile replay --profile observe --profile fleet)
}

refuse_second() {
  local label="label=com.docker.compose.project=$PROJECT"
  if [ -n "$(docker ps -q --filter "$label")" ]; then
    stop "a lab is up already: take it down with ${compose[*]} down --volumes"
  fi
  # Where the engine or the machine ended first, what is left stands still, and holds keys and state of that lab.
  if [ -n "$(docker ps -aq --filter "$label")$(docker volume ls -q --filter "$label")" ]; then
    printf 'lab: taking away what is left of a lab that ended with its engine\n'
    down || stop 'what is left of an earlier lab could not be taken away; the reason is above'
  fi
  if ip -o address 2>/dev/null | grep -E ' (198\.51\.100|203\.0\.113)\.' >/dev/null; then
    stop 'this machine has addresses in 198.51.100.0/24 or 203.0.113.0/24, which are the lab'"'"'s'
  fi
}
