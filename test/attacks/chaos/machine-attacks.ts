import { readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Attack, about, flood, foreignRules, order, restoreFilter } from './attack.ts';
import {
  FORGED,
  nextForger,
  nextUser,
  onServer,
  PATIENCE,
  PUBLIC,
  sawMore,
  until,
  type World,
} from './world.ts';

/* What the machine around the daemon does to it: its table of connections, its other programs, its disk. */

/** As many of the daemon's own commands as run at once, twice over. */
const HOOKS = 16;
/** How long what a hook leaves in the background keeps its standard output open, in seconds. */
const BACKGROUND_S = 25;
/** A page of a disk in memory: what is left of it is less than a one-time file. */
const PAGE = 4_096;

export const MACHINE_ATTACKS: Readonly<Record<string, Attack>> = {
  'more packets than its queue holds while it stands still': {
    kind: 'stops',
    run: async (world, random) => {
      const { clientA } = world.net;
      world.daemon.signal('SIGSTOP');
      try {
        // Each that waits has an entry in the table of connections, of which the whole machine has one.
        const count = about(world, random, 90_000, 20_000);
        await flood(world, ['-p', '10-20', '-n', `${count}`, '-r', '30000', '-t', '20', '-s', FORGED]);
        const waiting = await waitingPackets(world);
        const most = Number(await onServer(world, ['sysctl', '-n', 'net.netfilter.nf_conntrack_max'])) / 4;
        if (waiting === 0 || waiting > most) throw new Error(`${waiting} packets wait, of ${most} that may`);
        if (!(await clientA.canConnect(clientA.server4, PUBLIC, PATIENCE, nextUser())))
          throw new Error('a public port can not be reached while packets wait for the daemon');
      } finally {
        world.daemon.signal('SIGCONT');
      }
      return undefined;
    },
  },
  'rules of another program changed twice a second': {
    kind: 'outside',
    run: async (world, random) => {
      const chain = `BUSY${random(1_000_000)}`;
      const rules = foreignRules(chain, about(world, random, 10_000, 1_500));
      await restoreFilter(world, [`:${chain} - [0:0]`, ...rules]);
      for (let change = 0; change < 6 + random(6); change += 1) {
        await sleep(500);
        await restoreFilter(world, [`-A ${chain} -s 11.0.0.${change} -j DROP`]);
      }
      await restoreFilter(world, [`:${chain} - [0:0]`, `-X ${chain}`]);
      return undefined;
    },
  },
  'hooks that leave something in the background': {
    kind: 'asks',
    run: async (world) => {
      const ran = `${world.script}.${process.hrtime.bigint()}`;
      writeFileSync(world.script, `#!/bin/sh\nsleep ${BACKGROUND_S} &\necho "$1" >>${ran}\n`);
      const users = Array.from({ length: HOOKS }, nextForger);
      const done = (): number => users.filter((user) => readIfThere(ran).includes(`${user}\n`)).length;
      for (const user of users) await order(world, 'grant', 'hooked', user);
      await until(
        () => done() === HOOKS,
        () => `${done()} of ${HOOKS} commands were run`,
      );
      writeFileSync(world.script, '#!/bin/sh\n');
      return undefined;
    },
  },
  'a one-time file on a disk that is nearly full': {
    kind: 'asks',
    run: async (world) => {
      const { sequences, daemon } = world;
      const before = readFileSync(sequences, 'utf8');
      const line = firstUnused(before);
      const filler = join(dirname(sequences), 'filler');
      const { bavail, bsize } = statfsSync(dirname(sequences));
      writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - PAGE)));
      try {
        const refused = nextForger();
        const said = (): number =>
          daemon
            .seen({ event: 'config.warning', door: 'once' })
            .filter(({ reason }) => /can't be marked used/.test(reason ?? '')).length;
        const saidBefore = said();
        await knockAs(world, refused, line);
        await until(
          () => said() > saidBefore,
          () => 'nothing is said of a line that can not be marked',
        );
        if (daemon.seen({ event: 'door.opened', source: refused }).length > 0)
          throw new Error('a line that could not be marked opened its door');
        if (readFileSync(sequences, 'utf8') !== before) throw new Error('the one-time file is another');
      } finally {
        rmSync(filler);
      }
      // Its knock was seen by whoever looks: the owner marks it by hand, as the daemon says.
      const marked = before.replace(line, `#${line}`);
      writeFileSync(sequences, marked);
      await reload(world);
      const next = firstUnused(marked);
      const owner = nextForger();
      await knockAs(world, owner, next);
      await sawMore(world, { event: 'door.opened', door: 'once', source: owner }, 0);
      if (readFileSync(sequences, 'utf8') !== marked.replace(next, `#${next}`))
        throw new Error('something else than its line was marked in the one-time file');
      return undefined;
    },
  },
};

function firstUnused(sequences: string): string {
  return sequences.split('\n').find((each) => !each.startsWith('#')) ?? '';
}

/** Makes the knocks of a line, one after the other, with an address that is nobody's. */
async function knockAs(world: World, source: string, line: string): Promise<void> {
  for (const step of line.split(',')) {
    const [port = '', protocol] = step.split('/');
    await flood(world, ['-p', port, '-n', '1', '-s', `${source}/32`, ...(protocol === 'udp' ? ['-u'] : [])]);
    // Not so fast that one overtakes another.
    await sleep(50);
  }
}

/** Once more where it was refused for the configuration of another attack. Nothing is under way afterwards. */
async function reload(world: World): Promise<void> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    const refused = await order(world, 'reload').then(
      () => undefined,
      (error: unknown) => error,
    );
    if (refused === undefined) return;
    if (performance.now() > end) throw refused;
    await sleep(500);
  }
}

/** Of all queues, as the kernel tells: the third column is their number. */
async function waitingPackets(world: World): Promise<number> {
  const table = await onServer(world, ['cat', '/proc/net/netfilter/nfnetlink_queue']);
  return table
    .trim()
    .split('\n')
    .reduce((sum, row) => sum + Number(row.trim().split(/\s+/)[2] ?? 0), 0);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
