#!/bin/bash
# ptm why: the account adds up to what the kernel says, and the verdict names
# the right cause, for programs that are large for a known reason.
. "$(dirname "$0")/support.sh"

victim=$(realpath "$5")
python3=/usr/bin/python3
# Counted page by page: VmRSS is off by some dozen pages for each processor.
resident_bytes() {
  awk '$1 == "Rss:" { print $2 * 1024 }' "/proc/$process/smaps_rollup"
}

# The rows add up; they are the resident memory that the kernel tells of. A
# program that has just grown or shrunk may do so while it is looked at: then it
# is looked at again.
expect_account() {
  local kernel now
  for _ in {1..60}; do
    kernel=$(resident_bytes)
    tool why --json "$process"
    expect_status 0
    now=$(resident_bytes)
    [ $((now - kernel)) -gt $((kernel / 200)) ] ||
      [ $((kernel - now)) -gt $((kernel / 200)) ] || break
    sleep 0.5
  done
  jq -e --argjson kernel "$kernel" '
    ([.rows[]] | add) == .resident and
    ((.resident - $kernel) | fabs) <= $kernel / 100 and
    ((.rows.changed | fabs) <= .resident / 100)' out >/dev/null ||
    fault "the account is not $kernel bytes: $(jq -c '[.resident, .rows]' out)"
  expect_jq '.tears == 0 and .complaints == []'
}

# expect_jq CONDITION: of the last account.
expect_jq() {
  jq -e "$1" out >/dev/null || fault "not so: $1: $(cut -c -600 out)"
}

# expect_each_time CONDITION: of many accounts of a process that never stops, all
# of which add up.
expect_each_time() {
  for _ in {1..20}; do
    tool why --json "$process"
    expect_status 0
    expect_jq "([.rows[]] | add) == .resident and ($1)"
  done
}

# Whoever says that it is ready goes to sleep a moment later.
all_are_asleep() {
  "$tool" why --json "$process" | jq -e 'all(.threads[]; .asleep)'
}

# expect_verdict CAUSE WORDS: the first line names this first.
expect_verdict() {
  expect_account
  expect_jq ".cause == \"$1\""
  tool why "$process"
  expect_status 0
  head -n 1 out | grep -qE "^[0-9.]+ [KMG]iB resident: [0-9.]+ [KMG]iB $2" ||
    fault "verdict: $(head -n 1 out)"
}

test="a program that leaks"
begin "$victim" leak
expect_verdict live live
tool why --json "$process"
expect_jq '.live_blocks >= 400000 and .live_blocks < 400100'
expect_jq '(.live_sizes | max_by(.bytes)) |
           .count >= 399000 and .up_to == 96'

test="the six numbers that people graph"
tool why --prometheus "$process"
expect_status 0
for name in allocated active metadata resident mapped retained; do
  [ "$(grep -c "^ptm_${name}_bytes{pid=\"$process\",name=\"cli_victim\"} [0-9]*$" out)" = 1 ] ||
    fault "no $name"
done

test="the same process by its core file"
gcore -o core "$process" >/dev/null 2>&1
tool why --json --core "core.$process"
expect_status 0
expect_jq '.cause == "live" and .live_blocks >= 400000 and .tears == 0'
expect_jq '([.rows[]] | add) == .resident'
rm -f "core.$process"
stop

# One of sixteen lives, so each page of a run has several that do, and room for
# fifteen times as many.
test="one that is fragmented inside of runs"
begin "$victim" fragmented
expect_verdict pinned "free but pinned by survivors in runs of 1 arena"
grep -q 'but small blocks that live on are spread over its runs' out ||
  fault "advice: $(tail -n 4 out)"
tool why --json "$process"
expect_jq '.live_blocks >= 62500 and .live_blocks < 62600'
expect_jq '.rows.pinned_in_runs > 10 * .rows.live and
           .rows.pinned_in_runs > 100 * .rows.pinned'
expect_jq '[.runs[] | select(.size | IN(80, 96, 112, 128)) |
           select(.free > 12 * .live)] | length == 4'
expect_jq '([.runs[].live] | add) <= .rows.live'

test="the same by its core file"
gcore -o core "$process" >/dev/null 2>&1
tool why --json --core "core.$process"
expect_status 0
expect_jq '.cause == "pinned" and .tears == 0 and
           .rows.pinned_in_runs > 10 * .rows.live'
rm -f "core.$process"
stop

test="one that is fragmented between chunks"
begin "$victim" chunks
expect_verdict pinned "free but pinned by survivors in 1 arena"
stop

test="one whose heap is closed by what is as large as a block"
begin "$victim" closed
expect_account
expect_jq '.arenas[0].heaps == 2 and .rows.live > 80e6 and .rows.torn == 0'
gcore -o core "$process" >/dev/null 2>&1
tool why --json --core "core.$process"
expect_status 0
expect_jq '.tears == 0'
rm -f "core.$process"
stop

