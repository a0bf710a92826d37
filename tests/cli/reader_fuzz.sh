#!/bin/bash
# reader_fuzz.sh TOOL VICTIM FUZZER ROUNDS [SEED]: the reader of ptm why looks
# at so many damaged images of a small process. The long run:
#
#   b=build; tests/cli/reader_fuzz.sh $b/ptm $b/tests/cli/cli_victim \
#     $b/tests/cli/cli_reader_fuzz 10000
set -eu
tool=$1 victim=$2 fuzzer=$3 rounds=$4 seed=${5:-1}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/input"
"$tool" run "$victim" small <"$folder/input" >"$folder/said" &
process=$!
exec 9>"$folder/input"
for _ in {1..600}; do
  grep -q ready "$folder/said" && break
  sleep 0.1
done
"$fuzzer" "$process" "$rounds" "$seed"
exec 9>&-
wait "$process"
