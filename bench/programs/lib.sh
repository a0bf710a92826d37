# What the scripts of this folder share; each sources it first. One script is
# one real program with one piece of work, which it makes itself:
#
#   command=(PROGRAM ARGUMENT...)   what is measured; PROGRAM is a full path
#   environment=(NAME=VALUE...)     what it needs in its environment
#   measure=cpu|throughput          as the workloads have it
#   prepare                         a function that writes the inputs into the
#                                   current folder, where the command runs too
#   client                          for servers: a function that drives the
#                                   running command, prints lines of a key and
#                                   a value, and makes it end
#   program "$@"                    the last line
#
# The driver calls `NAME describe`, `NAME prepare` and `NAME client`, with
# BENCH_QUICK=1 for --quick. Only the command itself is ever preloaded. What
# the command prints must be the same in every run.
#
# A script says why it is here in its head comment.
# shellcheck disable=SC2034 # the variables are for the scripts

set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3
measure=cpu
environment=()

# amount QUICK FULL: one of the two.
amount() {
  if [ -n "${BENCH_QUICK-}" ]; then echo "$1"; else echo "$2"; fi
}

prepare() {
  :
}

# Records of a key and a value, each ended by a zero byte.
describe() {
  printf 'measure=%s\0' "$measure"
  [ -z "$(type -t client)" ] || printf 'server=yes\0'
  [ ${#environment[@]} = 0 ] || printf 'environment=%s\0' "${environment[@]}"
  printf 'argument=%s\0' "${command[@]}"
}

program() {
  case ${1-} in
  describe | prepare | client) "$1" ;;
  *)
    echo "usage: $0 describe|prepare|client" >&2
    exit 2
    ;;
  esac
}
