import type { Random } from '../../fuzz/random.ts';
import { nfknock } from '../../support/bans-lab.ts';
import { onServer, PUBLIC, type World } from './world.ts';

/** What is still to be seen once an attack is over. */
export type Aftermath = undefined | (() => Promise<void>);

/*
 * What has ended a daemon of this kind, or fooled it, in sizes around those that did. Each throws where the daemon was
 * impressed in another way than it may be, and leaves the machine as it was.
 */
export interface Attack {
  /**
   * `outside` leaves the daemon at work; `asks` wants its answers; `changes` its rules, which stand open or shut
   * meanwhile; `stops`: it can't answer, and whoever knocks waits until it is over.
   */
  readonly kind: 'outside' | 'asks' | 'changes' | 'stops';
  run(world: World, random: Random): Promise<Aftermath>;
}

/** Honest connections, as many at once as a browser's host makes. */
const CLIENT = `
  const net = require('net');
  let left = Number(process.argv[2]), open = 0;
  const next = () => { while (open < 100 && left > 0) { left -= 1; open += 1; const s = net.connect(${PUBLIC}, process.argv[1]);
    s.on('error', () => {}); s.resume(); s.on('connect', () => s.end()); s.on('close', () => { open -= 1; next(); }); } };
  next(); setTimeout(() => process.exit(), 8000).unref();
`;
/** Somewhat more or less each time, so that no number is met by chance alone; never fewer than the least. */
export function about({ scale }: World, random: Random, count: number, least: number): number {
  return Math.max(least, Math.round(count * scale * (0.7 + random(600) / 1_000)));
}

export async function flood(
  { net: { clientB }, flood: program }: World,
  args: readonly string[],
): Promise<void> {
  const { code, stderr } = await clientB.exec([program, '-d', clientB.server4, ...args]);
  if (code !== 0) throw new Error(`the flood: ${stderr}`);
}

export async function connectOften({ net: { clientB } }: World, times: number): Promise<void> {
  await clientB.exec([process.execPath, '-e', CLIENT, clientB.server4, `${times}`]);
}

export async function order(world: World, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await nfknock(world.net.server, world.daemon, ...args);
  if (code !== 0) throw new Error(`nfknock ${args.join(' ')}: ${stderr}`);
}

/** Rules of a chain of another program's, each for a source of its own. */
export function foreignRules(chain: string, count: number): readonly string[] {
  return Array.from(
    { length: count },
    (_, index) => `-A ${chain} -s 10.${index >> 16}.${(index >> 8) & 255}.${index & 255} -j DROP`,
  );
}

/** As another program does it, beside what is there. */
export function restoreFilter(world: World, lines: readonly string[]): Promise<string> {
  return onServer(world, ['iptables-restore', '--noflush'], `*filter\n${lines.join('\n')}\nCOMMIT\n`);
}
