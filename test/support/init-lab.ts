import { NFKNOCK } from './daemon.ts';
import { createNet, type Net } from './net.ts';
import { type Result, startProcess } from './process.ts';

export const SERVICE = 22;
export const WEB = 8080;
/** What init may write to. */
const FOLDERS = [
  '/etc/nfknock',
  '/var/lib/nfknock',
  '/var/lib/nfknock-rollback',
  '/var/log/nfknock',
  '/run/nfknock',
];

/** A machine in which nothing of nfknock is yet: a network of its own, and files over this machine's. */
export interface InitLab {
  readonly net: Net;
  /** What runs a command in it. */
  inside(): readonly string[];
  sh(script: string): Promise<Result>;
  nfknock(args: readonly string[], timeout: number): Promise<Result>;
  /** All that init may change, as text. */
  machine(): Promise<string>;
  close(): void;
}

export async function createInitLab(): Promise<InitLab> {
  const net = await createNet();
  for (const port of [SERVICE, WEB]) await net.server.listen(port);
  // Layers over this machine's own, in which nothing of nfknock is: what is made in them is gone with the mounts.
  const over = (folder: string): string =>
    `mkdir -p /mnt/${folder}/upper /mnt/${folder}/work; mount -t overlay overlay -o lowerdir=/${folder},upperdir=/mnt/${folder}/upper,workdir=/mnt/${folder}/work /${folder}`;
  const script = `
    mount --make-rprivate /; mount -t tmpfs tmpfs /mnt; mount -t tmpfs -o mode=755 tmpfs /run
    ${['etc', 'var/lib', 'var/log'].map(over).join('; ')}
    rm -rf ${FOLDERS.join(' ')}; echo ready; exec sleep 1000`;
  // Holds the mounts in which all runs.
  const holder = startProcess(net.server.namespace, ['unshare', '--mount', 'sh', '-ec', script]);
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  const inside = (): readonly string[] => ['nsenter', '--mount', '--target', `${holder.pid}`];
  const sh = (line: string): Promise<Result> => net.server.exec([...inside(), 'sh', '-c', line]);
  await sh('for tool in iptables ip6tables; do $tool -P INPUT ACCEPT; $tool -A FORWARD -j ACCEPT; done');
  return {
    net,
    inside,
    sh,
    nfknock: (args, timeout) =>
      net.server.exec([...inside(), 'env', 'USER=ada', ...NFKNOCK, ...args], { timeout }),
    async machine() {
      const files = FOLDERS.map(
        (each) => `find ${each} -type f -exec sha256sum {} + -o -printf "%M %u %p\\n"`,
      );
      const tables = 'for t in iptables ip6tables; do $t-save; done | grep -v "^#" | sed "s/ \\[.*//"';
      return (await sh(`${files.join('; ')}; ${tables}; ipset list -n`)).stdout;
    },
    close() {
      net.close();
    },
  };
}
