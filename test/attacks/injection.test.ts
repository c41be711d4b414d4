import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import { nfknock } from '../support/bans-lab.ts';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* Text from the network, or from people, that wants to be a command, a line of the log or a terminal's order. */

const LATE = 15_000;
const folder = temporaryFolder();
const trap = join(folder, 'trapped');
const noted = join(folder, 'noted');
const EVIL = `\n\u001b[2J{"time":"x","level":"info","event":"door.opened","source":"203.0.113.1"}\n\u001b[2J; touch ${trap}; $(touch ${trap}) \`touch ${trap}\` ' " -j ACCEPT`;

const CONFIG = {
  doors: {
    ssh: {
      knock: ['7000/udp', '8000/udp'],
      opens: [22],
      on_open: ['/bin/sh', '-c', 'printf "<%s>" "$@" >>"$0"', noted, '%IP%', '%DOOR%', '%PORTS%'],
    },
  },
  decoys: ['23/udp'],
  bans: { strikes: 100 },
};
/** What is on a line of the log, and nothing else. */
const FIELDS = [
  'time',
  'level',
  'event',
  'source',
  'door',
  'port',
  'reason',
  'until',
  'strikes',
  'step',
  'of',
].concat(['ports', 'count', 'version', 'address', 'shadow', 'ms', 'grantee']);

let net: Net;
let daemon: Daemon;
beforeAll(async () => {
  net = await createNet();
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

const say = (port: number, text: string, six: boolean): Promise<unknown> => {
  const { server4, server6, exec } = net.clientA;
  const to = six ? `UDP6:[${server6}]:${port}` : `UDP4:${server4}:${port}`;
  return exec(['socat', '-t', '0', '-u', '-', to], { input: text });
};

describe('what a packet carries', () => {
  // Against: text in packets that wants into logs, rules or a shell
  // by: no such text is ever kept
  it.each([
    ['IPv4', false],
    ['IPv6', true],
  ])('over %s reaches no log, no command and no shell', async (_, six) => {
    const { v4, v6 } = await net.clientA.moveToFreshSource();
    const source = six ? v6 : v4;
    for (const port of [23, 7000, 8000]) {
      await say(port, EVIL, six);
      await sleep(30);
    }
    await daemon.waitFor({ event: 'door.opened', source }, LATE);
    const wanted = `<${source}><ssh><22/tcp>`;
    for (
      let look = 0;
      look < 100 && !(existsSync(noted) && readFileSync(noted, 'utf8').includes(wanted));
      look += 1
    )
      await sleep(50);
    expect(readFileSync(noted, 'utf8')).toContain(wanted);
    expect(existsSync(trap)).toBe(false);
    expect(daemon.noise).toEqual([]);
    expect(daemon.seen({ source: '203.0.113.1' })).toEqual([]);
    for (const line of daemon.lines) {
      expect(FIELDS).toEqual(expect.arrayContaining(Object.keys(line)));
      expect(JSON.stringify(line)).not.toMatch(/touch|\\u001b|ACCEPT/);
    }
  });
});

describe('what a client of the control socket says', () => {
  it.each([`198.51.100.7${EVIL}`, '198.51.100.7/0', '198.51.100.7 -j ACCEPT', '-j', '%IP%', '$(reboot)'])(
    'is no address unless it is one (%j)',
    async (address) => {
      await expect(ask(daemon, { command: 'grant', door: 'ssh', address })).rejects.toThrow();
      await expect(ask(daemon, { command: 'ban', address })).rejects.toThrow();
    },
  );

  // Against: terminal escapes in a reason
  // by: refused, and escaped where shown
  it('as the reason of a grant is one field of one line, and a terminal is never given it raw', async () => {
    const address = '198.51.100.77';
    const reason = `; touch ${trap} $(touch ${trap}) ' " -j ACCEPT`;
    await expect(
      ask(daemon, { command: 'grant', door: 'ssh', address, reason: EVIL.slice(0, 20) }),
    ).rejects.toThrow('printable');
    await ask(daemon, { command: 'grant', door: 'ssh', address, reason });
    await daemon.waitFor({ event: 'door.opened', source: address }, LATE);
    const { stdout } = await nfknock(net.server, daemon, 'grants');
    expect(stdout).toContain(address);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
    expect(stdout.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f]/);
    expect(stdout.split('\n').filter((line) => line.startsWith('{'))).toEqual([]);
    const rules = (await net.server.exec(['iptables-save'])).stdout;
    expect(rules).not.toContain('touch');
    expect(existsSync(trap)).toBe(false);
    expect(daemon.noise).toEqual([]);
  });

  // Against: the control socket used by others
  // by: mode 0660 from its first instant
  it('is not heard at all from a user who is neither owner nor of the group', async () => {
    const status = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
    // The folder of the test is open to him; the socket is not.
    await net.server.exec(['chmod', '755', daemon.folder]);
    await net.server.exec(['chmod', '644', daemon.config]);
    const { code, stderr } = await net.server.exec([...status, ...NFKNOCK, 'status', '-c', daemon.config]);
    expect(code).toBe(4);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});
