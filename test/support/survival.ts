import { expect, vi } from 'vitest';
import { parseGrant } from '../../src/firewall/grant.ts';
import { formatCidr } from '../../src/packet/cidr.ts';
import { ask } from './asked.ts';
import type { Daemon, Line } from './daemon.ts';
import type { Host } from './net.ts';

/** A grant or a ban as a text to compare: who, of which door. */
export type Key = string;

/** What a daemon has announced, over all its lives: what is in force, and until when (ms since 1970). */
export interface Announced {
  readonly grants: Map<Key, number>;
  readonly bans: Map<Key, number>;
  take(lines: readonly Line[]): void;
}

/** Milliseconds before its end in which something may be here or gone. */
const FADING = 700;
/**
 * Wall time is kept in whole milliseconds, and each start reads anew how far it is from the monotonic clock, which a
 * busy machine may interrupt. In milliseconds.
 */
const ROUNDING = 60;
/** Milliseconds until what runs out between two looks has run out for both. */
const SETTLES_WITHIN = 4_000;

export function announced(): Announced {
  const grants = new Map<Key, number>();
  const bans = new Map<Key, number>();
  return {
    grants,
    bans,
    take(lines) {
      for (const { event, door, source = '', until = '' } of lines) {
        if (event === 'door.opened' || event === 'door.renewed') {
          grants.set(grantOf(door, source), Date.parse(until));
        } else if (event === 'door.closed') grants.delete(grantOf(door, source));
        else if (event === 'ban.added' || event === 'ban.extended') bans.set(source, Date.parse(until));
        else if (event === 'ban.lifted' || event === 'ban.expired') bans.delete(source);
      }
    },
  };
}

export function grantOf(door: string | undefined, address: string): Key {
  return `${door} ${address}`;
}

/** Each ACCEPT rule of a grant in both families: whose, and until when. Throws for one without an end. */
export async function acceptRules(server: Host): Promise<readonly (readonly [Key, number])[]> {
  const tables = await Promise.all(
    ['iptables', 'ip6tables'].map((tool) => server.exec([tool, '-S', 'NFKNOCK-GRANT'])),
  );
  const rules = tables.flatMap(({ stdout }) => stdout.split('\n')).filter((line) => line.startsWith('-A '));
  return rules.map((rule) => {
    const grant = parseGrant(rule);
    const stop = /--datestop (\S+)/.exec(rule)?.[1];
    if (grant === undefined || stop === undefined) throw new Error(`a rule without an end: ${rule}`);
    // The kernel's end is never after the second in which the grant ends.
    expect(Date.parse(`${stop}Z`)).toBeLessThanOrEqual(grant.until);
    const who = grant.grantee === 'any' ? 'any' : formatCidr(grant.grantee);
    return [grantOf(grant.door, who), grant.until] as const;
  });
}

/** The bans in the kernel's sets: of whom, and how many seconds are left. */
export async function bansInForce(server: Host): Promise<ReadonlyMap<Key, number>> {
  const { stdout } = await server.exec(['sh', '-c', 'ipset list nfknock-ban4; ipset list nfknock-ban6']);
  return new Map(
    [...stdout.matchAll(/^(\S+) timeout (\d+)$/gm)].map(([, target = '', left]) => [target, Number(left)]),
  );
}

/**
 * Kernel, `grants`, `bans` and `status` say the same, and nothing that was announced and has not ended is missing.
 * `known` are those who ever were let in or banned: there is nobody else.
 */
export async function expectAgreement(
  daemon: Daemon,
  server: Host,
  said: Announced,
  known: ReadonlySet<string>,
): Promise<void> {
  // What ends between two looks is on one side only for a moment.
  await vi.waitFor(
    async () => {
      const status = await ask(daemon, { command: 'status' });
      const grants = await ask(daemon, { command: 'grants' });
      const bans = await ask(daemon, { command: 'bans' });
      const rules = await acceptRules(server);
      const banned = await bansInForce(server);
      const mine = grants.map((row) => grantOf(row.door, row.grantee));
      expect(rules.map(([key]) => key).sort()).toEqual(mine.sort());
      const until = new Map(grants.map((row) => [grantOf(row.door, row.grantee), Date.parse(row.until)]));
      for (const [key, end] of rules) {
        expect(Math.abs(end - (until.get(key) ?? 0)), key).toBeLessThanOrEqual(ROUNDING);
      }
      expect([...banned.keys()].sort()).toEqual(bans.map((row) => row.target).sort());
      expect(status.doors.reduce((sum, door) => sum + door.open, 0)).toBe(grants.length);
      expect(status.bans).toBe(bans.length);
      expect(status.problems).toEqual([]);
    },
    { timeout: SETTLES_WITHIN, interval: 50 },
  );
  await expectKept(daemon, said, known);
}

async function expectKept(daemon: Daemon, said: Announced, known: ReadonlySet<string>): Promise<void> {
  const lives = (end: number): boolean => end > Date.now() + FADING;
  const grants = await ask(daemon, { command: 'grants' });
  const bans = await ask(daemon, { command: 'bans' });
  const open = new Map(grants.map((row) => [grantOf(row.door, row.grantee), Date.parse(row.until)]));
  const banned = new Map(bans.map((row) => [row.target, Date.parse(row.until)]));
  for (const [kept, promised] of [
    [open, said.grants],
    [banned, said.bans],
  ] as const) {
    for (const [key, end] of promised) {
      if (!lives(end)) continue;
      expect(kept.has(key), `${key} until ${new Date(end).toISOString()} was announced and is gone`).toBe(
        true,
      );
      // Later, where a renewal was kept and in force, and not yet said.
      expect(kept.get(key), key).toBeGreaterThanOrEqual(end - ROUNDING);
    }
  }
  for (const row of grants) {
    expect(known.has(row.source), `${row.source} was never let in at ${row.door}`).toBe(true);
    expect(Date.parse(row.until)).toBeGreaterThan(Date.now() - FADING);
  }
  for (const row of bans) expect(known.has(row.target), `${row.target} was never banned`).toBe(true);
}
