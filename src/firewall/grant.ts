import type { Family } from '../packet/address.ts';
import { formatCidr, parseCidr } from '../packet/cidr.ts';
import type { Grantee, HeldGrant } from './firewall.ts';
import type { Layout, Opening } from './rules/layout.ts';
import { checkedDoor, doorSet, type Table } from './rules/names.ts';

/** One rule and where it goes. */
export interface PlacedRule {
  readonly table: Table;
  readonly chain: string;
  /** Without `-A CHAIN`. */
  readonly rule: string;
}

/** The last moment that iptables can parse as `--datestop`: 2038-01-19T03:14:07Z, in seconds since 1970. */
const DATESTOP_SECONDS_MAX = 2_147_483_647;

/**
 * The rules that let a grantee in, in one family: none where the grantee or the door is of the other. They end
 * by themselves at `until` (ms since 1970), which the kernel reads as the end of that second.
 */
export function grantRules(layout: Layout, grant: HeldGrant, family: Family): readonly PlacedRule[] {
  if (!hasFamily(grant.grantee, family)) return [];
  const openings = layout.openings[family].get(grant.door) ?? [];
  const source = grant.grantee === 'any' ? '' : `-s ${formatCidr(grant.grantee)} `;
  const comment = `-m comment --comment "nfknock door=${checkedDoor(grant.door)} until=${Math.floor(grant.until)}"`;
  const tail = `-m time --datestop ${datestop(grant.until)} ${comment}`;
  return openings.map((opening) => placed(opening, source, tail));
}

/** The standing rules of a door under `grants: set`: who is let in is in the door's set. */
export function setRules(layout: Layout, door: string, family: Family): readonly PlacedRule[] {
  const match = `-m set --match-set ${doorSet(door, family)} src`;
  const tail = `${match} -m comment --comment "nfknock door=${checkedDoor(door)}"`;
  return (layout.openings[family].get(door) ?? []).map((opening) => placed(opening, '', tail));
}

/** Reads a grant back from a rule as `iptables -S` writes it; undefined for any other rule. */
export function parseGrant(line: string): HeldGrant | undefined {
  const comment = /--comment "nfknock door=(\S+) until=(\d{1,16})"/.exec(line);
  if (comment === null) return undefined;
  const [, door = '', until = ''] = comment;
  const source = / -s (\S+)/.exec(line)?.[1];
  const grantee = source === undefined ? 'any' : parseCidr(source);
  return grantee === undefined ? undefined : { door, grantee, until: Number(until) };
}

export function hasFamily(grantee: Grantee, family: Family): boolean {
  return grantee === 'any' || grantee.address.family === family;
}

function placed({ table, chain, match, target }: Opening, source: string, tail: string): PlacedRule {
  return { table, chain, rule: `${source}${match} -m conntrack --ctstate NEW ${tail} ${target}` };
}

/** As `--datestop` takes it: UTC, whole seconds; the kernel counts that second in. */
function datestop(until: number): string {
  const seconds = Math.min(Math.max(0, Math.floor(until / 1000)), DATESTOP_SECONDS_MAX);
  return new Date(seconds * 1000).toISOString().slice(0, 19);
}
