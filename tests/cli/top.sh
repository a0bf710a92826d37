#!/bin/bash
# ptm top: the processes under ptm, and no others.
. "$(dirname "$0")/support.sh"
victim=$(realpath "$5")

begin "$victim" leak
leaking=$process
begin "$victim" small

test="all that have the library, the largest first"
tool top -n 1
expect_status 0
[ "$(awk -v a="$leaking" -v b="$process" '$1 == a || $1 == b { print $1 }' out)" = \
  "$leaking
$process" ] || fault "$(cat out)"
awk -v p=$$ '$1 == p { exit 1 }' out || fault "a process without it"

test="one process, twice, with rates the second time"
tool top -n 2 "$process"
expect_status 0
[ "$(awk -v p="$process" '$1 == p { print NF }' out | sort -u | wc -l)" = 2 ] ||
  fault "$(cat out)"
[ "$(grep -c PROCESS out)" = 2 ] || fault "no two rounds"
awk -v p="$process" '$1 == p && $2 != "cli_victim" { exit 1 }' out ||
  fault "its name"

test="none"
tool top -n 1 $$
expect_status 0
grep -qx 'No process that can be read runs under ptm.' out || fault "$(cat out)"

test="options"
tool top --fast
expect_refusal 125 "top: unknown option '--fast'; see ptm --help"
tool top one
expect_refusal 125 "top: 'one' is not the number of a process"
stop

finish
