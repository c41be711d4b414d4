import { readFileSync } from 'node:fs';

/** CAP_NET_RAW of linux/capability.h. */
const NET_RAW = 13n;

/**
 * True where the tools that we start have CAP_NET_RAW, without which iptables can neither write nor print a rule
 * that names a set. What root starts has all that root may have; what another user starts has his ambient set.
 */
export function mayNameSets(status: string = readFileSync('/proc/self/status', 'utf8')): boolean {
  const has = (set: string): boolean => {
    const bits = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0';
    return ((BigInt(`0x${bits}`) >> NET_RAW) & 1n) === 1n;
  };
  const root = /^Uid:\s*\d+\s+0\s/m.test(status);
  return has('CapAmb') || (root && has('CapBnd') && has('CapEff'));
}
