# What the scripts of this folder share; each sources it first.
#
#   tests/programs/NAME LIBRARY
#
# A script describes one piece of work as a shell function and says
# `same FUNCTION`. The function runs twice, in a folder of the same name each
# time: without the library and with LIBRARY preloaded into every program it
# starts. What it printed and how it ended must be equal, byte for byte; so
# the functions keep times, process ids and other accidents to themselves.
# `bound PROGRAM COMMAND...` proves that a program did take its malloc from
# the library, and `preloaded PID` that a server has it mapped.
#
# A function writes what is worth reading after a failure into files called
# *.log.

set -eu

[ $# = 1 ] && [ -r "$1" ] || {
  echo "usage: $0 LIBRARY" >&2
  exit 2
}
lib=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../support/watch.sh"
title=$(basename "$0")
python=/usr/bin/python3
packages=test
patience=280 # seconds for a function; see watch_over
if [ "$(basename "$(dirname "$0")")" = heavy ]; then
  packages=programs-all
  patience=5000
fi

# Only Debian's programs, and no wishes of the caller's environment.
wishes='LD|MALLOC|PTM|GLIBC|PYTHON|PERL|NODE|GIT|XZ|ZSTD|GZIP|TAR|JQ'
wishes="$wishes|MAKE|MFLAGS|CC|CXX|CPATH|CPLUS|C_INCLUDE|BASH_ENV|APT|CMAKE"
wishes="$wishes|CTEST|NINJA|PG|MYSQL|MARIADB|PHP|RUBY|GEM|JAVA|JDK|_JAVA|CLASSPATH"
wishes="$wishes|GO|CGO|RUST|CARGO|VIM|FF|AV_|SYSTEMD|XDG|DISPLAY|DBUS"
# shellcheck disable=SC2046 # one word a variable
unset $(compgen -e | grep -E "^($wishes)") PAGER EDITOR
export LC_ALL=C TZ=UTC PATH=/usr/sbin:/usr/bin:/sbin:/bin
ulimit -c 0

work=$(mktemp -d)
export HOME=$work TMPDIR=$work

clean_up() {
  local process
  for process in $(working_in "$work"); do
    kill -KILL "$process" 2>/dev/null || :
  done
  rm -rf "$work"
}
trap clean_up EXIT

fail() {
  echo "$title: $*" >&2
  exit 1
}

# needs PROGRAM...: a program that is not there is a failure, not a skip.
needs() {
  local program
  for program; do
    command -v "$program" >/dev/null ||
      fail "$program is missing: run tools/packages $packages"
  done
}

# debian_source PACKAGE: unpacks the release's source of it to $work/PACKAGE.
# The machine's package lists stay as they are.
debian_source() {
  local lists=$work/lists options
  mkdir -p "$lists/parts" "$lists/partial"
  awk 'BEGIN { RS = ""; ORS = "\n\n" } !/Suites:[^\n]*security/' \
    /etc/apt/sources.list.d/debian.sources |
    sed 's/^Types: deb$/Types: deb-src/' >"$lists/parts/source.sources"
  options=(-qq -o Dir::Etc::SourceList=/dev/null
    -o Dir::Etc::SourceParts="$lists/parts" -o Dir::State::Lists="$lists"
    -o APT::Sandbox::User=root)
  (
    cd "$lists" && apt-get "${options[@]}" update &&
      apt-get "${options[@]}" source --download-only "$1" &&
      dpkg-source --no-check -x ./*.dsc "$work/$1"
  ) >"$work/source.log" 2>&1 || {
    tail "$work/source.log" >&2
    fail "cannot get the source of $1"
  }
  rm -rf "$lists"
}

# preloaded PID: if this is the run with the library, PID must have it mapped.
preloaded() {
  [ -z "${LD_PRELOAD-}" ] || grep -qF "$lib" "/proc/$1/maps" ||
    fail "process $1 runs without the library"
}

# until_true COMMAND...: waits for a server; its answer decides, not the time.
# The bound only keeps a server that died from being waited for until CTest
# loses patience.
until_true() {
  local tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || fail "waited in vain for: $*"
    sleep 0.05
  done
}

# run_once KIND LIBRARY FUNCTION: leaves KIND.out, KIND.err and KIND.status.
run_once() {
  local status watcher
  rm -rf "$work/run"
  mkdir "$work/run"
  (cd / && watch_over "$work" "$patience" "$title: $3, $1") \
    3>&2 >/dev/null 2>&1 &
  watcher=$!
  set +e
  (
    set -e
    cd "$work/run"
    if [ -n "$2" ]; then
      export LD_PRELOAD="$2"
      grep -qF "$2" /proc/self/maps || fail "the library is not preloaded"
    fi
    "$3"
  ) >"$work/$1.out" 2>"$work/$1.err"
  status=$?
  kill "$watcher"
  wait "$watcher" 2>/dev/null
  set -e
  echo "exit status $status" >"$work/$1.status"
}

show_logs() {
  find "$work/run" -name '*.log' -size +0 -exec tail -n 30 {} + >&2
}

same() {
  local stream
  run_once plain "" "$1"
  if ! grep -qx "exit status 0" "$work/plain.status"; then
    tail -n 30 "$work/plain.out" "$work/plain.err" >&2
    show_logs
    fail "$1 fails without the library too"
  fi
  [ -s "$work/plain.out" ] || fail "$1 printed nothing to compare"
  run_once preloaded "$lib" "$1"
  for stream in status out err; do
    diff -a "$work/plain.$stream" "$work/preloaded.$stream" \
      >"$work/difference" || {
      head -n 40 "$work/difference" | cut -c 1-200 >&2
      [ $stream = err ] || tail -n 20 "$work/preloaded.err" >&2
      show_logs
      fail "$1 differs with the library (<: without, >: with)"
    }
  done
  echo "$title: $1: same, $(wc -c <"$work/plain.out") bytes"
}

# bound PROGRAM COMMAND...: the dynamic linker reports to which file it binds
# each name. Among the processes of COMMAND there must be one of PROGRAM, and
# in those every malloc, calloc, realloc and free must be the library's. The
# program itself may stand in between: that is the address a program without
# position-independent code takes of a function, a jump into its own table.
bound() {
  local program=$1 file logs family
  shift
  rm -rf "$work/bindings"
  mkdir "$work/bindings"
  (
    cd "$work"
    LD_PRELOAD=$lib LD_DEBUG=bindings LD_DEBUG_OUTPUT=$work/bindings/log \
      LD_BIND_NOW=1 "$@" </dev/null >/dev/null 2>&1 || :
  )
  file="([^ ]*/)?${program//+/\\+} \[0\]"
  logs=$(grep -lE "binding file $file to " "$work"/bindings/log.*) ||
    fail "$program was not started by: $*"
  # shellcheck disable=SC2086 # one word a log
  family=$(grep -hE "symbol \`(malloc|calloc|realloc|free)'" $logs)
  grep -F " to $lib [0]: " <<<"$family" | grep -qF "\`malloc'" ||
    fail "$program does not take malloc from the library"
  ! grep -vF " to $lib [0]: " <<<"$family" | grep -vE " to $file: " >&2 ||
    fail "$program takes part of the malloc family from elsewhere"
}
