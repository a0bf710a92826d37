#!/bin/bash
# The gdb commands, on a process and on its core file.
. "$(dirname "$0")/support.sh"
script=$(realpath "$(dirname "$0")/../../cli/ptm-gdb.py")

# in_gdb TARGET COMMAND...
in_gdb() {
  local target=$1 commands=() command
  shift
  for command in "$@"; do
    commands+=(-ex "$command")
  done
  # shellcheck disable=SC2086 # the target is words
  gdb -nx -batch -iex 'set debuginfod enabled off' -x /dev/null \
    $target -ex "source $script" "${commands[@]}" >out 2>err
}

# looks TARGET: what the commands say of the victim, however gdb has it.
looks() {
  local live
  in_gdb "$1" 'ptm arenas'
  grep -qE '^ +1 +[1-4] +1 +[0-9]+ +1[0-9]{3} +[1-9][0-9]+ +[1-9][0-9]+$' out ||
    fault "arenas: $(cat out)"
  grep -q 'mapped on their own: 1 blocks, 296 KiB' out || fault "no mapping"

  in_gdb "$1" 'ptm heap'
  live=$(awk '$1 ~ /^0x/ && $3 == 1 { print $1 }' out)
  [ -n "$live" ] || fault "heaps: $(cat out)"
  in_gdb "$1" "ptm heap $live"
  [ "$(grep -c ' live$' out)" -ge 1000 ] || fault "few live blocks"
  grep -q ' cached$' out || fault "no cached block"
  grep -qE ' span of [0-9]+$' out || fault "no runs"
  [ "$(grep '^0x' out | tail -n 1 | awk '{ print $3 }')" = top ] ||
    fault "no top"

  # A block of 501 bytes, a mapped one, and the table of both.
  in_gdb "$1" "ptm chunk ((long*)&kept)[501]" "ptm chunk ((long*)&kept)[501] + 77" \
    "ptm chunk ((long*)&kept)[1]" "ptm chunk &kept" \
    "ptm find ((long*)&kept)[501]"
  grep -qE ': live: mem 0x[0-9a-f]+, 512 bytes, offset 0, arena 1$' out ||
    fault "chunk: $(cat out err)"
  grep -qE ': live: .* 512 bytes, offset 77, arena 1$' out || fault "inside"
  grep -qE ': live, mapped on its own: .* offset 0$' out || fault "mapped"
  grep -qE ': not malloc.s$' out || fault "not malloc's"
  grep -qE '^[0-9]+ found$' out || fault "find: $(cat out)"
}

victim=$(realpath "$5")
begin "$victim" small

test="a process"
looks "$victim -p $process"

test="a value that live blocks hold"
in_gdb "$victim -p $process" 'ptm find 0x0101010101010101'
grep -qE '^[0-9]{4,} found$' out || fault "few: $(grep found out)"

test="its core file"
gcore -o core "$process" >/dev/null 2>&1
looks "$victim -c core.$process"

stop

test="a heap closed by what is as large as a block"
begin "$victim" closed
in_gdb "$victim -p $process" 'ptm heap'
for heap in $(awk '$1 ~ /^0x/ && $3 == 1 { print $1 }' out); do
  in_gdb "$victim -p $process" "ptm heap $heap"
  grep '^0x' out | awk 'END { print $2, $3 }' >>ends
  ! grep -q damaged out || fault "damaged: $(grep damaged out)"
done
grep -qx '32 fence' ends || fault "no such fence: $(cat ends)"

test="another program"
in_gdb "-p $$" 'ptm arenas'
grep -q 'ptm: the program does not run under ptm' err || fault "$(cat err)"
stop

finish
