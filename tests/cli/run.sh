#!/bin/bash
# ptm run: the command is itself in every way, and has the library in it.
. "$(dirname "$0")/support.sh"
victim=$(realpath "$5")

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

test="what a program that leaks says at its end"
tool run --account --leaks "$victim" leak
expect_status 0
expect out ready
grep -qE '^ptm: cli_victim had [0-9.]+ MiB at most; at its end [0-9.]+ MiB resident: 36\.[0-9] MiB live, .*\.$' err ||
  fault "$(cat err)"
grep -qE '^ptm: cli_victim has not freed 36\.[0-9] MiB in 4000[0-9]{2} blocks:$' err ||
  fault "$(cat err)"
[ "$(grep -A 2 '^    36\.[0-9] MiB in 400000 blocks by$' err | tail -2)" = \
  "        leak
        main" ] || fault "$(cat err)"

test="an estimate of it, by one in 4 KiB: 1 in 97 misses by 1 %"
tool run --leaks=4k "$victim" leak
expect_status 0
awk '/ has not freed about / && / MiB in / { bytes = $7 }
  END { exit !(bytes > 36.6 * 0.93 && bytes < 36.6 * 1.07) }' err ||
  fault "$(cat err)"

test="one that has nothing"
tool run --leaks -- "$folder/none"
expect_status 127
cat >none.c <<'END'
int main(void) { return 3; }
END
cc -o none none.c && tool run --leaks ./none
expect_status 3
expect err 'ptm: none has freed all that it allocated.'

test="looked at in its end, it ends as it would"
for wanted in 0 7 255; do
  tool run --account sh -c "exit $wanted"
  expect_status $wanted
  grep -q '^ptm: sh had ' err || fault "$(cat err)"
done
for signal in 6 9 15; do
  { tool run --account sh -c "kill -$signal \$\$"; } 2>/dev/null
  expect_status $((128 + signal))
  grep -q '^ptm: sh had ' err || fault "$(cat err)"
done
tool run --account "$static"
expect_status 126

test="signals reach it, and it can be stopped"
"$tool" run --account bash -c 'trap "echo got it; exit 5" TERM
  echo $$ >number; while :; do read -rt 0.1; done <>fifo' >out 2>err &
beside=$!
mkfifo fifo
wait_for test -s number
state_of() { sed 's/.*) //' "/proc/$(cat number)/stat" | cut -c 1; }
kill -STOP "$(cat number)"
is_stopped() { [ "$(state_of)" = T ] || [ "$(state_of)" = t ]; }
wait_for is_stopped
kill -CONT "$(cat number)"
goes_on() { ! is_stopped; }
wait_for goes_on
kill "$beside"
status=0
wait "$beside" || status=$?
expect_status 5
expect out 'got it'

test="a heap that is checked is sound, or it ends"
tool run --check=50 "$victim" small
expect_status 0
expect err ''
{ begin_checked() { launch --check=50 "$victim" overflow; }
  begin_checked; } 2>/dev/null
wait_for grep -q '^ptm: ptm_check(): ' said
status=0
wait "$process" || status=$?
expect_status 134
children=()
tool run --check=1000000 "$victim" overflow
expect_status 134
grep -q '^ptm: ptm_check(): ' err || fault "not checked at its end"

test="options"
tool run --leaks=0 true
expect_refusal 125 "run: bad value in '--leaks=0'; see ptm --help"
tool run --check=often true
expect_refusal 125 "run: bad value in '--check=often'; see ptm --help"
tool run --fast true
expect_refusal 125 "run: unknown option '--fast'; see ptm --help"

finish
