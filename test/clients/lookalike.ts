import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Client, Net, Source } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { ROOT } from '../support/root.ts';

/** A configuration of examples/, with the places and addresses that this machine has. Its log goes to the test. */
export function example(
  name: string,
  places: Readonly<Record<string, string>> = {},
): Record<string, unknown> {
  let text = readFileSync(join(ROOT, 'examples', `${name}.yaml`), 'utf8');
  for (const [from, to] of Object.entries(places)) {
    if (!text.includes(from)) throw new Error(`${name}.yaml has no ${from}`);
    text = text.replaceAll(from, to);
  }
  const config = parse(text) as Record<string, unknown>;
  return { ...config, log: { level: 'info' }, metrics: null };
}

/** A new address, with the server as the way to everywhere else. */
export async function moveBehindServer(client: Client): Promise<Source> {
  const source = await client.moveToFreshSource();
  await client.exec(['ip', 'route', 'replace', 'default', 'via', client.server4, 'src', source.v4]);
  return source;
}

/** Makes client B a host behind the server, which listens on these ports; answers its address. */
export async function hostBehind(net: Net, ports: readonly number[]): Promise<string> {
  await net.server.exec(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await moveBehindServer(net.clientA);
  const { v4 } = await moveBehindServer(net.clientB);
  for (const port of ports) {
    startProcess(net.clientB.namespace, ['socat', `TCP-LISTEN:${port},reuseaddr,fork`, 'PIPE']);
    const deadline = performance.now() + 10_000;
    for (;;) {
      const { stdout } = await net.clientB.exec(['ss', '-Hltn', 'sport', '=', `:${port}`]);
      if (stdout !== '') break;
      if (performance.now() > deadline) throw new Error(`nothing listens on port ${port} behind the server`);
    }
  }
  return v4;
}
