// Loaded into a daemon under test (NODE_OPTIONS=--import): from one SIGWINCH to the next it takes how long each turn of
// the event loop has kept the processor, and writes the longest turns into the file that TURNS names.
import { openSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';

const schedule = openSync('/proc/thread-self/schedstat', 'r');
const text = Buffer.alloc(80);
let turns;
let collections = [];
let from = 0;
let before = 0;

/** Processor time of this thread so far, in milliseconds: what other programs take is not in it. */
function worked() {
  // Asked for the whole process the kernel brings the thread's up to date: else that is up to a tick old.
  process.cpuUsage();
  const length = readSync(schedule, text, 0, text.length, 0);
  return Number(text.toString('latin1', 0, length).split(' ')[0]) / 1e6;
}

function look() {
  if (turns === undefined) return;
  const [to, now] = [performance.now(), worked()];
  if (now - before > 1) turns.push({ from, to, worked: now - before });
  [from, before] = [performance.now(), worked()];
  setImmediate(look);
}

const observer = new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries())
    collections.push({ from: startTime, to: startTime + duration });
});

process.on('SIGWINCH', () => {
  if (turns === undefined) {
    turns = [];
    collections = [];
    observer.observe({ entryTypes: ['gc'] });
    [from, before] = [performance.now(), worked()];
    look();
    return;
  }
  const taken = turns;
  turns = undefined;
  // What the collector did last is told a little later.
  setTimeout(() => {
    observer.disconnect();
    const told = taken.map((turn) => ({
      worked: turn.worked,
      stood: turn.to - turn.from,
      collected: collections.some((each) => each.from < turn.to && turn.from < each.to),
    }));
    writeFileSync(`${process.env.TURNS}.new`, JSON.stringify(told));
    renameSync(`${process.env.TURNS}.new`, process.env.TURNS);
  }, 50);
});
