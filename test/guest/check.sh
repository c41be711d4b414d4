# shellcheck shell=bash
# What a case says of what it looks at: "ok: CASE: TEXT" or "not ok: CASE: TEXT", and then why.

ok() { echo "ok: $CASE: $1"; }
not_ok() { echo "not ok: $CASE: $1"; }
# check TEXT COMMAND…: the command must succeed.
check() {
  local text="$1" out
  shift
  if out="$("$@" 2>&1)"; then ok "$text"; else not_ok "$text ($*)"; echo "$out" | tail -n 15 | sed 's/^/    /'; fi
}
# refuse TEXT COMMAND…: the command must fail.
refuse() {
  local text="$1" out
  shift
  if out="$("$@" 2>&1)"; then not_ok "$text ($*)"; echo "$out" | tail -n 15 | sed 's/^/    /'; else ok "$text"; fi
}
# within SECONDS COMMAND…: succeeds as soon as the command does.
within() {
  local until=$(($(awk '{print int($1)}' /proc/uptime) + $1))
  shift
  while ! "$@" >/dev/null 2>&1; do
    if [ "$(awk '{print int($1)}' /proc/uptime)" -ge "$until" ]; then return 1; fi
    sleep 0.2
  done
}
