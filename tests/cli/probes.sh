#!/bin/bash
# The probes of the library: that they are there, and that gdb, which counts up
# the semaphores as tracers do, comes by.
. "$(dirname "$0")/support.sh"
victim=$(realpath "$5")

test="the notes"
readelf -n "$library" | awk '
  $1 == "Provider:" { provider = $2 }
  $1 == "Name:" { name = $2 }
  $1 == "Location:" { gated = $NF != "0x0000000000000000" }
  $1 == "Arguments:" { print provider, name, gated, NF - 1 }' | sort -u >probes
expect probes 'otel_memory alloc 1 3
otel_memory free 1 1
ptm flush 0 2
ptm heap_new 0 2
ptm mmap 0 2
ptm purge_step 0 1
ptm refill 0 2'

# run_gdb COMMAND...: at main, with the library preloaded. The pages that it is
# in are the program's, so it looks itself.
run_gdb() {
  local commands=(-ex "set debuginfod enabled off"
    -ex "set startup-with-shell off" -ex "set breakpoint pending on"
    -ex "set env LD_PRELOAD $library" -ex "set env PTM_OPTIONS=helper=0"
    -ex "break main" -ex run)
  for command; do
    commands+=(-ex "$command")
  done
  gdb -q -batch -nx "${commands[@]}" --args "$victim" small </dev/null \
    >said 2>&1
}

test="gdb at an allocation that was picked, and at its free"
run_gdb "info probes stap otel_memory" "break -probe-stap otel_memory:alloc" \
  continue 'printf "alloc %d %d\n", $_probe_arg0 % 16, $_probe_arg1 > 0' \
  'printf "weighted %d\n", $_probe_arg2 >= $_probe_arg1' \
  'set $block = $_probe_arg0' \
  "break -probe-stap otel_memory:free" "delete 2" continue \
  'printf "free %d\n", $_probe_arg0 % 16' kill
grep -qE '^stap +otel_memory alloc +0x' said || fault "no probe: $(cat said)"
for line in 'alloc 0 1' 'weighted 1' 'free 0'; do
  grep -qx "$line" said || fault "not '$line': $(cat said)"
done

test="gdb at the slow paths"
run_gdb "break -probe-stap ptm:refill" continue \
  'printf "refill %d\n", $_probe_arg0 > 0 && $_probe_arg1 > 0' \
  "delete 2" "break -probe-stap ptm:mmap" continue \
  'printf "mmap %d\n", $_probe_arg0 % 4096 == 0 && $_probe_arg1 >= 262144' kill
for line in 'refill 1' 'mmap 1'; do
  grep -qx "$line" said || fault "not '$line': $(cat said)"
done

finish
