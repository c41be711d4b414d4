import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectTo } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { commandsIn, temporaryFolder } from '../support/scratch.ts';

/* `on_open` and `on_close`. */

const LATE = 15_000;
/** Commands at once (src/daemon/hook.ts). */
const RUNNING_MAX = 8;
/** Openings of the flood. */
const FLOOD = 120;

const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4' },
  { family: 'IPv6', server: 'server6', source: 'v6' },
] as const;

let net: Net;
let daemon: Daemon;
const folder = temporaryFolder();
const inFolder = (name: string): string => join(folder, name);
/** What would happen if any of it came to a shell. */
const TRAPS = [
  `$(touch ${inFolder('a')})`,
  `; touch ${inFolder('b')} #`,
  `\`touch ${inFolder('c')}\``,
  'a  b',
];
const note = (word: string): readonly string[] => [
  '/bin/sh',
  '-c',
  'echo "$1 $2" >>"$0"',
  inFolder('noted'),
  word,
  '%IP%',
];
/** Writes + at its beginning and - at its end. */
const COUNTED = ['/bin/sh', '-c', 'echo + >>"$0"; sleep 0.05; echo - >>"$0"', inFolder('counted')];

const CONFIG = {
  doors: {
    literal: {
      knock: ['7101/tcp', '7102/tcp'],
      opens: ['2201/tcp', '2210-2212/udp'],
      on_open: ['/usr/bin/printf', '<%s>', '%IP%', ...TRAPS, '%DOOR%=%PORTS%=%IP%=%IP%', '%ip', '100%'],
    },
    noted: {
      knock: ['7201/tcp', '7202/tcp'],
      opens: ['2202/tcp'],
      for: '1s',
      on_open: note('open'),
      on_close: note('close'),
    },
    late: {
      knock: ['7301/tcp', '7302/tcp'],
      opens: ['2203/tcp'],
      on_open: ['/bin/sh', '-c', 'echo begun; sleep 6161 & sleep 6161'],
    },
    failing: {
      knock: ['7401/tcp', '7402/tcp'],
      opens: ['2204/tcp'],
      for: '1s',
      on_open: ['/bin/sh', '-c', 'echo it broke >&2; exit 3'],
      on_close: ['/nowhere/notify', '%IP%'],
    },
    talkative: {
      knock: ['7501/tcp', '7502/tcp'],
      opens: ['2205/tcp'],
      on_open: ['/usr/bin/seq', '100000'],
    },
    flooded: { knock: ['7601/tcp', '7602/tcp'], opens: ['2206/tcp'], on_open: COUNTED },
  },
  bans: { strikes: 100 },
};

