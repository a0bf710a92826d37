// map_page.js PAGE ACCOUNT: the script in a page of ptm map unpacks what it was
// given, and that is what ptm why --json says. A page is looked at by a browser
// (tests/cli/map_browser.sh); here only what it needs of one is imitated.
'use strict';
const fs = require('fs');
const [page, account] = process.argv.slice(2).map(
    path => fs.readFileSync(path, 'utf8'));
const script = page.match(/<script>([^]*)<\/script>/)[1];
const rows = JSON.parse(account).rows;

const drawn = [];
const context = {
  scale() {}, fillText() {},
  fillRect(x, y, width, height) { drawn.push([x, y, width, height]); },
};
const listeners = {};
const element = {
  style: {}, clientWidth: 1000, offsetWidth: 100,
  getContext: () => context,
  addEventListener: (name, call) => { listeners[name] = call; },
  getBoundingClientRect: () => ({left: 0, top: 0, width: 1000}),
  setPointerCapture() {},
};
const window = {devicePixelRatio: 1};
new Function('window', 'document', 'getComputedStyle', 'addEventListener',
             'matchMedia', 'innerWidth', script)(
    window, {getElementById: () => element, documentElement: element},
    () => ({getPropertyValue: name => name}), () => {},
    () => ({addEventListener() {}}), 1200);

function must(condition, what) {
  if (!condition) {
    console.error('map_page: not so: ' + what);
    process.exitCode = 1;
  }
}
const {heaps, zoom, tell} = window.ptmMap;
must(heaps.length > 0, 'there are heaps');
let live = 0, resident = 0;
for (const heap of heaps) {
  must(heap.w === 1, 'all blocks of a small process are there');
  must(heap.detail === heap.size, 'the blocks fill the heap');
  heap.blocks.forEach((number, i) => {
    if (number % 6 === 0) live += Math.floor(number / 6) * 16;
  });
  resident += heap.pages.filter(one => one.present).length * 4096;
  heap.pages.forEach(one => must(one.shares.reduce((a, b) => a + b) <= 16,
                                 'no page holds more than itself'));
}
must(live >= rows.live && live < rows.live * 1.1, 'the live blocks: ' + live);
const heapRows = ['live', 'thread_caches', 'depots', 'under_way', 'quarantine',
                  'pinned', 'pinned_in_runs', 'pinned_by_caches', 'free_pages', 'free_at_top', 'torn'];
const sum = heapRows.reduce((total, row) => total + rows[row], 0);
// A heap's header, which is metadata, lies in its first pages.
must(resident >= sum && resident < sum + ((1 << 15) + 256) * heaps.length,
     `the resident pages: ${resident}, ${sum}`);
must(drawn.length > 100, 'something is drawn');
must(/^page 0x[0-9a-f]+000: .*\n.*chunk 0x[0-9a-f]+: \d+ bytes, /.test(
         tell(0.3, 20)), 'the tooltip: ' + tell(0.3, 20));
must(tell(0.3, 10000) === null, 'no tooltip where nothing is');
drawn.length = 0;
for (let i = 0; i < 30; i++) zoom(0.001, 0.5);
must(drawn.length > 100, 'something is drawn from near');
listeners.dblclick();
