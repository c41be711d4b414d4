import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NFKNOCK } from '../support/daemon.ts';
import { createInitLab, type InitLab, SERVICE } from '../support/init-lab.ts';
import { type Child, startProcess } from '../support/process.ts';

/* The time of `nfknock init` may be over before it has come to the end of its own steps: a small machine, or a busy one. */

const LIMIT = 180_000;
const ROLLED_BACK = 60_000;

let lab: InitLab;
let run: Child;
let said = '';

beforeEach(async () => {
  lab = await createInitLab();
  said = '';
});
afterEach(() => {
  run?.kill('SIGKILL');
  lab?.close();
});

/** The shortest time that it takes is ten seconds. */
function start(confirmBy: string, within = '10s'): void {
  const flags = ['--yes', '--confirm-by', confirmBy, '--by', 'sequence', '--within', within];
  const line = [...lab.inside(), 'env', 'USER=ada', ...NFKNOCK, 'init', ...flags];
  run = startProcess(lab.net.server.namespace, line);
  for (const stream of [run.stdout, run.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
}

const until = (is: () => Promise<boolean> | boolean): Promise<void> =>
  expect.poll(is, { timeout: ROLLED_BACK, interval: 10 }).toBe(true);
const ended = (): Promise<number | null> =>
  new Promise((resolve) => run.on('close', (code) => resolve(code)));
const folder = async (): Promise<string> => (await lab.sh('ls /var/lib/nfknock-rollback')).stdout;
const reaches = (): Promise<boolean> => lab.net.clientB.canConnect(lab.net.clientB.server4, SERVICE, 400);

/** The daemon that it has started. */
function daemons(): readonly number[] {
  const pids = execFileSync('ip', ['netns', 'pids', lab.net.server.namespace], { encoding: 'utf8' });
  return pids.split('\n').filter(Boolean).map(Number).filter(isDaemon);
}

function isDaemon(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('nfknock.js\0run\0');
  } catch {
    // It has ended meanwhile.
    return false;
  }
}

/** Lets it, and its daemon, stand still from now until its time is over and the timer has put back what there was by then. */
async function oversleep(): Promise<void> {
  run.kill('SIGSTOP');
  const still = daemons();
  for (const pid of still) process.kill(pid, 'SIGSTOP');
  const state = (): string => readFileSync(`/proc/${run.pid}/stat`, 'latin1').split(') ')[1]?.[0] ?? '';
  await until(() => state() === 'T');
  await until(async () => /ended-/.test(await folder()));
  await until(async () => !/(pending|undoing)-\d+$/m.test(await folder()));
  run.kill('SIGCONT');
  // One that held the queue by then was killed.
  for (const pid of still) if (isDaemon(pid)) process.kill(pid, 'SIGCONT');
}

const STEPS = [
  'writing /etc/nfknock/nfknock.yaml',
  'checking it',
  'installing the rules and starting the daemon',
];

describe('nfknock init whose time is over', { timeout: LIMIT }, () => {
  // Against: an owner locked out by a set-up that is slower than its own way back
  // by: nothing is put in that has no way back any more, and what has been is taken out again
  it.each(STEPS)('in the middle of "%s" says so, and leaves the machine as it was', async (step) => {
    const before = await lab.machine();
    start('knock');
    await until(() => said.includes(`· ${step}`));
    await oversleep();
    expect(await ended()).toBe(1);
    // It may have come to the next step before it stood still.
    expect(said).toMatch(
      /the time \(--within\) was over in the middle of ".*", before it could be confirmed/,
    );
    expect(said).toContain('nothing was kept: the machine is as it was');
    expect(said).not.toMatch(/please report|nobody came in|Now knock/);
    expect(await lab.machine()).toBe(before);
    expect(await reaches()).toBe(true);
  });

  it('with the rules in and the daemon on its way ends that one, too', async () => {
    const before = await lab.machine();
    start('now', '30s');
    await until(() => daemons().length > 0);
    await oversleep();
    expect(await ended()).toBe(1);
    expect(said).toMatch(/was over in the middle of "installing the rules and starting the daemon"/);
    expect(await lab.machine()).toBe(before);
    await sleep(2_000);
    expect(await lab.machine()).toBe(before);
    expect(daemons()).toEqual([]);
    expect(await reaches()).toBe(true);
  });

  it('says who rolled it back before that', async () => {
    const before = await lab.machine();
    start('knock');
    await until(() => said.includes(`· ${STEPS[1]}`));
    run.kill('SIGSTOP');
    expect(await lab.nfknock(['rules', 'roll-back'], LIMIT)).toMatchObject({ code: 0 });
    run.kill('SIGCONT');
    expect(await ended()).toBe(1);
    expect(said).toMatch(/in the middle of ".*" it was rolled back: as was asked/);
    expect(await lab.machine()).toBe(before);
  });

  it('tells how much of it is left once somebody may knock', async () => {
    start('knock', '40s');
    await until(() => said.includes('Now knock from somewhere else'));
    const [, left = ''] = /Unless somebody comes in within (\d+) s all is put back/.exec(said) ?? [];
    // Two of them are for what is put back here, before the timer would.
    expect(Number(left)).toBeGreaterThan(0);
    expect(Number(left)).toBeLessThan(38);
    expect(await ended()).toBe(1);
    expect(said).toContain('nobody came in through the door in time');
  });
});
