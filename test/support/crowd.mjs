// Opens as many TCP connections to a host and port as asked for, has a process that was stopped go on (its number is the
// last argument), and says how many still answer 1.2 s later and after how many milliseconds each of the others ended.
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [host, port, count, pid] = process.argv.slice(2);
const all = Array.from({ length: Number(count) }, () => {
  const each = { ended: Number.NaN, heard: 0, socket: connect(Number(port), host) };
  each.socket
    .on('data', (chunk) => {
      each.heard += chunk.length;
    })
    .on('error', () => undefined)
    .on('close', () => {
      each.ended = performance.now();
    });
  return each;
});
await Promise.all(all.map(({ socket }) => once(socket, 'connect')));
await sleep(100);
const begun = performance.now();
process.kill(Number(pid), 'SIGCONT');
await sleep(1000);
const before = all.map(({ heard }) => heard);
for (const { socket } of all) if (!socket.destroyed) socket.write('still here');
await sleep(200);
const alive = all.filter(({ heard }, index) => heard > (before[index] ?? 0)).length;
const ends = all.flatMap(({ ended }) => (Number.isNaN(ended) ? [] : [Math.round(ended - begun)]));
process.stdout.write(JSON.stringify({ alive, ends }));
process.exit(0);
