// The work of programs/node: buffers.js COUNT
'use strict';
const { createHash } = require('crypto');
const zlib = require('zlib');

const count = Number(process.argv[2]);
const kept = new Map();
const hash = createHash('sha256');
let state = 1;

function random(below) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return (state >>> 8) % below;
}

for (let i = 0; i < count; i++) {
  const text = JSON.stringify(Array.from({ length: 40 }, (_, k) => (
    { id: i * k, name: `name ${random(1000)}`, list: [k, i, random(9)] })));
  const bytes = Buffer.from(text);
  const packed = zlib.deflateSync(bytes, { level: 1 });
  kept.set(random(500), Buffer.concat([packed, Buffer.alloc(random(20000))]));
  if (zlib.inflateSync(packed).compare(bytes) !== 0) {
    throw new Error('inflate differs');
  }
  hash.update(bytes);
}
for (const buffer of kept.values()) {
  hash.update(buffer.subarray(0, 100));
}
console.log(kept.size, hash.digest('hex'));
