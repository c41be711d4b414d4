import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { readText } from './proc.ts';

/** An interface of this network namespace. */
export interface Interface {
  readonly name: string;
  /** What it is a port of (a bridge, a VRF, a bond): its packets come to INPUT as that one's. Null: none. */
  readonly master: string | null;
}

/** Every interface there is, with an address or without. */
export function findInterfaces(): readonly Interface[] {
  // Unlike /sys, this is always of the process's own network namespace.
  const names = [...readText('/proc/self/net/dev').matchAll(/^ *(\S+):/gm)].map(([, name = '']) => name);
  return names.map((name) => ({ name, master: masterOf(name) }));
}

function masterOf(name: string): string | null {
  try {
    return basename(readlinkSync(`/sys/class/net/${name}/master`));
  } catch {
    return null;
  }
}

/** Why nothing that is configured as one of `listen.interfaces` is ever seen; undefined: something is. */
export type Unseen =
  | { readonly name: string; readonly why: 'missing' }
  | { readonly name: string; readonly why: 'port'; readonly master: string };

/** Those of the configured names by which no packet is ever seen in INPUT. */
export function unseenOf(configured: readonly string[], there: readonly Interface[]): readonly Unseen[] {
  return configured.flatMap((name): readonly Unseen[] => {
    const meant = there.filter((each) => isMeant(name, each.name));
    const [first] = meant;
    if (first === undefined) return [{ name, why: 'missing' }];
    if (meant.some(({ master }) => master === null)) return [];
    return [{ name, why: 'port', master: first.master ?? '' }];
  });
}

/** iptables takes a name with `+` at its end for all that begin so. */
function isMeant(configured: string, name: string): boolean {
  return configured.endsWith('+') ? name.startsWith(configured.slice(0, -1)) : name === configured;
}
