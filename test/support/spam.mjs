// Opens as many TCP connections to a host and port as asked for, all at once, and says what became of them: how many
// were made, how many still answer at the end, and how long each of the others lived, in milliseconds.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [host, port, count, wait] = process.argv.slice(2);
const made = [];
for (let index = 0; index < Number(count); index += 1) {
  const each = { begun: Number.NaN, ended: Number.NaN, heard: 0, socket: connect(Number(port), host) };
  each.socket
    .on('connect', () => {
      each.begun = performance.now();
      made.push(each);
    })
    .on('data', (chunk) => {
      each.heard += chunk.length;
    })
    .on('error', () => undefined)
    .on('close', () => {
      each.ended = performance.now();
    });
  if (index % 50 === 49) await sleep(1);
}
await sleep(Number(wait));
const before = made.map(({ heard }) => heard);
for (const { socket } of made) if (!socket.destroyed) socket.write('still here');
await sleep(1000);
const alive = made.filter(({ heard }, index) => heard > (before[index] ?? 0)).length;
const lives = made.flatMap(({ begun, ended }) => (Number.isNaN(ended) ? [] : [Math.round(ended - begun)]));
process.stdout.write(JSON.stringify({ made: made.length, alive, lives }));
process.exit(0);
