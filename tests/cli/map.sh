#!/bin/bash
# ptm map: the page and the picture hold what ptm why says.
. "$(dirname "$0")/support.sh"
tests=$(realpath "$(dirname "$0")")

# Nothing goes back between two looks.
PTM_OPTIONS=decay=1000g begin "$(realpath "$5")" small

test="the page for a browser"
tool why --json "$process"
mv out account
tool map "$process" -o page.html
expect_status 0
expect out ''
node "$tests/map_page.js" page.html account || fault "see above"
! grep -qE '@(NAME|TABLE|HEAPS)@|https?:|src=|@import|url\(' page.html ||
  fault "it is not complete, or asks for something else"
grep -qF "cli_victim, process $process" page.html || fault "no name"
grep -q '<td>live: blocks that the program has</td><td>[0-9]*</td>' page.html ||
  fault "no numbers"

test="the picture for documents"
tool map --svg "$process"
expect_status 0
/usr/bin/python3 - <<'PYTHON' || fault "not a picture"
import xml.dom.minidom
picture = xml.dom.minidom.parse("out")
bars = [r.getAttribute("class") for r in picture.getElementsByTagName("rect")]
assert bars.count("heap") >= 2 # one is in the legend
assert min(bars.count(kind) for kind in ("live", "cached", "free")) > 10
PYTHON

test="options"
tool map --fast 1
expect_refusal 125 "map: unknown option '--fast'; see ptm --help"
tool map 1 -o
expect_refusal 125 "map: -o takes a file; see ptm --help"
tool map 1 2 3
expect_refusal 125 "map: one process at a time; see ptm --help"
tool map "$process" -o no/such/folder
expect_refusal 125 "no/such/folder: No such file or directory"
stop

finish