test="one whose heap is hardly larger than its header"
begin "$victim" trimmed
expect_account
expect_jq '.arenas[0].heaps == 1 and .arenas[0].committed < 40000 and
           .live_blocks >= 1'
stop

test="one that is fragmented, without runs"
PTM_OPTIONS=run_max=0 begin "$victim" fragmented
expect_verdict pinned "free but pinned by survivors in 1 arena"
tool why --json "$process"
expect_jq '.rows.pinned_in_runs == 0 and .runs == []'
stop

# In a large process the objects of runs are not looked at, but the lists of what
# is cached: both say the same of each of these.
heaps='{arenas, runs, threads, live_blocks, live_sizes}'
for role in fragmented small threads; do
  test="$role, small and large"
  PTM_OPTIONS=decay=1000g begin "$victim" $role
  wait_for all_are_asleep
  tool why --json "$process"
  jq -S "$heaps" out >small
  expect_jq '[.runs[].cached] | add > 0'
  echo >&9
  wait_for grep -q large said
  wait_for all_are_asleep
  expect_account
  expect_jq '.resident > 1024 * 1024 * 1024'
  jq -S "$heaps" out | diff small - >&2 || fault "the account is another"
  stop
done

# What is free would go back by itself, at some time.
test="one that is idle after a peak"
PTM_OPTIONS=decay=1000g,trim_threshold=1g begin "$victim" peak
expect_verdict free "purgeable now"
stop

test="one in hardened mode, and one whose every block is guarded at first"
PTM_OPTIONS=hardened begin "$victim" small
expect_account
expect_jq '.rows.quarantine > 100000 and .rows.thread_caches == 0'
stop
PTM_OPTIONS=guard=1 begin "$victim" small
expect_account
expect_jq '.rows.guarded > 0 and .rows.guarded <= 16 * 4096'
stop

# With a helper, most of that goes back when they have slept for a second.
test="a server of 200 threads"
PTM_OPTIONS=helper=0 begin "$victim" threads
wait_for all_are_asleep
expect_verdict caches "freed but cached for 201 threads, all asleep"
tool why --json "$process"
expect_jq '(.threads | length) == 201 and all(.threads[]; .asleep)'
expect_jq '([.threads[].cached] | add) >= .rows.thread_caches'
stop

test="a server of 200 threads that have slept for a while"
begin "$victim" threads
sleepers_have_little() {
  tool why --json "$process"
  jq -e '.rows.thread_caches < 8 * 1024 * 1024' out >/dev/null
}
wait_for sleepers_have_little
expect_account
stop

test="one that never stops"
begin "$victim" busy
expect_each_time '(.threads | length) == 5'
stop

# What is freed while the account is taken is in no list that it has read.
test="one that never stops, and has no other thread to send blocks to"
begin "$victim" alone
expect_each_time '(.threads | length) == 1 and
  .rows.under_way == 0 and .rows.thread_caches > 0'
stop

test="one whose blocks wait for a thread that does not come"
begin "$victim" sender
expect_account
expect_jq '.rows.under_way > 200000'
stop

test="python3, whose objects malloc does not see, or sees"
program='x = [str(i) * 9 for i in range(300000)]; print("ready", flush=True); input()'
begin "$python3" -c "$program"
expect_verdict "not malloc's" "not malloc's"
stop
PYTHONMALLOC=malloc begin "$python3" -c "$program"
expect_verdict live live
stop

test="sqlite3"
launch sqlite3
cat >&9 <<'SQL'
create table t(a, b);
with recursive n(i) as (values(1) union all select i + 1 from n where i < 200000)
insert into t select i, hex(randomblob(60)) from n;
.shell echo ready >>said
SQL
wait_for grep -q ready said
expect_verdict live live
stop

test="redis"
socket=$folder/socket
"$tool" run redis-server --port 0 --unixsocket "$socket" --save '' \
  --dir "$folder" >said 2>&1 &
process=$!
children+=("$process")
wait_for redis-cli -s "$socket" ping
for i in {1..200000}; do
  echo "set key:$i $i:a-value-that-is-neither-long-nor-short"
done | redis-cli -s "$socket" --pipe >/dev/null
expect_verdict live live
stop

test="what cannot be read"
tool why $$
expect_status 125
expect err "ptm: process $$ (why.sh): it does not run under ptm"
tool why 999999999
expect_refusal 125 "process 999999999: there is no such process"
tool why one
expect_refusal 125 "why: 'one' is not the number of a process"
tool why
expect_refusal 125 "why: no process; see ptm --help"
tool why --fast 1
expect_refusal 125 "why: unknown option '--fast'; see ptm --help"
echo nonsense >nonsense
tool why --core nonsense
expect_refusal 125 "nonsense: not a core file"

finish