beforeAll(async () => {
  net = await createNet();
  daemon = await net.server.startDaemon(CONFIG);
  // The time limit is 10 s: it runs out while the other tests run.
  await net.clientB.exec(['knock', net.clientB.server4, '7301', '7302']);
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

describe.each(FAMILIES)('a command over $family', ({ server, source }) => {
  const open = async (first: number): Promise<string> => {
    const address = (await net.clientA.moveToFreshSource())[source];
    await net.clientA.exec(['knock', net.clientA[server], `${first}`, `${first + 1}`]);
    await daemon.waitFor({ event: 'door.opened', source: address }, LATE);
    return address;
  };

  // Against: shell characters in a door's command
  // by: argument lists
  it('gets its arguments as they are written, with every placeholder filled in, and no shell', async () => {
    const address = await open(7101);
    const all = `literal=2201/tcp,2210-2212/udp=${address}=${address}`;
    const reason = [address, ...TRAPS, all, '%ip', '100%'].map((word) => `<${word}>`).join('');
    expect(await daemon.waitFor({ event: 'command.output', door: 'literal', reason }, LATE)).toBeDefined();
    expect(['a', 'b', 'c'].filter((name) => existsSync(inFolder(name)))).toEqual([]);
  });

  it('runs once at an opening and once at a closing, and not at a renewal', async () => {
    const address = await open(7201);
    await net.clientA.exec(['knock', net.clientA[server], '7201', '7202']);
    await daemon.waitFor({ event: 'door.renewed', source: address }, LATE);
    await daemon.waitFor({ event: 'door.closed', source: address }, LATE);
    await vi.waitFor(() => expect(noted(address)).toEqual(['open', 'close']), LATE);
  });

  it('that fails, or is not there, is said, and the grant is unaffected', async () => {
    const before = daemon.seen({ event: 'command.failed', door: 'failing' }).length;
    const address = await open(7401);
    await daemon.waitFor({ event: 'command.output', door: 'failing', reason: 'it broke' }, LATE);
    await daemon.waitFor({ event: 'door.closed', source: address, reason: 'expired' }, LATE);
    await vi.waitFor(() => {
      const failures = daemon.seen({ event: 'command.failed', door: 'failing' }).slice(before);
      expect(failures.map((line) => line.reason)).toEqual([
        '/bin/sh ended with code 3',
        expect.stringMatching(/^\/nowhere\/notify can't be run: ENOENT/),
      ]);
    }, LATE);
  });
});

it('a command that says more than the log can hold is heard to its end, and cut', async () => {
  await net.clientA.exec(['knock', net.clientA.server4, '7501', '7502']);
  const { reason = '' } = await daemon.waitFor({ event: 'command.output', door: 'talkative' }, LATE);
  expect(reason).toMatch(/^1\n2\n3\n/);
  expect(reason.length).toBeLessThanOrEqual(4_096);
  expect(daemon.seen({ event: 'command.failed', door: 'talkative' })).toEqual([]);
});

// Against: a flood of commands
// by: eight at once, a bounded queue
it('a flood of grants is no flood of processes, and each has its command in the end', async () => {
  const control = await connectTo(daemon);
  const grants = Array.from({ length: FLOOD }, (_, index) =>
    control.ask({ command: 'grant', door: 'flooded', address: `203.0.113.${index + 1}` }),
  );
  await Promise.all(grants);
  control.close();
  await vi.waitFor(() => expect(count(counted(), '-')).toBe(FLOOD), LATE);
  let running = 0;
  const most = Math.max(...counted().map((mark) => (running += mark === '+' ? 1 : -1)));
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(RUNNING_MAX);
});

it('a command that takes longer than 10 s is ended, with what it has started, and said', async () => {
  const started = Date.parse((await daemon.waitFor({ event: 'door.opened', door: 'late' })).time);
  const failed = await daemon.waitFor({ event: 'command.failed', door: 'late' }, 2 * LATE);
  expect(failed.reason).toMatch(/took longer than 10 s and was ended$/);
  expect(Date.parse(failed.time) - started).toBeGreaterThanOrEqual(9_900);
  await daemon.waitFor({ event: 'command.output', door: 'late', reason: 'begun' });
  expect(sleepers()).toEqual([]);
});

it('a command that runs when the daemon is told to stop is ended with it', async () => {
  await net.clientA.moveToFreshSource();
  await net.clientA.exec(['knock', net.clientA.server4, '7301', '7302']);
  await daemon.waitFor({ event: 'door.opened', door: 'late', source: net.clientA.source().v4 }, LATE);
  await vi.waitFor(() => expect(sleepers()).toHaveLength(2), LATE);
  await daemon.stop();
  await vi.waitFor(() => expect(sleepers()).toEqual([]), LATE);
});

it('a command that outlives a daemon killed with -9 does not keep its queue from the next', async () => {
  daemon = await net.server.startDaemon(CONFIG);
  await net.clientA.moveToFreshSource();
  await net.clientA.exec(['knock', net.clientA.server4, '7301', '7302']);
  await vi.waitFor(() => expect(sleepers()).toHaveLength(2), LATE);
  await daemon.stop('SIGKILL');
  expect(sleepers()).toHaveLength(2);
  daemon = await net.server.startDaemon(CONFIG, { folder: daemon.folder });
});

function noted(address: string): readonly string[] {
  const lines = readFileSync(inFolder('noted'), 'utf8').split('\n');
  return lines.filter((line) => line.endsWith(` ${address}`)).map((line) => line.split(' ')[0] ?? '');
}

function counted(): readonly string[] {
  const path = inFolder('counted');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
}

function count(marks: readonly string[], mark: string): number {
  return marks.filter((each) => each === mark).length;
}

/** The processes that the command of door `late` starts, of this test alone. */
function sleepers(): readonly string[] {
  return commandsIn(net.server.namespace).filter((command) => command === 'sleep 6161');
}
