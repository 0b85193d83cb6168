// The full cycle of BullMQ: one process adds tasks, works on them and completes them. Prints one JSON object.
//
//   node bench.mjs --socket PATH [--batch 1] [--seconds 4] [--warmup-seconds 1]
//
// Batch 1: 50 adds in flight and a worker of concurrency 50. Larger batches: addBulk(batch) and concurrency
// 200. These settings were the fastest here. Payloads have 200 bytes. Finished jobs are removed at once,
// which is the cheapest mode of BullMQ.
import { parseArgs } from 'node:util';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const { values } = parseArgs({
  options: {
    socket: { type: 'string' },
    batch: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '4' },
    'warmup-seconds': { type: 'string', default: '1' },
  },
});
const [batch, seconds, warmup] = [values.batch, values.seconds, values['warmup-seconds']].map(Number);
const PRODUCERS = batch === 1 ? 50 : 4;
const CONCURRENCY = batch === 1 ? 50 : 200;
// Producers are at most this far ahead, so that the backlog stays short.
const AHEAD_MAX = batch === 1 ? 1_000 : 4_000;

const connect = () => new Redis({ path: values.socket, maxRetriesPerRequest: null });
const connections = [connect(), connect()];
const name = `bench-${process.pid}`;
const queue = new Queue(name, { connection: connections[0], defaultJobOptions: { removeOnComplete: true } });
const payload = { pad: 'x'.repeat(200 - JSON.stringify({ pad: '' }).length) };

let [added, done, running] = [0, 0, true];
const worker = new Worker(name, async () => { done += 1; }, { connection: connections[1], concurrency: CONCURRENCY });
worker.on('error', fail);
await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);

async function produce() {
  while (running) {
    if (added - done >= AHEAD_MAX) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      continue;
    }
    added += batch;
    if (batch === 1) {
      await queue.add('bench', payload);
    } else {
      await queue.addBulk(Array.from({ length: batch }, () => ({ name: 'bench', data: payload })));
    }
  }
}

function fail(error) {
  console.error(error.message);
  process.exit(1);
}

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time * 1000));
const producers = Promise.all(Array.from({ length: PRODUCERS }, produce));
producers.catch(fail);
await sleep(warmup);
const [before, started] = [done, performance.now()];
await sleep(seconds);
const [tasks, elapsed] = [done - before, (performance.now() - started) / 1000];
running = false;
await producers;
await worker.close();
await queue.obliterate({ force: true });
await queue.close();
connections.forEach((connection) => connection.disconnect());
console.log(JSON.stringify({
  mode: 'cycle', batch, concurrency: CONCURRENCY, elapsed_seconds: elapsed, tasks, tasks_per_second: tasks / elapsed,
}));
