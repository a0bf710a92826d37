#!/bin/bash
# ptm options: what is in force, and where it comes from.
. "$(dirname "$0")/support.sh"

# expect_line FILE LINE: the file has just this line among others.
expect_line() {
  grep -qxF "$2" "$1" || fault "no line '$2' in $1: $(cat "$1")"
}

test="alone it tells of itself, on stdout"
tool options
expect_status 0
expect err ''
expect_line out 'ptm:   mmap_max = 65536 (default)'
head -n 1 out | grep -q "^ptm: options of process [0-9]*, $tool\$" ||
  fault "heading: $(head -n 1 out)"

test="what the user has set is told, each with its place"
PTM_OPTIONS=top_pad=1k MALLOC_ARENA_MAX=3 \
  GLIBC_TUNABLES=glibc.malloc.mmap_max=5 tool options
expect_status 0
expect_line out 'ptm:   top_pad = 1024 (PTM_OPTIONS)'
expect_line out 'ptm:   arena_max = 3 (MALLOC_ARENA_MAX)'
expect_line out 'ptm:   mmap_max = 5 (GLIBC_TUNABLES)'

test="a command is run, and its options are told on stderr"
PTM_OPTIONS=top_pad=1k, tool options -- echo done
expect_status 0
expect out done
expect_line err 'ptm:   top_pad = 1024 (PTM_OPTIONS)'
head -n 1 err | grep -q "^ptm: options of process [0-9]*, /.*echo\$" ||
  fault "heading: $(head -n 1 err)"

test="a typing error is named first"
PTM_OPTIONS=top_pd=1k tool options
expect_line out "ptm: PTM_OPTIONS: unknown option 'top_pd'"

# In a namespace where /etc is ours; where there may be none, nothing is shown.
test="the administrator's file is read, and sections are for their programs"
cat >ptm.conf <<END
top_pad = 7, mmap_max=8
[echo]
mmap_max=9
[other]
arena_max=3
END
with_conf() {
  # shellcheck disable=SC2016 # the inner shell's
  unshare -rm sh -c 'mount -t tmpfs none /etc && cp ptm.conf /etc && exec "$@"' \
    with_conf "$@"
}
if with_conf true 2>/dev/null; then
  PTM_OPTIONS=top_pad=6 with_conf "$tool" options >out
  expect_line out 'ptm:   top_pad = 6 (PTM_OPTIONS)'
  expect_line out 'ptm:   mmap_max = 8 (/etc/ptm.conf line 1)'
  expect_line out 'ptm:   arena_max = 0 (default)'
  with_conf "$tool" options echo 2>err >/dev/null
  expect_line err 'ptm:   mmap_max = 9 (/etc/ptm.conf line 3)'
fi

test="it has no options of its own, and wants a command behind --"
tool options --all
expect_refusal 125 "options: unknown option '--all'; see ptm --help"
tool options --
expect_refusal 125 "options: no command; see ptm --help"

finish
