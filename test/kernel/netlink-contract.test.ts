import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { atEnd } from '../support/cleanup.ts';
import { createLab, type Lab } from '../support/native-lab.ts';
import { ROOT } from '../support/root.ts';

/*
 * What every netlink socket must stand, said once and tried on each kind that the daemon holds: NFQUEUE and NFLOG,
 * the events of conntrack and of nf_tables, requests with their answers. `net.core.rmem_max` is the whole machine's:
 * each value holds for the tests under it alone.
 */
const RMEM_MAX = '/proc/sys/net/core/rmem_max';
const SOCKET = pathToFileURL(join(ROOT, 'dist/firewall/netlink/socket.js')).href;
/** Somewhat more or less each time, so that no number is met by chance alone. */
const about = (count: number): number => Math.round(count * (0.7 + 0.6 * Math.random()));

interface Kind {
  readonly name: string;
  /**
   * Defines `open({ heard, lost, receiveBuffer })`, which answers with what has `close`; `provoke(count)`, which makes
   * the kernel send about so much while the loop stands still; and `settled()`: what was asked for has its answer.
   */
  readonly script: string;
}

const events = (group: number, provoke: string): string => `
  const { openNetfilter } = await import('${SOCKET}');
  const open = ({ heard, lost, receiveBuffer }) => {
    const socket = openNetfilter({ onEvent: heard, onOverrun: lost, receiveBuffer });
    socket.join(${group});
    return socket;
  };
  const provoke = ${provoke};
  const settled = async () => {};
`;
/** Each burst has a seed of its own: a flow that conntrack knows already is no event. */
const burst = (port: number, ...options: readonly string[]): string => `(count) => {
  execFileSync(process.env.FLOOD, ['-d', '192.0.2.1', '-p', '${port}-${port + 400}', '-n', String(count),
    '-e', String(Math.floor(Math.random() * 1e9)), ${options.map((option) => `'${option}'`).join(', ')}]);
}`;
const native = (what: string): string => `
  const open = ({ heard, lost, receiveBuffer }) => {
    const source = new ${what}, onError, receiveBuffer, onBatch: (batch, packets) => {
      for (let i = 0; i < packets; i += 1) queueMicrotask(heard);
      const { userDropped, kernelDropped } = source.stats();
      if (userDropped + kernelDropped > 0) lost(userDropped + kernelDropped);
    } });
    return source;
  };
  const settled = async () => {};
`;

const KINDS: readonly Kind[] = [
  { name: 'NFQUEUE', script: `${native('NfQueue({ queue: 7')} const provoke = ${burst(7000)};` },
  { name: 'NFLOG', script: `${native('NfLog({ group: 5')} const provoke = ${burst(8000)};` },
  { name: 'events of conntrack', script: events(1, burst(9000, '-u')) },
  {
    name: 'events of nf_tables',
    script: events(
      7,
      `(count) => {
        const rules = Array.from({ length: count }, (_, i) =>
          '-A OTHER -s 10.' + (i >> 16) + '.' + ((i >> 8) & 255) + '.' + (i & 255) + ' -j DROP');
        const input = ['*filter', ':OTHER - [0:0]', ...rules, 'COMMIT', ''].join('\\n');
        execFileSync('iptables-restore', ['--noflush'], { input });
      }`,
    ),
  },
  {
    name: 'requests and answers',
    script: `
      const { openNetfilter } = await import('${SOCKET}');
      const asked = [];
      let asking;
      let tell;
      const open = ({ heard, lost, receiveBuffer }) => {
        tell = heard;
        asking = openNetfilter({ onOverrun: lost, receiveBuffer });
        return asking;
      };
      // A table that is not there is asked for: each question is refused, and comes back in its answer.
      const question = () => {
        const bytes = Buffer.alloc(28);
        bytes.writeUInt32LE(28, 0);
        bytes.writeUInt16LE((10 << 8) | 1, 4);
        bytes.writeUInt16LE(5, 6);
        bytes[16] = 2;
        bytes.writeUInt16LE(7, 20);
        bytes.writeUInt16LE(1, 22);
        bytes.write('zz', 24);
        return bytes;
      };
      const provoke = (count) => {
        for (let i = 0; i < count; i += 1)
          asked.push(asking.request(question()).then((answer) => tell(answer), (error) => error));
      };
      const settled = async () => {
        const answers = await Promise.all(asked.splice(0));
        if (answers.some((each) => each !== undefined && each.code !== 'ENOBUFS' && each.code !== 'CLOSED')) throw answers;
      };
    `,
  },
];

/** What every script begins with. */
const COMMON = `
  const { execFileSync } = await import('node:child_process');
  let uncaught = 0;
  // An exception of a listener is counted; one of the script itself ends it.
  process.on('uncaughtException', (error) => {
    uncaught += 1;
    if (error?.message === 'thrown') return;
    console.error(error);
    process.exit(1);
  });
  let heardCount = 0;
  let lostCount = 0;
  const heard = () => { heardCount += 1; };
  const lost = (count) => { lostCount += count; };
`;

let lab: Lab;
let preload: string;
/** What the machine had, put back whatever becomes of a test. */
const before = readFileSync(RMEM_MAX, 'utf8');
const restore = (): void => writeFileSync(RMEM_MAX, before);
atEnd(restore);

