import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { NFKNOCK } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import {
  accept,
  clearRules,
  imported,
  layGuideRules,
  reaches,
  scratchFolder,
  sh,
  startKnockd,
} from './peers-knockd.ts';

/* What ends knockd, and what nfknock does in its place. */

const SSH = 22;
/** Milliseconds: they run side by side, on a machine that may be busy. */
const TIMEOUT = 240_000;
const RIGHT = ['7000', '8000', '9000'] as const;
const lasting = (seconds: number): string => `[options]
[ssh]
  sequence = 7000,8000,9000
  tcpflags = syn
  start_command = ${accept('A', SSH)}
  cmd_timeout = ${seconds}
  stop_command = ${accept('D', SSH)}
`;
const LONG = lasting(60);
const ONE_TIME = (file: string): string =>
  LONG.replace('sequence = 7000,8000,9000', `one_time_sequences = ${file}`);

/** A net of a test's own, so that they can wait side by side. */
interface Lab {
  readonly net: Net;
  readonly target: string;
  /** With the rules that knockd's guides begin with, and none of nfknock's, which it leaves when it ends. */
  readonly guarded: (work: () => Promise<void>) => Promise<void>;
  /** Knocks from a new address, and answers which. */
  readonly knockFrom: (...ports: readonly string[]) => Promise<string>;
  /** Whether who knocked last gets in. */
  readonly letIn: (hope: 'to get in' | 'none') => Promise<boolean>;
}

async function withLab(work: (lab: Lab) => Promise<void>): Promise<void> {
  const net = await createNet();
  const { server, clientA } = net;
  const target = clientA.server4;
  try {
    await server.listen(SSH);
    await work({
      net,
      target,
      guarded: async (inside) => {
        await clearRules(server);
        await layGuideRules(server);
        await inside();
        await clearRules(server);
      },
      knockFrom: async (...ports) => {
        const { v4 } = await clientA.moveToFreshSource();
        await clientA.exec(['knock', target, ...ports]);
        return v4;
      },
      letIn: (hope) => reaches(clientA, target, SSH, hope),
    });
  } finally {
    net.close();
  }
}

