import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd } from './cleanup.ts';
import { NFKNOCK } from './daemon.ts';
import type { Host } from './net.ts';

const NOBODY = 65_534;

/** What a protected port saw, counted by the kernel itself on both sides of nfknock's rules. */
export interface Passed {
  /** SYNs of the owner that arrived at the machine. */
  readonly owner: number;
  /** Those of them that nfknock let in. */
  readonly ownerLetIn: number;
  /** SYNs of everyone else that arrived. */
  readonly strangers: number;
  /** Those of them that got past nfknock: a leak. */
  readonly leaked: number;
}

export interface PortWatch {
  read(): Promise<Passed>;
}

const SYN = ['-p', 'tcp', '--syn', '--dport'];

/** Counts in `raw` PREROUTING, before every rule of nfknock's, and in `security` INPUT, after them all. */
export async function watchPort(server: Host, port: number, owner: string): Promise<PortWatch> {
  for (const [table, chain] of [
    ['raw', 'PREROUTING'],
    ['security', 'INPUT'],
  ] as const) {
    for (const source of [
      ['-s', owner],
      ['!', '-s', owner],
    ]) {
      const rule = ['-A', chain, ...source, ...SYN, `${port}`];
      const { code, stderr } = await server.exec(['iptables', '-t', table, ...rule]);
      if (code !== 0) throw new Error(stderr);
    }
  }
  const counts = async (table: string, chain: string): Promise<readonly [number, number]> => {
    const { stdout } = await server.exec(['iptables', '-t', table, '-nvxL', chain]);
    const rows = stdout
      .split('\n')
      .slice(2)
      .filter((row) => row.includes(`dpt:${port} `) || row.endsWith(`dpt:${port}`));
    const [owner = 0, others = 0] = rows.map((row) => Number(row.trim().split(/\s+/)[0]));
    return [owner, others];
  };
  return {
    async read() {
      // What is let in is read first: a packet between the two reads then counts as arrived only.
      const [ownerLetIn, leaked] = await counts('security', 'INPUT');
      const [ownerArrived, strangers] = await counts('raw', 'PREROUTING');
      return { owner: ownerArrived, ownerLetIn, strangers, leaked };
    },
  };
}

/** A folder of the user's own. */
export function ownFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-user-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  chownSync(folder, NOBODY, NOBODY);
  return folder;
}

/** As systemd makes him. Where the tree lies in somebody's home, root without his powers takes the user's place. */
export async function asUser(server: Host): Promise<readonly string[]> {
  const only = '-all,+net_admin';
  const caps = [`--inh-caps=${only}`, `--ambient-caps=${only}`, `--bounding-set=${only}`, '--no-new-privs'];
  const other = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  const readable = (await server.exec(['setpriv', ...other, 'test', '-r', NFKNOCK[1] ?? ''])).code === 0;
  const setpriv = ['setpriv', ...(readable ? other : ['--securebits=+noroot']), ...caps];
  const script = 'mount -t proc -o subset=pid,hidepid=invisible proc /proc && exec "$@"';
  return ['sh', '-c', script, 'sh', ...setpriv];
}
