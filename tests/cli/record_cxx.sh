#!/bin/bash
# ptm record sees what C++ programs allocate by operators.
. "$(dirname "$0")/support.sh"
program=$(realpath "$5")

test="each operator new and its delete: 12 pairs, a thousand times"
tool record -o cxx.trace "$program"
expect_status 0
events=$(sed -n 's/^ptm: cxx.trace: \([0-9]*\) events.*/\1/p' err)
peak=$(sed -n 's/.*, \([0-9]*\) bytes live at most$/\1/p' err)
[ "$events" -ge 24000 ] && [ "$events" -lt 24500 ] || fault "$events events"
[ "$peak" -ge 1000 ] && [ "$peak" -lt 1000000 ] || fault "peak $peak"

finish