beforeAll(() => {
  lab = createLab();
  preload = join(lab.folder, 'fail_recvmsg.so');
  const source = join(ROOT, 'native/test/fail_recvmsg.c');
  execFileSync('cc', ['-O2', '-D_GNU_SOURCE', '-shared', '-fPIC', '-o', preload, source, '-ldl']);
  const rules = '*filter\n-A INPUT -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n';
  execFileSync('ip', ['netns', 'exec', lab.namespace, 'iptables-restore', '--noflush'], { input: rules });
});
afterEach(() => lab.killAll());
afterAll(() => lab.close());

describe.each([
  ['212,992 bytes', 212_992],
  ['64 MB', 64 * 1024 * 1024],
])('where net.core.rmem_max is %s', (_, rmemMax) => {
  beforeAll(() => writeFileSync(RMEM_MAX, `${rmemMax}`));
  afterAll(restore);

  describe.each(KINDS)('$name', ({ script }) => {
    test('a burst while the loop stands still is lost in part, counted, and nothing ends', async () => {
      const [first, then] = await lab.run(`${COMMON}${script}
        const socket = open({ heard, lost, receiveBuffer: 16_384 });
        provoke(${about(3000)});
        await settled();
        await sleep(300);
        say([heardCount > 0, lostCount > 0, uncaught]);
        heardCount = 0;
        provoke(5);
        await settled();
        await until(() => heardCount > 0);
        say(heardCount > 0);
        socket.close();
      `);
      expect(first).toEqual([true, true, 0]);
      expect(then).toBe(true);
    });

    // Against: a netlink socket overrun, ended, or sent forged messages
    // by: read in `native/`, opened anew
    test('reports of a full buffer, where the kernel sends them after all, end nothing', async () => {
      const running = lab.start(`${COMMON}${script}
        const socket = open({ heard, lost, receiveBuffer: 16_384 });
        say('open');
        await told();
        for (let time = 0; time < 3; time += 1) {
          provoke(${about(2000)});
          await settled();
          await sleep(100);
        }
        say([lostCount > 0, uncaught]);
        heardCount = 0;
        provoke(5);
        await settled();
        await until(() => heardCount > 0);
        say('alive');
        socket.close();
      `);
      await running.next();
      await lab.tamper(running, 'enobufs');
      running.tell('go');
      expect(await running.next()).toEqual([true, 0]);
      expect(await running.next()).toBe('alive');
      expect(await running.ended()).toMatchObject({ code: 0 });
    });

    test('a listener that throws costs what it was told of, and no more', async () => {
      const [said] = await lab.run(`${COMMON}${script}
        let calls = 0;
        const socket = open({ lost, heard: () => { calls += 1; if (calls % 2 === 1) throw new Error('thrown'); } });
        provoke(${about(40)});
        await settled().catch(() => {});
        await sleep(300);
        provoke(5);
        await settled().catch(() => {});
        await sleep(300);
        say([calls > 5, lostCount]);
        socket.close();
      `);
      expect(said).toEqual([true, 0]);
    });

    test('what another process sends to it is no message', async () => {
      const running = lab.start(`${COMMON}${script}
        const socket = open({ heard, lost });
        say('open');
        await told();
        await sleep(50);
        say([heardCount, lostCount, uncaught]);
        provoke(5);
        await settled();
        await until(() => heardCount > 0);
        say('alive');
        socket.close();
      `);
      await running.next();
      await lab.tamper(running, 'forge', `${running.pid}`);
      running.tell('go');
      expect(await running.next()).toEqual([0, 0, 0]);
      expect(await running.next()).toBe('alive');
      expect(await running.ended()).toMatchObject({ code: 0 });
    });

    test('it is closed while it waits, and twice: nothing comes after it', async () => {
      const [said] = await lab.run(`${COMMON}${script}
        for (let time = 0; time < 20; time += 1) {
          const socket = open({ heard, lost });
          provoke(${about(20)});
          socket.close();
          socket.close();
          const then = heardCount;
          await settled();
          await sleep(2);
          if (heardCount !== then) say('heard after its end');
        }
        say(uncaught);
      `);
      expect(said).toBe(0);
    });

    test('it is closed by its own listener', async () => {
      const [said] = await lab.run(`${COMMON}${script}
        let calls = 0;
        const socket = open({ lost, heard: () => { calls += 1; socket.close(); } });
        provoke(${about(100)});
        await settled().catch(() => {});
        await sleep(100);
        say([calls > 0, uncaught]);
      `);
      expect(said).toEqual([true, 0]);
    });
  });
});

describe.each(KINDS.filter(({ name }) => name.startsWith('events')))('$name', ({ script }) => {
  test('a socket that the kernel has ended is opened anew, and what was missed is told', async () => {
    const file = join(lab.folder, 'fail');
    const [said] = await lab.run(
      `${COMMON}${script}
        const { writeFileSync } = await import('node:fs');
        // Not for the children that provoke it.
        delete process.env.LD_PRELOAD;
        const socket = open({ heard, lost });
        provoke(5);
        await until(() => heardCount > 0);
        writeFileSync('${file}', '');
        provoke(5);
        await until(() => lostCount > 0);
        heardCount = 0;
        provoke(5);
        await until(() => heardCount > 0);
        say(uncaught);
        socket.close();
      `,
      { before: ['env', `LD_PRELOAD=${preload}`, `FAIL_RECVMSG=${file}`] },
    );
    expect(said).toBe(0);
  });
});
