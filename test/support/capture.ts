import { createInterface } from 'node:readline';
import { startProcess } from './process.ts';

/** A packet as tcpdump saw it. */
export interface Seen {
  /** Seconds since 1970. */
  readonly time: number;
  readonly protocol: 'tcp' | 'udp';
  readonly sourcePort: number;
  readonly port: number;
  readonly text: string;
}

export interface Capture {
  /** What has been seen so far, in the order of arrival. */
  readonly packets: readonly Seen[];
  stop(): Promise<void>;
}

/** Watches an interface; resolves once nothing is missed any more. */
export async function capture(namespace: string, link: string, filter: string): Promise<Capture> {
  const argv = [
    'tcpdump',
    '-i',
    link,
    '-n',
    '-tt',
    '-l',
    '--immediate-mode',
    '-Q',
    'in',
    ...filter.split(' '),
  ];
  const child = startProcess(namespace, argv);
  const packets: Seen[] = [];
  createInterface({ input: child.stdout }).on('line', (text) => {
    const match = /^(\d+\.\d+) IP6? \S+[.](\d+) > \S+[.](\d+): (.*)$/.exec(text);
    if (match === null) return;
    const [, time, sourcePort, port, rest = ''] = match;
    const protocol = rest.startsWith('Flags') ? 'tcp' : 'udp';
    packets.push({
      time: Number(time),
      protocol,
      sourcePort: Number(sourcePort),
      port: Number(port),
      text: rest,
    });
  });
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (text) => {
      if (text.startsWith('listening on')) resolve();
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`tcpdump ended with ${code}`)));
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  return {
    packets,
    stop: async () => {
      child.kill('SIGINT');
      await ended;
    },
  };
}
