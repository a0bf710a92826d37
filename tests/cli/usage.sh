#!/bin/bash
# Help, version, and every sentence with which the tool refuses its arguments.
. "$(dirname "$0")/support.sh"

test="version is the project's"
tool --version
expect_status 0
expect out "ptm $version"

test="help names each subcommand, from wherever it is asked for"
tool --help
expect_status 0
expect err ''
mv out help
for word in 'ptm run' 'ptm compare' 'ptm why' 'ptm map' 'ptm top' 'ptm record' 'ptm replay' PTM_LIBRARY 'Exit status'; do
  grep -qF -e "$word" help || fault "no '$word'"
done
for ask in -h 'run --help' 'compare -h'; do
  # shellcheck disable=SC2086 # words
  tool $ask
  expect_status 0
  expect out "$(cat help)"
done

test="help beyond the command's name is the command's"
tool run sh -c 'echo "$@"' sh --help
expect out --help

test="subcommands"
tool
expect_refusal 125 "no subcommand; see ptm --help"
tool frobnicate
expect_refusal 125 "unknown subcommand 'frobnicate'; see ptm --help"

for subcommand in run compare; do
  test="$subcommand wants a command"
  tool $subcommand
  expect_refusal 125 "$subcommand: no command; see ptm --help"
  tool $subcommand --
  expect_refusal 125 "$subcommand: no command; see ptm --help"
  tool $subcommand --fast true
  expect_refusal 125 "$subcommand: unknown option '--fast'; see ptm --help"

  test="$subcommand and commands that cannot be run"
  touch not-executable
  printf '\177ELF' >nonsense && chmod +x nonsense
  mkdir -p folder/hidden
  tool $subcommand no-such-command
  expect_refusal 127 "no-such-command: command not found"
  tool $subcommand ./no-such-command
  expect_refusal 127 "./no-such-command: command not found"
  tool $subcommand ./not-executable
  expect_refusal 126 "./not-executable: Permission denied"
  tool $subcommand ./folder
  expect_refusal 126 "./folder: Permission denied"
  PATH=$folder:$PATH tool $subcommand not-executable
  expect_refusal 126 "not-executable: Permission denied"

  test="$subcommand and commands that preloading does not reach"
  tool $subcommand "$static"
  expect_refusal 126 "$static cannot run under ptm: it is statically linked"
  for byte in 4 18; do # of the word size and of the processor
    cp /bin/true foreign
    printf '\001' | dd of=foreign bs=1 seek=$byte conv=notrunc status=none
    tool $subcommand ./foreign
    expect_refusal 126 "./foreign cannot run under ptm: it is for another architecture"
  done
  privileged=/usr/bin/su
  if [ "$(id -u)" = 0 ]; then # to whom root's own programs give nothing
    privileged=$folder/privileged
    cp --remove-destination /bin/true privileged && chmod u+s privileged
    tool $subcommand "$privileged"
    expect_status 0
    chown nobody privileged && chmod u+s privileged
  fi
  tool $subcommand "$privileged"
  expect_refusal 126 "$privileged cannot run under ptm: it is set-user-ID or set-group-ID"

  test="$subcommand and libraries that cannot be preloaded"
  PTM_LIBRARY=/no/such.so tool $subcommand true
  expect_refusal 125 "cannot find the library /no/such.so: No such file or directory"
  for file in "$folder/nonsense" "$folder/foreign" "$static"; do
    PTM_LIBRARY=$file tool $subcommand true
    expect_refusal 125 "cannot preload $file: not a shared library for this machine"
  done
  for place in 'a place' 'a:place'; do
    mkdir -p "$place"
    cp "$library" "$place/libptm.so"
    PTM_LIBRARY=$place/libptm.so tool $subcommand true
    expect_refusal 125 "cannot preload $folder/$place/libptm.so: its path has a space or a colon"
  done

  test="$subcommand and a tool that lies alone"
  mkdir -p alone
  cp "$tool" alone/ptm
  status=0
  alone/ptm $subcommand true >out 2>err || status=$?
  expect_refusal 125 "cannot find the library $folder/alone/libptm.so: No such file or directory"
done

test="compare -n"
for runs in 0 -1 1001 3x '' many; do
  tool compare -n "$runs" true
  expect_refusal 125 "compare: -n takes a number from 1 to 1000, not '$runs'"
done
tool compare -n
expect_refusal 125 "compare: -n takes a number from 1 to 1000, not ''"

finish
