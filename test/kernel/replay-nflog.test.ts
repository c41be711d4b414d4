import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createNet } from '../support/net.ts';
import { execute, startProcess } from '../support/process.ts';
import { temporaryFolder } from '../support/scratch.ts';
import { built } from '../unit/cli/built.ts';

const CONFIG = 'doors:\n  ssh:\n    knock: [7000/tcp, 8000/udp, 9000/tcp]\n    opens: [22/tcp]\n';
const WAIT_MS = 10_000;

test('what tcpdump -i nflog writes of a knock opens the door in a replay, over IPv4 and IPv6', {
  timeout: 60_000,
}, async () => {
  const net = await createNet();
  const folder = temporaryFolder();
  try {
    const { server, clientA } = net;
    for (const tool of ['iptables', 'ip6tables'])
      await server.exec([tool, '-A', 'INPUT', '-i', 'toA', '-j', 'NFLOG', '--nflog-group', '7']);
    const file = join(folder, 'nflog.pcap');
    const tcpdump = startProcess(server.namespace, ['tcpdump', '-i', 'nflog:7', '-U', '-w', file]);
    // Its header is written once it listens.
    await until(() => existsSync(file) && statSync(file).size >= 24);
    await sleep(200);
    for (const [family, host] of [
      ['-4', clientA.server4],
      ['-6', clientA.server6],
    ] as const)
      await clientA.exec(['knock', family, '-d', '50', host, '7000', '8000:udp', '9000']);
    let size = 0;
    await until(() => {
      const grown = statSync(file).size;
      const rests = grown === size && grown > 300;
      size = grown;
      return rests;
    });
    tcpdump.kill('SIGTERM');
    writeFileSync(join(folder, 'c.yaml'), CONFIG);
    const { v4, v6 } = clientA.source();
    const replay = await execute(server.namespace, [
      process.execPath,
      join(built(), 'bin/nfknock.js'),
      'replay',
      file,
      '-c',
      join(folder, 'c.yaml'),
      '--address',
      `${clientA.server4},${clientA.server6}`,
    ]);
    const opened = replay.stdout.split('\n').filter((line) => line.includes('"door.opened"'));
    expect(replay.stderr).toBe('');
    for (const source of [v4, v6])
      expect(opened.some((line) => line.includes(`"source":"${source}"`))).toBe(true);
    expect(opened).toHaveLength(2);
  } finally {
    net.close();
  }
});

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('tcpdump has written nothing');
    await sleep(100);
  }
}
