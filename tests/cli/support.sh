# shellcheck shell=bash disable=SC2034,SC2154 # the tests set and use them
# What the tests of the tool share. Each is called as
#   NAME.sh tool library static-program version victim
# and works in an empty folder of its own.
set -u -o pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../support/watch.sh"
export LC_ALL=C
unset LD_PRELOAD PTM_LIBRARY PTM_OPTIONS

tool=$(realpath "$1")
library=$(realpath "$2")
static=$(realpath "$3")
version=$4
failures=0

folder=$(mktemp -d)
patience=240 # seconds for the whole script; CTest has 300
(cd / && watch_over "$folder" $patience "$(basename "$0")") \
  3>&2 >/dev/null 2>&1 &
watcher=$!
trap 'stop; kill $watcher 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder" || exit 1

children=()

fault() {
  echo "$test: $*" >&2
  failures=$((failures + 1))
}

# Runs the tool and keeps its status, and its output in the files out and err.
tool() {
  status=0
  "$tool" "$@" >out 2>err </dev/null || status=$?
}

expect_status() {
  [ "$status" = "$1" ] || fault "exit status $status, not $1: $(cat err)"
}

# expect FILE TEXT: the file holds just these lines.
expect() {
  printf '%s' "${2:+$2
}" | diff - "$1" >&2 || fault "$1 differs"
}

# expect_refusal STATUS SENTENCE: the tool said just this, and ran nothing.
expect_refusal() {
  expect_status "$1"
  expect out ''
  expect err "ptm: $2"
}

# ---- programs that are looked at while they run

stop() {
  exec 9>&-
  for child in "${children[@]}"; do
    kill "$child" 2>/dev/null
    wait "$child" 2>/dev/null
  done
  children=()
}
# wait_for COMMAND...: until it succeeds, for a minute.
wait_for() {
  for _ in {1..600}; do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  fault "waited in vain for: $*"
}

# launch COMMAND...: starts it under ptm, with an input that stays open: what
# is written to 9.
launch() {
  rm -f input said
  mkfifo input
  "$tool" run "$@" <input >said 2>&1 &
  process=$!
  children+=("$process")
  exec 9>input
}

# begin COMMAND...: the same, and waits until it says "ready".
begin() {
  launch "$@"
  wait_for grep -q ready said
}

finish() {
  [ $failures = 0 ] || exit 1
}
