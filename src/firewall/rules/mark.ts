import type { Family } from '../../packet/address.ts';
import { formatCidr } from '../../packet/cidr.ts';
import type { Door } from '../../policy/config.ts';
import { knocksOf } from '../../policy/port-roles.ts';
import { common, dports, hasPorts, type Ports, portsOf, union, without } from '../../policy/port-set.ts';
import type { Layout, Opening } from './layout.ts';
import { CHAIN, JUMP_COMMENT } from './names.ts';
import type { Chain, Jump } from './rules.ts';

/*
 * `grant_mark`: what a table of others can accept by. It is put on in mangle PREROUTING, which comes before every chain
 * of INPUT and FORWARD, whatever their priority, and after connection tracking. Two kinds of packets get it: new ones of
 * who holds a grant, to what the door opens; and knocks, which our own chain takes to the daemon and drops. Where a
 * table of others is asked before ours, no knock would arrive otherwise.
 */

/** Of packets that are not for this machine, none is a knock, and none is let in by a door whose service is here. */
const LOCAL = '-m addrtype --dst-type LOCAL';

/** What marks who holds a grant of a door: nothing where the door marks nobody. */
export function markOpenings(door: Door, family: Family): readonly Opening[] {
  const { grantMark, forward, opens } = door;
  if (grantMark === null || (forward !== null && forward.to.address.family !== family)) return [];
  const matches = dports(portsOf(opens));
  const at = (match: string): string => {
    if (forward === null) return `${match} ${LOCAL}`;
    // Here the destination is not translated yet.
    return forward.dnat ? `${match} ${LOCAL}` : `-d ${formatCidr(forward.to)} ${match}`;
  };
  return matches.map((match) => ({
    table: 'mangle',
    chain: CHAIN.mark,
    match: at(match),
    target: target(grantMark),
  }));
}

/** The standing chain: knocks, then grants. None where no door marks anybody in this family. */
export function earlyChains(layout: Layout, family: Family): readonly Chain[] {
  if (!marks(layout, family)) return [];
  const rules: string[] = [];
  let taken: Ports = portsOf([]);
  for (const { ports, mark } of knocksByDoor(layout, family)) {
    const mine = without(ports, taken);
    taken = union(taken, ports);
    rules.push(...dports(mine).map((match) => `${match} ${LOCAL} ${target(mark)}`));
  }
  // A key's packet says only to the daemon which door it is for: any mark that tables of others accept by serves.
  const [mark] = layout.config.doors.flatMap(({ grantMark }) => grantMark ?? []);
  const keys = without(layout.roles[family].keys, taken);
  if (mark !== undefined) rules.push(...dports(keys).map((match) => `${match} ${LOCAL} ${target(mark)}`));
  return [{ table: 'mangle', name: CHAIN.early, rules: [...rules, `-j ${CHAIN.mark}`] }];
}

/** `inbound`: what our jumps match. */
export function earlyJumps(layout: Layout, family: Family, inbound: readonly string[]): readonly Jump[] {
  if (!marks(layout, family)) return [];
  return inbound.map((match) => ({
    table: 'mangle',
    from: 'PREROUTING',
    rule: `${match} -m comment --comment ${JUMP_COMMENT} -j ${CHAIN.early}`,
    optional: false,
  }));
}

/** Knocks that our own chain drops, anyone who sends them: a port that anybody reaches is marked for nobody. */
function knocksByDoor(
  layout: Layout,
  family: Family,
): readonly { readonly ports: Ports; readonly mark: number }[] {
  const { knocks } = layout.roles[family];
  return layout.config.doors.flatMap((door) => {
    const ports = common(knocksOf(door, layout.oneTime), knocks);
    return door.grantMark === null || !hasPorts(ports) ? [] : [{ ports, mark: door.grantMark }];
  });
}

function marks(layout: Layout, family: Family): boolean {
  return layout.config.doors.some((door) => markOpenings(door, family).length > 0);
}

/** As iptables-save writes it. */
function target(mark: number): string {
  return `-j MARK --set-xmark 0x${mark.toString(16)}/0xffffffff`;
}
