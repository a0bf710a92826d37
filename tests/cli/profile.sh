#!/bin/bash
# ptm profile, the option `profile`, and what pprof makes of it. Bounds are five
# times what chance misses by; means are small, so that this is not much.
. "$(dirname "$0")/support.sh"
tests=$(realpath "$(dirname "$0")")
victim=$(realpath "$5")

# sums FILE FUNCTION: alloc_objects alloc_space inuse_objects inuse_space
# pinned_space.
sums() {
  /usr/bin/python3 "$tests/pprof.py" "$1" >sums || fault "$1 is no profile"
  awk -v name="$2" '$1 == name { print $2, $3, $4, $5, $6 }' sums
}

# near VALUE TRUTH PERCENT
near() {
  awk -v a="$1" -v b="$2" -v p="$3" \
    'BEGIN { exit !(a >= b * (1 - p / 100) && a <= b * (1 + p / 100)) }' ||
    fault "$1 is not $2 within $3 %"
}

# 400,000 blocks of 96 bytes: with one in 2000 bytes 18,750 samples, of which
# five standard deviations are 3.7 %.
test="a known program, read from outside, and at its end"
PTM_OPTIONS=profile=2000 begin "$victim" leak
tool profile "$process" -o outside.pb
expect_status 0
grep -qE '^outside.pb: [0-9]{5} samples live; about ' out || fault "$(cat out)"
# Its tables are the allocator's own: 18,750 samples of 40 bytes.
tool why --json "$process"
/usr/bin/python3 -c '
import json
rows = json.load(open("out"))["rows"]
assert rows["metadata"] > 750000 and rows["other"] < 300000, rows' ||
  fault "the profile has another row"
stop_input() { exec 9>&-; wait "$process"; }
stop_input
[ -s "ptm.$process.pb" ] || fault "nothing at its end"
for file in outside.pb "ptm.$process.pb"; do
  read -r allocations allocated count live _ < <(sums "$file" leak)
  near "$allocations" 400000 5
  near "$allocated" 38400000 5
  near "$count" 400000 5
  near "$live" 38400000 5
done

test="pprof, as go has it, where go is installed: it names the culprit first"
if command -v go >/dev/null; then
  HOME=$folder go tool pprof -top -sample_index=inuse_space outside.pb >top 2>err ||
    fault "$(cat err)"
  [ "$(awk 'seen { print $6; exit } / flat% /{ seen = 1 }' top)" = leak ] ||
    fault "$(cat top)"
fi

test="what survivors pin, by both readers and by why"
PTM_OPTIONS=profile=2000 begin "$victim" fragmented
tool why --json "$process"
mv out account
tool profile "$process" -o outside.pb
stop_input
pinned=$(/usr/bin/python3 -c '
import json
rows = json.load(open("account"))["rows"]
print(sum(v for k, v in rows.items() if "pinned" in k))')
read -r _ _ _ _ outside < <(sums outside.pb fragment)
read -r _ _ _ _ inside < <(sums "ptm.$process.pb" fragment)
near "$outside" "$pinned" 15
near "$inside" "$pinned" 15

test="survivors that have headers"
PTM_OPTIONS=profile=2000 begin "$victim" chunks
tool profile "$process" -o outside.pb
stop_input
read -r _ _ _ _ outside < <(sums outside.pb total)
read -r _ _ _ _ inside < <(sums "ptm.$process.pb" total)
[ "${outside:-0}" -gt 10000000 ] || fault "pinned: $outside"
near "$outside" "$inside" 10

test="started, read and stopped from outside, with threads that never stop"
begin "$victim" busy
tool profile "$process"
expect_refusal 125 "process $process has no profile: see --start"
tool profile --seconds 1 --mean 16k -o busy.pb "$process"
expect_status 0
read -r _ allocated _ live _ < <(sums busy.pb total)
[ "${allocated:-0}" -gt 1000000 ] || fault "allocated: $allocated"
near "$(sums busy.pb replace_blocks | cut -d' ' -f4)" "$live" 5
tool profile --start --mean 64k "$process"
expect_status 0
tool profile --stop "$process"
expect_status 0
quiet() {
  "$tool" profile "$process" -o one.pb >one && sleep 0.3 &&
    "$tool" profile "$process" -o other.pb >other &&
    [ "$(sums one.pb total | cut -d' ' -f2)" = \
      "$(sums other.pb total | cut -d' ' -f2)" ]
}
wait_for quiet
stop

test="the same where only blocks above 1 KiB are allocated, all from a cache"
begin "$victim" pages
tool profile --seconds 1 --mean 16k -o pages.pb "$process"
expect_status 0
expect err ''
read -r _ allocated _ < <(sums pages.pb replace_one)
[ "${allocated:-0}" -gt 100000 ] || fault "allocated: $allocated"
stop

test="C++, and shells that fork"
PTM_OPTIONS=profile=1k tool run /bin/bash -c 'x=$(seq 20000); echo ${#x}; (exit 0)'
expect_status 0
expect out 108893

test="options"
tool profile
expect_refusal 125 "profile: no process; see ptm --help"
tool profile --mean 3x 1
expect_refusal 125 "profile: bad value '3x'; see ptm --help"
tool profile --seconds
expect_refusal 125 "profile: --seconds takes a value; see ptm --help"
tool profile --fast 1
expect_refusal 125 "profile: unknown option '--fast'; see ptm --help"
tool profile 1 2
expect_refusal 125 "profile: one process at a time; see ptm --help"

finish
