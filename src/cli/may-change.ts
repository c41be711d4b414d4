import { readFileSync } from 'node:fs';

/** CAP_NET_ADMIN of linux/capability.h. */
const CAP_NET_ADMIN = 12n;

/** True for a process that may change the tables of its network namespace. */
export function mayChange(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}
