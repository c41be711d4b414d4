import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* `one_time`: each line of a file opens once. */

const SERVICE = 22;
const OTHER = 2200;
const LATE = 10_000;
const QUICK = 150;
const SEQUENCES = [
  '7001:tcp,7002:udp,7003:tcp',
  '7101/tcp,7102/udp',
  '7201:udp,7202:tcp',
  '7301:tcp,7302:tcp',
];
const FEW = /only \d unused sequences are left/;

let net: Net;
let daemon: Daemon;
let file: string;

const config = (time = '2s'): object => ({
  doors: {
    once: { one_time: file, opens: [SERVICE], for: time },
    other: { knock: ['6001/tcp', '6002/tcp'], opens: [OTHER], for: '1m' },
  },
  bans: { strikes: 50 },
});

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
  await net.server.listen(OTHER);
});
beforeEach(() => {
  file = join(temporaryFolder(), 'once.sequences');
  writeFileSync(file, `${SEQUENCES.join('\n')}\n`, { mode: 0o640 });
});
afterEach(() => daemon?.stop('SIGKILL'));
afterAll(() => net?.close());

const knock = (sequence = ''): Promise<unknown> => {
  const steps = sequence.split(',').map((step) => step.replace('/', ':').replace(':tcp', ''));
  return net.clientA.exec(['knock', net.clientA.server4, ...steps]);
};
const reaches = (port: number, timeout = QUICK): Promise<boolean> =>
  net.clientA.canConnect(net.clientA.server4, port, timeout);
const opened = (): Promise<unknown> =>
  daemon.waitFor({ event: 'door.opened', door: 'once', source: net.clientA.source().v4 }, LATE);
const lines = (): readonly string[] => readFileSync(file, 'utf8').trimEnd().split('\n');
const usedLines = (): number => lines().filter((line) => line.startsWith('#')).length;
const warned = (): readonly string[] =>
  daemon.seen({ event: 'config.warning', door: 'once' }).map((line) => line.reason ?? '');

