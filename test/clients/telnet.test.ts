import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { atEnd } from '../support/cleanup.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Result } from '../support/process.ts';
import { ROOT } from '../support/root.ts';

const SERVICE = 22;
/** The Decred guide's ports, its times and its closing door. */
const CONFIG = {
  listen: { source: 'nflog' },
  answer: 'closed',
  doors: {
    openssh: {
      knock: ['7532/tcp', '2357/tcp', '7235/tcp'],
      close: ['7235/tcp', '2357/tcp', '7532/tcp'],
      within: '5s',
      opens: [`${SERVICE}/tcp`],
      for: '10m',
    },
    by_hand: { knock: ['7100/tcp', '2100/tcp', '7101/tcp', '2101/tcp'], opens: ['2222/tcp'] },
  },
  decoys: 'all',
};
/** Three telnets, one after the other, as such guides have them; $0 is the server. */
const OPEN = 'telnet $0 7532; telnet $0 2357; telnet $0 7235';
const CLOSE = 'telnet $0 7235; telnet $0 2357; telnet $0 7532';
/** Somebody who types each command. In a shell of his own a telnet that hangs would wait for two minutes. */
const BY_HAND = 'for port in 7100 2100 7101 2101; do telnet $0 $port; sleep 1.5; done';

const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4' },
  { family: 'IPv6', server: 'server6', source: 'v6' },
] as const;

describe.each(FAMILIES)('with `answer: closed`, over $family', ({ server, source }) => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    for (const port of [SERVICE, 2222]) await net.server.listen(port);
    daemon = await net.server.startDaemon(CONFIG);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const run = (script: string): Promise<Result> =>
    net.clientA.exec(['sh', '-c', script, net.clientA[server]], { timeout: 20_000 });

  it('three telnets one after the other open the door, and in reverse close it', async () => {
    const { [source]: address } = await net.clientA.moveToFreshSource();
    const target = net.clientA[server];
    const { signal, stderr } = await run(OPEN);
    expect(signal).toBeNull();
    expect(stderr.match(/Connection refused/g)).toHaveLength(3);
    await daemon.waitFor({ event: 'door.opened', source: address, door: 'openssh' });
    expect(await net.clientA.canConnect(target, SERVICE)).toBe(true);
    // A close does not begin within 5 s of the opening.
    await sleep(5_500);
    await run(CLOSE);
    await daemon.waitFor({ event: 'door.closed', source: address, door: 'openssh' });
    expect(await net.clientA.canConnect(target, SERVICE)).toBe(false);
    expect(daemon.seen({ event: 'knock.wrong', source: address })).toEqual([]);
  });

  it('telnets typed by hand open a door of four knocks', async () => {
    const { [source]: address } = await net.clientA.moveToFreshSource();
    const { signal } = await run(BY_HAND);
    expect(signal).toBeNull();
    await daemon.waitFor({ event: 'door.opened', source: address, door: 'by_hand' });
    expect(await net.clientA.canConnect(net.clientA[server], 2222)).toBe(true);
  });
});

/* Each as it stands on the page, word for word: the client has the page's name for the server in its hosts. */
describe.each(FAMILIES)('a script of docs/clients.md, over $family', ({ server, source }) => {
  const PAGE = readFileSync(join(ROOT, 'docs/clients.md'), 'utf8');
  const scripts = [...PAGE.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  const ofTool = (tool: RegExp): string => scripts.find((text) => tool.test(text)) ?? expect.unreachable();
  const doors = { ssh: { knock: [27041, 11873, 45119], opens: [SERVICE], for: '1m' } };
  let net: Net;
  let daemon: Daemon | undefined;
  let hosts: string;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
    hosts = join('/etc/netns', net.clientA.namespace);
    mkdirSync(hosts, { recursive: true });
    atEnd(() => rmSync(hosts, { recursive: true, force: true }));
    writeFileSync(join(hosts, 'hosts'), `${net.clientA[server]} HOST\n`);
  });
  afterAll(() => {
    net?.close();
    rmSync(hosts, { recursive: true, force: true });
  });
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
  });

  it.each([
    ['telnet', 'closed', /^telnet HOST/],
    ['telnet that is ended', 'drop', /timeout .* telnet/],
    ['nc', 'closed', /^ *nc -z -w 1 HOST \$port$/m],
    ['nc', 'drop', /^ *nc -z -w 1 HOST \$port$/m],
    ...(server === 'server4'
      ? [['hping3', 'closed', /hping3/] as const, ['hping3', 'drop', /hping3/] as const]
      : []),
  ] as const)(
    'of %s opens with `answer: %s`, and strikes nobody',
    async (_, answer, tool) => {
      const { [source]: address } = await net.clientA.moveToFreshSource();
      const listen = answer === 'closed' ? { listen: { source: 'nflog' } } : {};
      daemon = await net.server.startDaemon({ ...listen, answer, doors, decoys: 'all' });
      const { signal } = await net.clientA.exec(['sh', '-c', ofTool(tool)], {
        timeout: 20_000,
      });
      expect(signal).toBeNull();
      const opened = await daemon.waitFor({ event: 'door.opened', door: 'ssh' });
      // hping3 takes the first address of the interface, and this client has several.
      if (opened.source !== address) expect(`${tool}`).toContain('hping3');
      else expect(await net.clientA.canConnect(net.clientA[server], SERVICE)).toBe(true);
      const offences = ['knock.wrong', 'decoy.hit', 'knock.too_fast', 'knock.expired', 'scan.detected'];
      for (const event of offences) expect(daemon.seen({ event }), event).toEqual([]);
    },
    30_000,
  );
});
