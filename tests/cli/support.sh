# shellcheck shell=bash disable=SC2034,SC2154 # the tests set and use them
# What the tests of the tool share. Each is called as
#   NAME.sh tool library static-program version
# and works in an empty folder of its own.
set -u -o pipefail
export LC_ALL=C
unset LD_PRELOAD PTM_LIBRARY PTM_OPTIONS

tool=$(realpath "$1")
library=$(realpath "$2")
static=$(realpath "$3")
version=$4
failures=0

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

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

finish() {
  [ $failures = 0 ] || exit 1
}
