import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, openSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectTo } from '../../support/asked.ts';
import { nfknock } from '../../support/bans-lab.ts';
import { type Attack, about, connectOften, flood, foreignRules, order, restoreFilter } from './attack.ts';
import { MACHINE_ATTACKS } from './machine-attacks.ts';
import {
  COUNTED,
  FORGED,
  nextAttacker,
  nextUser,
  onServer,
  PATIENCE,
  PUBLIC,
  PUBLIC_UDP,
  SERVICE,
  STRANGERS,
  sawMore,
  statusOf,
  toldOf,
  type World,
} from './world.ts';

const NOBODY_CONNECTED = 300;
/** A repair is promised within this. */
const REPAIR_MS = 5_000;
const FEW_DESCRIPTORS = 3;
const DESCRIPTORS = 1_024;

export const ATTACKS: Readonly<Record<string, Attack>> = {
  ...MACHINE_ATTACKS,
  'connections to a public port while it stands still': {
    kind: 'stops',
    run: async (world, random) => {
      const lost = world.daemon.seen({ event: 'events.lost', reason: 'connections' }).length;
      world.daemon.signal('SIGSTOP');
      try {
        await Promise.all([
          sleep(1_000 + random(2_000)),
          flood(world, ['-p', `${PUBLIC}`, '-n', `${about(world, random, 20_000, 3_000)}`, '-s', FORGED]),
          // Who is answered is told of; forged SYNs are not even that.
          connectOften(world, about(world, random, 3_000, 800)),
        ]);
      } finally {
        world.daemon.signal('SIGCONT');
      }
      return async () => {
        await sawMore(world, { event: 'events.lost', reason: 'connections' }, lost);
        await toldOf(world, /messages .* were missed/);
      };
    },
  },
  'forged UDP packets of 46 bytes': {
    kind: 'outside',
    run: async (world, random) => {
      for (const most of [500, 5_000, 30_000]) {
        const count = about(world, random, most, 500);
        await flood(world, ['-u', '-l', '18', '-p', `${PUBLIC_UDP}`, '-n', `${count}`, '-s', FORGED]);
      }
    },
  },
  'a scan at full speed': {
    kind: 'outside',
    run: async ({ net: { clientB }, scale }, random) => {
      const last = Math.round(2_000 + scale * random(60_000));
      const speed = ['-T5', '--min-rate', '20000', '--max-retries', '0'];
      const from = ['-S', nextAttacker(), '-e', 'eth0'];
      const scan = ['nmap', '-n', '-Pn', '-sS', ...speed, ...from, '-p', `1-${last}`, clientB.server4];
      await clientB.exec(scan, { timeout: 15_000 });
    },
  },
  'honest connections by the thousand': {
    kind: 'outside',
    run: async (world, random) => {
      await connectOften(world, about(world, random, 6_000, 500));
    },
  },
  'rules of another program': {
    kind: 'outside',
    run: async (world, random) => {
      const rules = foreignRules('OTHER', about(world, random, 20_000, 3_000));
      await restoreFilter(world, [':OTHER - [0:0]', ...rules]);
      await restoreFilter(world, [':OTHER - [0:0]', '-X OTHER']);
    },
  },
  'many grants of its own': {
    kind: 'asks',
    run: async (world, random) => {
      const count = about(world, random, 1_000, 60);
      const grantees = Array.from({ length: count }, (_, i) => `198.18.${i >> 8}.${i & 255}`);
      // One connection has one request under way: several ask side by side.
      const asking = Array.from({ length: 8 }, async () => {
        const control = await connectTo(world.daemon);
        for (let address = grantees.pop(); address !== undefined; address = grantees.pop())
          await control.ask({ command: 'grant', door: 'ssh', address });
        control.close();
      });
      const refused = (await Promise.allSettled(asking)).find(({ status }) => status === 'rejected');
      if (refused?.status === 'rejected') throw new Error(`a grant by hand was refused: ${refused.reason}`);
    },
  },
  'questions while every table is full': {
    kind: 'asks',
    run: async (world, random) => {
      // Not faster than a busy machine reads them: a queue that runs over loses honest knocks too, as is said.
      const count = about(world, random, 60_000, 25_000);
      await flood(world, ['-p', '7000', '-n', `${count}`, '-r', '6000', '-s', FORGED, '-t', '12']);
      await toldOf(world, /table of sources is full/);
      const asked = ['sources', 'grants', 'bans'].map((command) =>
        nfknock(world.net.server, world.daemon, command, '--json'),
      );
      const explained = nfknock(world.net.server, world.daemon, 'explain', nextAttacker());
      for (const { code, stderr } of await Promise.all([...asked, explained]))
        if (code !== 0) throw new Error(`a question was not answered: ${stderr}`);
    },
  },
  'a reload that the kernel refuses in part': {
    kind: 'asks',
    run: async (world, random) => {
      const family = random(2) === 0 ? 4 : 6;
      const set = `nfknock-refused${family}`;
      const before = world.daemon.seen({ event: 'config.rejected' }).length;
      await onServer(world, ['ipset', 'create', set, 'hash:ip,port']);
      const refused = { knock: ['7500/tcp', '7600/tcp'], opens: ['2300/tcp'], for: '1h' };
      try {
        world.daemon.rewrite({ ...world.config, grants: 'set', doors: { ...world.config.doors, refused } });
        world.daemon.signal('SIGHUP');
        await sawMore(world, { event: 'config.rejected' }, before);
      } finally {
        world.daemon.rewrite(world.config);
        await onServer(world, ['ipset', 'destroy', set]);
      }
      // As its owner would: until the next reload `status` goes on telling of the refused one.
      const reloaded = world.daemon.seen({ event: 'daemon.reloaded' }).length;
      world.daemon.signal('SIGHUP');
      await sawMore(world, { event: 'daemon.reloaded' }, reloaded);
    },
  },
  'a hook whose program is being overwritten, then missing': {
    kind: 'outside',
    run: async (world) => {
      const failed = (): number => world.daemon.seen({ event: 'command.failed', door: 'ssh' }).length;
      // One that runs can't be opened for writing; one that is open for writing can't be run.
      const written = `${world.hook}.written`;
      copyFileSync(world.hook, written);
      const held = openSync(written, 'r+');
      renameSync(written, world.hook);
      try {
        await sawMore(world, { event: 'command.failed', door: 'ssh' }, failed());
      } finally {
        closeSync(held);
      }
      renameSync(world.hook, `${world.hook}.away`);
      try {
        await sawMore(world, { event: 'command.failed', door: 'ssh' }, failed());
      } finally {
        renameSync(`${world.hook}.away`, world.hook);
      }
    },
  },
  'no descriptor left': {
    kind: 'stops',
    run: async ({ daemon }, random) => {
      const limit = (most: number): Buffer =>
        execFileSync('prlimit', ['--pid', `${daemon.pid}`, `--nofile=${most}:`]);
      limit(FEW_DESCRIPTORS);
      await sleep(500 + random(3_000));
      limit(DESCRIPTORS);
    },
  },
  'forged SYNs in the name of an owner with `uses`': {
    kind: 'asks',
    run: async (world, random) => {
      const { clientA } = world.net;
      const owner = nextUser();
      await order(world, 'grant', 'counted', owner);
      const forged = ['-p', `${COUNTED}`, '-s', `${owner}/32`, '-r', `${20 + random(200)}`];
      await flood(world, [...forged, '-n', `${60 + random(200)}`, '-t', '3']);
      const reaches = await clientA.canConnect(clientA.server4, COUNTED, 2_500, owner);
      await order(world, 'revoke', owner).catch(() => undefined);
      if (!reaches) throw new Error(`forged SYNs used the grant of ${owner} up`);
    },
  },
  'a ban that cuts, in a full table of connections': {
    kind: 'asks',
    run: async (world, random) => {
      const { clientB } = world.net;
      const attacker = nextAttacker();
      await flood(
        world,
        ['-u', '-p', `${PUBLIC_UDP}`, '-n', `${about(world, random, 60_000, 10_000)}`].concat('-s', FORGED),
      );
      if (!(await clientB.canConnect(clientB.server4, PUBLIC, PATIENCE, attacker)))
        throw new Error(`${attacker} can't reach a public port`);
      const before = world.daemon.seen({ event: 'ban.added', source: attacker }).length;
      await flood(world, ['-p', '10-16', '-n', '7', '-s', `${attacker}/32`]);
      await sawMore(world, { event: 'ban.added', source: attacker }, before);
      const asked = performance.now();
      await order(world, 'status').catch(() => undefined);
      if (performance.now() - asked > PATIENCE) throw new Error('no answer while connections are cut');
      if (await clientB.canConnect(clientB.server4, PUBLIC, NOBODY_CONNECTED, attacker))
        throw new Error(`${attacker} is banned and reaches a public port`);
    },
  },
  'an ACCEPT of another program among the grants': {
    kind: 'changes',
    run: (world) => {
      const rule = ['-s', STRANGERS, '-p', 'tcp', '--dport', `${SERVICE}`, '-j', 'ACCEPT'];
      return tamper(
        world,
        () => onServer(world, ['iptables', '-I', 'NFKNOCK-GRANT', '1', ...rule]),
        // Whichever comes first, a look at the rules or a change to the chain, takes it away.
        async () => !(await onServer(world, ['iptables', '-S', 'NFKNOCK-GRANT'])).includes(STRANGERS),
      );
    },
  },
  'chains flushed': {
    kind: 'changes',
    run: (world) => tamper(world, () => onServer(world, ['sh', '-c', 'iptables -F; ip6tables -F'])),
  },
  'chains and sets destroyed': {
    kind: 'changes',
    run: (world) =>
      tamper(world, () =>
        onServer(world, [
          'sh',
          '-c',
          'for t in iptables ip6tables; do $t -F; $t -X; done; ipset destroy; true',
        ]),
      ),
  },
  'a log on a full disk': {
    kind: 'asks',
    run: async (world) => {
      const filler = join(world.disk, 'filler');
      const { bavail, bsize } = statfsSync(world.disk);
      try {
        try {
          writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize)));
        } catch (error) {
          // The log was quicker with the last of it: full it is.
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        }
        await order(world, 'grant', 'ssh', nextUser());
        await toldOf(world, /can't be written/);
      } finally {
        rmSync(filler);
      }
    },
  },
  "conntrack's events switched off": {
    kind: 'asks',
    run: async (world) => {
      const set = (value: number): Promise<string> =>
        onServer(world, ['sysctl', '-qw', `net.netfilter.nf_conntrack_events=${value}`]);
      await set(0);
      try {
        await toldOf(world, /connections can't be counted/);
      } finally {
        await set(1);
      }
    },
  },
};

/** Someone else changes the rules, and the daemon puts them back. What slips in meanwhile is not its doing. */
async function tamper(
  world: World,
  change: () => Promise<unknown>,
  restored?: () => Promise<boolean>,
): Promise<undefined> {
  const { leaked } = await world.port.read();
  const before = world.daemon.seen({ event: 'firewall.repaired' }).length;
  const repaired = (): boolean => world.daemon.seen({ event: 'firewall.repaired' }).length > before;
  try {
    await change();
    const end = performance.now() + REPAIR_MS * 2;
    while (!(restored === undefined ? repaired() : await restored())) {
      if (performance.now() > end) throw new Error(`not put back within ${REPAIR_MS * 2} ms`);
      await sleep(20);
    }
    await wholeAgain(world);
  } finally {
    await sleep(50);
    world.excused += (await world.port.read()).leaked - leaked;
  }
  return undefined;
}

/** Chains, sets and families may be put back one after the other. */
async function wholeAgain(world: World): Promise<void> {
  const end = performance.now() + REPAIR_MS;
  while ((await statusOf(world))?.status.firewall.ok !== true)
    if (performance.now() > end) throw new Error(`not all rules are put back after ${REPAIR_MS} ms`);
}
