# shellcheck shell=bash
# What scripts share that must not hang: who works in their folder, where each of
# those stands, and an end to what comes to none.

# working_in FOLDER: the processes there, which the script has started: servers
# that a failed function left behind, and their workers.
working_in() {
  local process
  for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd") in
    "$1" | "$1"/*) echo "${process#/proc/}" ;;
    esac
  done
}

# show_stacks PROCESS...: where each thread stands.
show_stacks() {
  local process
  for process; do
    echo "-- $process, child of $(ps -o ppid= -p "$process"):" \
      "$(tr '\0' ' ' <"/proc/$process/cmdline" | cut -c 1-200)"
    timeout 30 gdb -nx -batch -p "$process" -ex "thread apply all bt 16" |
      grep -E '^(#|Thread)' || :
  done
}

# watch_over FOLDER SECONDS WHAT: what is not ended then is told about while it
# can still be looked at, and ended; before CTest or `all` lose patience, who
# know less of it. To be started in another folder and in the background, with
# what is told going to 3; the script itself, whose folder it may be, is left to
# notice what has become of its children.
watch_over() {
  local processes
  trap 'kill $!; exit' TERM
  sleep "$2" &
  wait
  processes=$(working_in "$1" | grep -vx "$$" || :)
  {
    echo "$3: not ended in $2 seconds"
    # shellcheck disable=SC2086 # one word a process
    show_stacks $processes
  } >&3
  # shellcheck disable=SC2086
  kill -KILL $processes
}
