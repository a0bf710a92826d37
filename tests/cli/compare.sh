#!/bin/bash
# ptm compare: what is run, in which order, what the user sees of it, and that
# the numbers in the table are the command's. Times are only ever compared with
# a least that the command cannot undercut, however fast the machine.
. "$(dirname "$0")/support.sh"

# The number in a row and column of the table in err, rows by their full name.
cell() {
  awk -v row="$1" -v column="$2" \
    'substr($0, 1, 21) ~ "^" row " *$" { $0 = substr($0, 22); print $column }' err
}

expect_cells() {
  local column=$1 condition=$2 row value
  for row in system 'system again' ptm; do
    value=$(cell "$row" "$column")
    awk "BEGIN { v = \"$value\"; exit !(v ~ /^[0-9.]+\$/ && (v + 0) $condition) }" ||
      fault "column $column of row '$row' is '$value', wanted $condition: $(cat err)"
  done
}

test="output and errors are shown once, and the table on stderr"
tool compare -n 2 sh -c 'echo output; echo errors >&2'
expect_status 0
expect out output
number='+[0-9]+\.[0-9]'
shape=(
  '^errors$'
  '^least of 2  +wall s  +cpu s  +peak MiB  +page faults$'
  "^system  $number{3} $number{3} $number +[0-9]+$"
  "^system again  $number{3} $number{3} $number +[0-9]+$"
  "^ptm  $number{3} $number{3} $number +[0-9]+$"
  "^ptm / system  ( $number{2}| +-){4}$"
  "^noise: again / system( $number{2}| +-){4}$"
)
mapfile -t lines <err
[ ${#lines[@]} = ${#shape[@]} ] || fault "${#lines[@]} lines: $(cat err)"
for i in "${!shape[@]}"; do
  [[ ${lines[i]-} =~ ${shape[i]} ]] || fault "line '${lines[i]-}'"
done

test="one run to look at, then rounds that each start one row further"
tool compare -n 4 sh -c 'echo "${LD_PRELOAD:-system}" >>order'
expect_status 0
sed "s|^$library\$|ptm|" order | tr '\n' ' ' | sed 's/ $/\n/' >runs
expect runs "system system system ptm system ptm system ptm system system system system ptm"

test="five rounds if none are asked for"
tool compare -- sh -c 'echo >>count'
expect_status 0
[ "$(wc -l <count)" = 16 ] || fault "$(wc -l <count) runs"

test="the command finds no input"
status=0
echo input | "$tool" compare -n 1 cat >out 2>err || status=$?
expect_status 0
expect out ''

test="no run finds /dev/null as its output"
tool compare -n 1 sh -c '[ ! /proc/self/fd/1 -ef /dev/null ] && echo >>alive'
expect_status 0
[ "$(wc -l <alive)" = 4 ] || fault "$(wc -l <alive) of 4 runs"

test="more output than a pipe holds"
tool compare -n 1 head -c 1000000 /dev/zero
expect_status 0
[ "$(wc -c <out)" = 1000000 ] || fault "$(wc -c <out) bytes shown"

test="what the command leaves running keeps nobody waiting"
"$tool" compare -n 1 sh -c '
  [ -e shown ] && { sleep 1000 & echo $! >>left; }
  touch shown' 2>&1 | cat >out
# shellcheck disable=SC2046 # words
kill $(cat left) || fault "the tool waited"

# The kernel's count of a peak is off by some dozen pages for each processor.
test="peak memory is the command's, and of its largest process"
big='$n = 60_000_000; $x = "x" x $n' # perl would fold a constant ahead of time
tool compare -n 1 perl -e 1
without=$(for row in system 'system again' ptm; do cell "$row" 3; done)
tool compare -n 1 perl -e "$big"
with=$(for row in system 'system again' ptm; do cell "$row" 3; done)
paste -d ' ' <(echo "$with") <(echo "$without") |
  awk '$1 - $2 < 54 || $1 - $2 > 61 { exit 1 }' || # 60,000,000 are 57.2 MiB
  fault "with and without 57.2 MiB: $with; $without"
tool compare -n 1 sh -c "perl -e '$big'; true"
expect_cells 3 '>= 57'
tool compare -n 1 true
expect_cells 3 '< 57'

test="the least of the runs counts, the first as well as the last"
for big_runs in '< 4' '>= 4'; do
  echo 0 >count
  tool compare -n 2 perl -e "
    open F, '+<', 'count'; \$run = <F>; seek F, 0, 0; print F \$run + 1; close F;
    if (\$run > 0 && \$run $big_runs) { $big }"
  expect_status 0
  expect_cells 3 '< 57'
done

test="times are the command's"
tool compare -n 1 perl -e '1 while (times)[0] < 0.3'
expect_cells 1 '>= 0.1' # fewer if it could use more than one processor
expect_cells 2 '>= 0.29'
tool compare -n 1 perl -e 'open F, "/dev/zero"; sysread F, $x, 1 << 20 while (times)[1] < 0.3'
expect_cells 2 '>= 0.29'
tool compare -n 1 perl -e 'select undef, undef, undef, 0.3'
expect_cells 1 '>= 0.3'

test="page faults and ratios"
tool compare -n 1 perl -e '$x = "x" x 5_000_000'
expect_cells 4 '>= 10'
for ratio in 'ptm / system:ptm' 'noise: again / system:system again'; do
  wanted=$(awk "BEGIN { printf \"%.2f\", $(cell "${ratio##*:}" 4) / $(cell system 4) }")
  [ "$(cell "${ratio%:*}" 4)" = "$wanted" ] || fault "not $wanted: $(cat err)"
done

under_ptm='case $LD_PRELOAD in *libptm.so*) '
test="a failure under ptm ends it, with the errors of just that run"
tool compare -n 2 sh -c "$under_ptm echo broken >&2; exit 3;; esac; echo fine >&2"
expect_status 3
expect err 'fine
broken
ptm: run 1 of 2 under ptm failed: exit status 3'
tool compare -n 2 sh -c "$under_ptm kill -ABRT \$\$;; esac"
expect_status 134
expect err 'ptm: run 1 of 2 under ptm failed: killed by signal 6 (Aborted)'

test="a failure under the system malloc"
tool compare -n 2 sh -c 'echo hello; exit 9'
expect_status 9
expect out hello
expect err 'ptm: the first run, under the system malloc, failed: exit status 9'
tool compare -n 2 sh -c 'echo >>tries; [ "$(wc -l <tries)" -lt 5 ]'
expect_status 1
expect err 'ptm: run 2 of 2 under the system malloc failed: exit status 1'

test="a parent that ignores its children"
status=0
(trap '' CHLD && exec "$tool" compare -n 1 true) >out 2>err || status=$?
expect_status 0

finish
