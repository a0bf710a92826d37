#!/bin/bash
# map_browser.sh TOOL VICTIM [FOLDER]: a page of ptm map in a real browser, in
# light and in dark. Wants Debian's chromium, which nothing else here does, so
# it is no part of ./check. Leaves the two pictures in FOLDER to be looked at.
set -eu
tool=$(realpath "$1") victim=$(realpath "$2")
folder=${3:-$(mktemp -d)}
cd "$folder"

rm -f input said
mkfifo input
"$tool" run "$victim" small <input >said &
process=$!
exec 9>input
for _ in {1..600}; do
  grep -q ready said && break
  sleep 0.1
done
"$tool" map "$process" -o page.html
exec 9>&-
wait "$process"

# What the page has made of itself, written where --dump-dom shows it.
sed 's|^</script>$|document.title = "probe " + [heaps.length, tell(0.3, 20),\
  document.querySelectorAll("td").length].join("; ");\n&|' page.html >probe.html
browse() {
  chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars \
    --window-size=1200,640 --virtual-time-budget=4000 "$@" 2>/dev/null
}
browse --dump-dom "file://$PWD/probe.html" |
  tr '\n' ' ' | grep -oE '<title>probe [1-4]; page 0x[0-9a-f]+:.*; [1-9][0-9]+</title>'
browse --screenshot=light.png "file://$PWD/page.html"
browse --blink-settings=preferredColorScheme=0 --screenshot=dark.png \
  "file://$PWD/page.html"
cmp -s light.png dark.png && { echo "light and dark look alike" >&2; exit 1; }
echo "$PWD: light.png dark.png"
