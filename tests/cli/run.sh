#!/bin/bash
# ptm run: the command is itself in every way, and has the library in it.
. "$(dirname "$0")/support.sh"

test="the library beside the tool is in the process"
tool run cat /proc/self/maps
expect_status 0
expect err ''
grep -qF "$library" out || fault "not mapped"

test="PTM_LIBRARY comes in its place, by its absolute path"
cp "$library" other.so
PTM_LIBRARY=other.so tool run sh -c 'cd / && exec cat /proc/self/maps'
expect_status 0
expect err ''
grep -qF "$folder/other.so" out || fault "not mapped"
! grep -qF "$library" out || fault "the library beside the tool is mapped too"

test="an empty PTM_LIBRARY is none"
PTM_LIBRARY='' tool run printenv LD_PRELOAD
expect out "$library"

test="what LD_PRELOAD held is kept, behind"
LD_PRELOAD=libm.so.6 tool run printenv LD_PRELOAD
expect out "$library:libm.so.6"
LD_PRELOAD='' tool run printenv LD_PRELOAD
expect out "$library"

test="arguments arrive as they are, options and empty ones too"
tool run printf '<%s>\n' -n -- '' 'a b'
expect out '<-n>
<-->
<>
<a b>'
tool run -- sh -c 'echo "$0 $1"' one two
expect out 'one two'

test="input, output and errors are the command's own"
status=0
echo through | "$tool" run sh -c 'cat; echo wrong >&2' >out 2>err || status=$?
expect_status 0
expect out through
expect err wrong

test="the command is the same process"
tool_pid=$(sh -c 'echo $$; exec "$0" run sh -c "echo \$\$"' "$tool" | uniq | wc -l)
[ "$tool_pid" = 1 ] || fault "another process"

test="it exits as the command did"
for wanted in 0 1 7 125 255; do
  tool run sh -c "exit $wanted"
  expect_status $wanted
  expect err ''
done
for signal in 6 9 15; do
  { tool run sh -c "kill -$signal \$\$"; } 2>/dev/null
  expect_status $((128 + signal))
done

test="the command is looked for along PATH"
mkdir first second
printf '#!/bin/sh\necho first\n' >first/say
printf '#!/bin/sh\necho second\n' >second/say
chmod +x second/say
PATH=first:second:$PATH tool run say
expect out second # the first may not be run, and does not end the search
chmod +x first/say
PATH=first:second:$PATH tool run say
expect out first
(cd first && PATH=:$PATH "$tool" run say) >out 2>err
expect out first

finish