describe('a door with a file of one-time sequences', () => {
  it('opens to the first unused line, which is marked used before the door opens, and never again', async () => {
    daemon = await net.server.startDaemon(config());
    await net.clientA.moveToFreshSource();
    // The others are not yet in use, and no offence either is made of the one before once it is.
    await knock(SEQUENCES[1]);
    expect(await reaches(SERVICE)).toBe(false);
    await knock(SEQUENCES[0]);
    await opened();
    expect(lines()).toEqual([`#${SEQUENCES[0]}`, ...SEQUENCES.slice(1)]);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(await reaches(SERVICE, LATE)).toBe(true);

    await net.clientA.moveToFreshSource();
    await knock(SEQUENCES[0]);
    expect(await reaches(SERVICE)).toBe(false);
    await knock(SEQUENCES[1]);
    await opened();
    expect(await reaches(SERVICE, LATE)).toBe(true);
    expect(usedLines()).toBe(2);
  });

  it('takes the same knocks over IPv6', async () => {
    daemon = await net.server.startDaemon(config());
    const { v6 } = await net.clientA.moveToFreshSource();
    const { server6 } = net.clientA;
    expect(await net.clientA.canConnect(server6, SERVICE, QUICK)).toBe(false);
    await net.clientA.exec(['knock', server6, '7001', '7002:udp', '7003']);
    await daemon.waitFor({ event: 'door.opened', door: 'once', source: v6 }, LATE);
    expect(await net.clientA.canConnect(server6, SERVICE, LATE)).toBe(true);
    expect(lines()[0]).toBe(`#${SEQUENCES[0]}`);
  });

  // Against: replaying a one-time sequence after a crash at any moment
  // by: the line that was knocked is marked, durably, before the door opens
  it('takes no used line again after kill -9, at whatever moment', async () => {
    daemon = await net.server.startDaemon(config());
    for (const round of [0, 1]) {
      const { folder } = daemon;
      const before = usedLines();
      await net.clientA.moveToFreshSource();
      const knocked = knock(SEQUENCES[before]);
      await sleep(round * 15);
      await daemon.stop('SIGKILL');
      await knocked;
      const used = usedLines();
      expect(used === before || used === before + 1).toBe(true);
      daemon = await net.server.startDaemon(config(), { folder });
      await net.clientA.moveToFreshSource();
      for (const spent of SEQUENCES.slice(0, used)) await knock(spent);
      expect(await reaches(SERVICE)).toBe(false);
    }
    const used = usedLines();
    await knock(SEQUENCES[used]);
    await opened();
    expect(usedLines()).toBe(used + 1);
  });

  it('stays shut once none is left, says so, and everything else goes on', async () => {
    writeFileSync(file, `# for the road\n#${SEQUENCES[1]}\n${SEQUENCES[0]}\n`);
    daemon = await net.server.startDaemon(config());
    expect(warned()).toEqual([expect.stringMatching(/only 1 unused/)]);
    await net.clientA.moveToFreshSource();
    await knock(SEQUENCES[0]);
    await opened();
    expect(warned().at(-1)).toMatch(
      /stays shut: no unused sequence is left in .*; add lines to it and reload/,
    );

    await net.clientA.moveToFreshSource();
    for (const sequence of SEQUENCES) await knock(sequence);
    expect(await reaches(SERVICE)).toBe(false);
    await knock('6001,6002');
    await daemon.waitFor({ event: 'door.opened', door: 'other' }, LATE);
    expect(await reaches(OTHER, LATE)).toBe(true);

    writeFileSync(file, `${readFileSync(file, 'utf8')}${SEQUENCES[3]}\n`);
    await ask(daemon, { command: 'reload' });
    await net.clientA.moveToFreshSource();
    await knock(SEQUENCES[3]);
    await opened();
  });

  it('warns when few are left, and of lines that are no sequences', async () => {
    writeFileSync(file, `${SEQUENCES.join('\n')}\nnonsense\n${SEQUENCES.join('\n')}\n`);
    daemon = await net.server.startDaemon(config());
    expect(warned()).toEqual([expect.stringMatching(/lines 5 are not valid sequences/)]);
    writeFileSync(file, `${SEQUENCES.join('\n')}\n`);
    await ask(daemon, { command: 'reload' });
    // The answer may be here before the line.
    await vi.waitFor(() => expect(warned().at(-1)).toMatch(FEW), LATE);
  });

  it('does not open where the line cannot be marked used, and says why and what to do', async () => {
    daemon = await net.server.startDaemon(config());
    await net.clientA.moveToFreshSource();
    execFileSync('chattr', ['+i', file]);
    try {
      await knock(SEQUENCES[0]);
      const said = /^door once did not open: .*can't be marked used in .*once\.sequences \(.+\); .* reload$/;
      await vi.waitFor(() => expect(warned().at(-1)).toMatch(said), LATE);
      expect(await reaches(SERVICE)).toBe(false);
      expect(daemon.seen({ event: 'door.opened', door: 'once' })).toEqual([]);
      expect(await ask(daemon, { command: 'grants' })).toEqual([]);
    } finally {
      execFileSync('chattr', ['-i', file]);
    }
    await ask(daemon, { command: 'reload' });
    await net.clientA.moveToFreshSource();
    await knock(SEQUENCES[0]);
    await opened();
  });

  it('ends the grant that a line which cannot be marked used would renew, and says so', async () => {
    daemon = await net.server.startDaemon(config('5m'));
    const { v4 } = await net.clientA.moveToFreshSource();
    await knock(SEQUENCES[0]);
    await opened();
    execFileSync('chattr', ['+i', file]);
    try {
      await knock(SEQUENCES[1]);
      await daemon.waitFor({ event: 'door.closed', door: 'once', source: v4, reason: 'refused' }, LATE);
      expect(await reaches(SERVICE)).toBe(false);
    } finally {
      execFileSync('chattr', ['-i', file]);
    }
  });

  it('stays shut where the file cannot be read', async () => {
    renameSync(file, `${file}.away`);
    daemon = await net.server.startDaemon(config());
    expect(warned()).toEqual([expect.stringMatching(/stays shut: .* can't be read: /)]);
    await knock('6001,6002');
    await daemon.waitFor({ event: 'door.opened', door: 'other' }, LATE);
  });

  it('uses no sequence up where someone is let in by hand', async () => {
    daemon = await net.server.startDaemon(config());
    await ask(daemon, { command: 'grant', door: 'once', address: '203.0.113.7' });
    await ask(daemon, { command: 'grant', door: 'once', address: '203.0.113.7', reason: 'again' });
    expect(lines()).toEqual(SEQUENCES);
  });
});
