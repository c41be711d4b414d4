import { type Daemon, NFKNOCK } from './daemon.ts';
import type { Host } from './net.ts';
import type { Result } from './process.ts';

/** A ban as `nfknock bans --json` shows it. */
export interface BanRow {
  readonly target: string;
  readonly until: string;
  readonly count: number;
}

const SETS = ['nfknock-ban4', 'nfknock-ban6'];

/** Who is banned in the kernel, as `ipset` shows it to anyone: seconds left by address or network. */
export async function kernelBans(server: Host): Promise<ReadonlyMap<string, number>> {
  const members = new Map<string, number>();
  for (const set of SETS) {
    const { code, stdout, stderr } = await server.exec(['ipset', 'save', set]);
    if (code !== 0) throw new Error(`ipset save ${set}: ${stderr}`);
    for (const [, target = '', seconds] of stdout.matchAll(/^add \S+ (\S+) timeout (\d+)/gm))
      members.set(target, Number(seconds));
  }
  return members;
}

/** Who is banned as the daemon sees it. */
export async function daemonBans(server: Host, daemon: Daemon): Promise<readonly BanRow[]> {
  const { stdout } = await nfknock(server, daemon, 'bans', '--json');
  return JSON.parse(stdout) as readonly BanRow[];
}

/** Runs a command of the command line against a daemon. */
export function nfknock(server: Host, daemon: Daemon, ...args: readonly string[]): Promise<Result> {
  return server.exec([...NFKNOCK, ...args, '-c', daemon.config]);
}