describe('what ends knockd, or leaves its doors open', () => {
  const alone = (name: string, work: (lab: Lab) => Promise<void>): void => {
    it.concurrent(name, { timeout: TIMEOUT }, () => withLab(work));
  };

  it.concurrent('is kill -9: what is open stays open for ever; here it closes at its time', {
    timeout: TIMEOUT,
  }, async () => {
    const there = withLab(async ({ net, guarded, knockFrom, letIn }) => {
      await guarded(async () => {
        await startKnockd(net.server, scratchFolder(), lasting(5));
        await knockFrom(...RIGHT);
        expect(await letIn('to get in')).toBe(true);
        for (const pid of await pidsOf(net, 'knockd')) process.kill(pid, 'SIGKILL');
        await sleep(5_500);
        expect(await letIn('to get in')).toBe(true);
      });
    });
    const here = withLab(async ({ net, knockFrom, letIn }) => {
      const daemon = await net.server.startDaemon(await imported(scratchFolder(), lasting(5)));
      await knockFrom(...RIGHT);
      expect(await letIn('to get in')).toBe(true);
      await daemon.stop('SIGKILL');
      // The kernel ends a rule at the end of the second in which the grant ends.
      await sleep(6_200);
      expect(await letIn('none')).toBe(false);
    });
    await Promise.all([there, here]);
  });

  alone(
    'is a mistake in the file at SIGHUP; here the old configuration is kept and goes on',
    async ({ net, knockFrom, letIn }) => {
      const folder = scratchFolder();
      const knockd = await startKnockd(net.server, folder, LONG);
      writeFileSync(join(folder, 'knockd.conf'), `${LONG}\n[bad]\n  nonsense\n`);
      knockd.signal('SIGHUP');
      expect((await knockd.exited).code).not.toBe(0);

      const daemon = await net.server.startDaemon(await imported(folder, LONG));
      writeFileSync(daemon.config, 'doors: { ssh: { nonsense: 1 } }\n');
      daemon.signal('SIGHUP');
      await daemon.waitFor({ event: 'config.rejected' }, 10_000);
      await knockFrom(...RIGHT);
      expect(await letIn('to get in')).toBe(true);
      await daemon.stop();
    },
  );

  alone(
    'is the last of its sequences; here that door stays shut, says so, and nothing else stops',
    async ({ net, knockFrom, letIn }) => {
      const folder = scratchFolder();
      const file = join(folder, 'sequences');
      writeFileSync(file, ' 7001,8001,9001\n');
      const knockd = await startKnockd(net.server, folder, ONE_TIME(file));
      await knockFrom('7001', '8001', '9001');
      expect((await knockd.exited).signal).toBe('SIGABRT');

      writeFileSync(file, ' 7001,8001,9001\n');
      const daemon = await net.server.startDaemon(await imported(folder, ONE_TIME(file)));
      await knockFrom('7001', '8001', '9001');
      expect(await letIn('to get in')).toBe(true);
      expect(readFileSync(file, 'utf8')).toBe('# 7001,8001,9001\n');
      await knockFrom('7001', '8001', '9001');
      expect(await letIn('none')).toBe(false);
      await daemon.stop();
    },
  );

  alone(
    'is a line that it cannot read: the used one opens again; here it opens once',
    async ({ net, guarded, knockFrom, letIn }) => {
      const folder = scratchFolder();
      const file = join(folder, 'sequences');
      const text = ' 7000:icmp,8000\n 7001,8001,9001\n 7002,8002,9002\n';
      writeFileSync(file, text);
      await guarded(async () => {
        const knockd = await startKnockd(net.server, folder, ONE_TIME(file));
        for (let time = 0; time < 2; time += 1) {
          await knockFrom('7001', '8001', '9001');
          // Packets that come while it replaces its filter are lost to it.
          await sleep(300);
          expect(await letIn('to get in')).toBe(true);
        }
        await knockd.stop('SIGKILL');
      });
      writeFileSync(file, text);
      const daemon = await net.server.startDaemon(await imported(folder, ONE_TIME(file)));
      await knockFrom('7001', '8001', '9001');
      expect(await letIn('to get in')).toBe(true);
      await knockFrom('7001', '8001', '9001');
      expect(await letIn('none')).toBe(false);
      await knockFrom('7002', '8002', '9002');
      expect(await letIn('to get in')).toBe(true);
      await daemon.stop();
    },
  );

  alone(
    'is a blank in `tcpflags = syn, ack`; here it is read as it is meant',
    async ({ net, target, letIn }) => {
      const folder = scratchFolder();
      const conf = LONG.replace('tcpflags = syn', 'tcpflags = syn, ack, ! urg');
      writeFileSync(join(folder, 'knockd.conf'), conf);
      const refused = await net.server.exec(['knockd', '-i', 'toA', '-c', join(folder, 'knockd.conf')]);
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('unrecognized flag') });

      const daemon = await net.server.startDaemon(await imported(folder, conf));
      const { v4 } = await net.clientA.moveToFreshSource();
      const brief = ['-n', '-Pn', '-r', '--send-ip', '--max-retries', '0', '--host-timeout', '300ms'];
      const nmap = ['nmap', '-sS', '--scanflags', 'SYNACK', '-p', '7000,8000,9000', ...brief, target];
      await net.clientA.exec(nmap);
      await daemon.waitFor({ event: 'door.opened', source: v4 });
      expect(await letIn('to get in')).toBe(true);
      await daemon.stop();
    },
  );

  alone(
    'is a path in `sequence`: one SYN to port 0 opens the door; here it is refused, with the right word',
    async ({ net, target }) => {
      const folder = scratchFolder();
      const conf = LONG.replace('7000,8000,9000', '/etc/knockd/sequences');
      const knockd = await startKnockd(net.server, folder, conf);
      await net.clientA.exec([
        'nmap',
        '-sS',
        '-n',
        '-Pn',
        '--send-ip',
        '-p',
        '0',
        '--max-retries',
        '0',
        target,
      ]);
      await knockd.waitFor('OPEN SESAME');
      await knockd.stop('SIGKILL');

      const said = await net.server.exec([...NFKNOCK, 'import', join(folder, 'knockd.conf')]);
      expect(said).toMatchObject({
        code: 3,
        stdout: '',
        stderr: expect.stringContaining('one_time_sequences'),
      });
    },
  );
});

/** The processes in the server's namespace that run a program of this name. */
async function pidsOf({ server }: Net, name: string): Promise<readonly number[]> {
  const pids = (await sh(server, `ip netns pids ${server.namespace}`))
    .split('\n')
    .filter(Boolean)
    .map(Number);
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
    } catch {
      return false;
    }
  });
}
