// The work of programs/node: prints digests only, all of them determined.
'use strict';
const {
  Worker, isMainThread, parentPort, workerData,
} = require('worker_threads');
const { execFileSync } = require('child_process');
const { createHash, createCipheriv, pbkdf2Sync } = require('crypto');
const fs = require('fs');
const zlib = require('zlib');

const digest = (data) => createHash('sha256').update(data).digest('hex');
const say = (name, data) => console.log(name, digest(data));

function randomFrom(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

// Buffers beyond the pool are malloc's; they live for a random while.
function churnBuffers(seed, steps) {
  const random = randomFrom(seed);
  const kept = new Array(64).fill(null);
  const hash = createHash('sha256');
  for (let step = 0; step < steps; step++) {
    const slot = random(kept.length);
    if (kept[slot]) hash.update(kept[slot].subarray(0, 64));
    const size = 1 + random(random(20) ? 8000 : 600000);
    kept[slot] = Buffer.alloc(size, step & 255);
  }
  return hash.digest('hex');
}

function workerMain() {
  const { number } = workerData;
  const passed = Buffer.from(new ArrayBuffer(300000 + number * 1000));
  passed.fill(number);
  parentPort.postMessage(
    { number, sum: churnBuffers(number, 4000), bytes: passed.buffer },
    [passed.buffer]);
}

function runWorker(number) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: { number } });
    let answer;
    worker.on('message', (message) => { answer = message; });
    worker.on('error', reject);
    worker.on('exit', () => resolve(answer));
  });
}

async function workersPassBuffers() {
  for (const round of [0, 1]) {
    const numbers = [1, 2, 3, 4].map((n) => n + 4 * round);
    for (const answer of await Promise.all(numbers.map(runWorker))) {
      console.log('worker', answer.number, answer.sum,
        digest(Buffer.from(answer.bytes)));
    }
  }
}

function jsonGoesThere() {
  const random = randomFrom(7);
  const rows = Array.from({ length: 60000 }, (_, id) => ({
    id, name: `name ${random(1e6)}`, tags: [random(9), random(9)],
    text: 'x'.repeat(random(80)),
  }));
  const text = JSON.stringify(rows);
  say('json', text);
  say('json again', JSON.stringify(JSON.parse(text), null, 1));
  return text;
}

function compress(text) {
  for (const [pack, unpack] of [['gzipSync', 'gunzipSync'],
    ['brotliCompressSync', 'brotliDecompressSync']]) {
    const level = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } };
    const packed = zlib[pack](text, pack === 'gzipSync' ? {} : level);
    say(pack, packed);
    say(unpack, zlib[unpack](packed));
  }
}

async function poolThreadsWork(text) {
  const gzip = (part) => new Promise((resolve, reject) => zlib.gzip(part,
    (error, data) => (error ? reject(error) : resolve(data))));
  const parts = [];
  for (let at = 0; at < text.length; at += 400000) {
    parts.push(text.slice(at, at + 400000));
  }
  for (const part of await Promise.all(parts.map(gzip))) say('part', part);
  await Promise.all(parts.map((part, i) =>
    fs.promises.writeFile(`part${i}`, part)));
  const back = await Promise.all(parts.map((_, i) =>
    fs.promises.readFile(`part${i}`)));
  say('files', Buffer.concat(back));
}

function encrypt(text) {
  const key = pbkdf2Sync('secret', 'salt', 1000, 32, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', key, Buffer.alloc(16));
  say('cipher', Buffer.concat([cipher.update(text), cipher.final()]));
}

async function main() {
  const text = jsonGoesThere();
  compress(text);
  encrypt(text);
  await poolThreadsWork(text);
  await workersPassBuffers();
  console.log('main', churnBuffers(99, 8000));
  say('child', execFileSync(process.execPath,
    ['-e', 'console.log("y".repeat(3e6))'], { maxBuffer: 1e7 }));
}

if (isMainThread) main();
else workerMain();
