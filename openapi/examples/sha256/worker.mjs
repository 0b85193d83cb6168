// A worker for Node's own fetch: the SHA-256 of the file that each task names, ten at once, with heartbeats.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const queue = process.argv[2] ?? 'sha256';
const url = process.env.LEASEQ_URL ?? 'http://127.0.0.1:8080';

// Repeats while the service is away: every one of these calls is safe to repeat.
async function post(path, body) {
  const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  for (;;) {
    // A response may also break off in its middle.
    const read = async (response) => [408, 429, 503, 504].includes(response.status) ? null : response.json();
    const result = await fetch(url + path, request).then(read).catch(() => null);
    if (result) return result;
    await sleep(1000);
  }
}

async function work(task) {
  console.log(task.id, task.grant);
  const lease = `/v1/leases/${task.lease_id}`;
  const heartbeat = setInterval(() => post(`${lease}/extend`, {}), (task.lease_seconds * 1000) / 3);
  try {
    const digest = createHash('sha256').update(await readFile(task.payload)).digest('hex');
    await post(`${lease}/ack`, { result: digest });
  } catch ({ name, message, stack }) {
    await post(`${lease}/nack`, { error: { type: name, message, stack } });
  } finally {
    clearInterval(heartbeat);
  }
}

for (;;) {
  const { tasks } = await post(`/v1/queues/${queue}/lease`, { worker: 'node', max_tasks: 10 });
  await Promise.all(tasks.map(work));
}
