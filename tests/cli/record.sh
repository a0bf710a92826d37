#!/bin/bash
# ptm record and ptm replay: what was recorded is done again.
. "$(dirname "$0")/support.sh"
victim=$(realpath "$5")

# replayed TRACE: the replay has as much live at most as the recording said, and
# nothing failed.
replayed() {
  local peak
  peak=$(sed -n 's/.*events of .*, \([0-9]*\) bytes live at most$/\1/p' err)
  tool run "$tool" replay --numbers "$1"
  expect_status 0
  [ "$(awk '{ print $4, $5 }' out)" = "$peak 0" ] ||
    fault "peak and failures: $(cut -c -80 out), not $peak 0"
}

test="python3, all of whose objects are recorded"
# An independent count of what the list holds: 100,000 strings of at least 90
# bytes each, and 49 bytes of Python's own.
PYTHONMALLOC=malloc tool record -o python.trace /usr/bin/python3 -c '
x = [str(i + 10**9) * 9 for i in range(100000)]
print(len(x))'
expect_status 0
expect out 100000
[ ! -e python.trace.raw ] || fault "the raw file is still there"
peak=$(sed -n 's/.*, \([0-9]*\) bytes live.*/\1/p' err)
[ "$peak" -gt 13900000 ] && [ "$peak" -lt 30000000 ] || fault "peak $peak"
replayed python.trace

test="redis, which several threads serve"
socket=$folder/socket
"$tool" record -o redis.trace redis-server --port 0 --unixsocket "$socket" \
  --save '' --dir "$folder" >/dev/null 2>err &
recorder=$!
wait_for redis-cli -s "$socket" ping
for i in {1..20000}; do
  echo "set key:$i $i:a-value-that-is-neither-long-nor-short"
done | redis-cli -s "$socket" --pipe >/dev/null
used=$(redis-cli -s "$socket" info memory | tr -d '\r' |
  sed -n 's/^used_memory_peak:\([0-9]*\)$/\1/p')
redis-cli -s "$socket" shutdown nosave >/dev/null
status=0
wait $recorder || status=$?
expect_status 0
peak=$(sed -n 's/.*, \([0-9]*\) bytes live.*/\1/p' err)
[ $((peak * 10)) -gt $((used * 9)) ] && [ $((peak * 10)) -lt $((used * 11)) ] ||
  fault "peak $peak, and redis says $used"
replayed redis.trace

test="threads, the first of which ends the process"
tool record -o threads.trace "$victim" threads
expect_status 0
expect out ready
grep -q 'events of 201 threads at a time' err || fault "$(cat err)"
replayed threads.trace

test="a program that is killed"
tool record sh -c 'x=1; kill -9 $$'
expect_status 137
[ -s ptm.trace ] || fault "no trace"
replayed ptm.trace

test="all mallocs"
tool compare -n 2 python.trace
expect_status 0
for name in system "system again" ptm; do
  [ "$(grep -cE "^$name +[0-9.]+ s +[0-9.]+ MiB +[0-9.]+ [KM]iB  " out)" = 1 ] ||
    fault "no row of $name: $(cat out)"
done

test="traces that are none, or damaged"
echo nonsense >nonsense
tool replay nonsense
expect_refusal 125 "nonsense: not a trace"
head -c 100000 python.trace >short
tool replay short
expect_refusal 125 "short: the trace is damaged"
sed '1s/^ptm:trace 1/ptm:trace 2/' python.trace >newer
tool replay newer
expect_refusal 125 "newer: a trace of another version"
{ head -c 5000 python.trace && head -c 5000 /dev/zero | tr '\0' '\377' &&
  tail -c +10001 python.trace; } >damaged
tool replay damaged
expect_status 125
expect err 'ptm: damaged: the trace is damaged'

test="a program that writes into what is recorded"
tool record -o other.trace sh -c 'printf "ptm:raw trace 1" |
  dd of=other.trace.raw conv=notrunc status=none'
expect_refusal 125 "the recorder is of another version than this tool"
spoil='import random, sys
random.seed(int(sys.argv[1]))
with open("spoilt.trace.raw", "r+b") as raw:
    end = raw.seek(0, 2)
    for i in range(4):
        raw.seek(random.randrange(1 << 17, end) & -8)
        bits = random.getrandbits(random.choice((4, 12, 47, 64)))
        raw.write((bits & random.choice((-1, ~8))).to_bytes(8, "little"))
    raw.seek((1 << 17) + random.choice((0, 4)))
    raw.write(random.randbytes(random.randrange(3)))'
replays=0
for seed in {1..20}; do
  tool record -o spoilt.trace /usr/bin/python3 -c "$spoil" "$seed"
  if [ "$status" != 0 ]; then
    expect_refusal 125 "what was recorded is damaged"
    continue
  fi
  tool replay --numbers spoilt.trace
  expect_status 0
  replays=$((replays + 1))
done
[ "$replays" -gt 2 ] || fault "only $replays could be replayed"

test="options"
tool record -o
expect_refusal 125 "record: -o takes a file; see ptm --help"
tool record --
expect_refusal 125 "record: no command; see ptm --help"
tool record no-such-command
expect_refusal 127 "no-such-command: command not found"
tool replay --fast trace
expect_refusal 125 "replay: unknown option '--fast'; see ptm --help"
tool replay
expect_refusal 125 "replay: one trace is wanted; see ptm --help"

finish
