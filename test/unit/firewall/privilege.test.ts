import { describe, expect, test } from 'vitest';
import { mayNameSets } from '../../../src/firewall/privilege.ts';

const NOTHING = '0000000000000000';
const EVERYTHING = '000001ffffffffff';
/** CAP_NET_ADMIN is bit 12, CAP_NET_RAW bit 13. */
const ADMIN = '0000000000001000';
const BOTH = '0000000000003000';

function status(uid: number, effective: string, bounding: string, ambient: string): string {
  return `Name:\tnode\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nCapEff:\t${effective}\nCapBnd:\t${bounding}\nCapAmb:\t${ambient}\n`;
}

describe('iptables may be asked for rules that name a set', () => {
  test.each([
    ['by root', status(0, EVERYTHING, EVERYTHING, NOTHING)],
    ['by root of a container with NET_ADMIN and NET_RAW', status(0, BOTH, BOTH, NOTHING)],
    ['by a user who hands both on', status(999, BOTH, BOTH, BOTH)],
  ])('%s', (_who, text) => {
    expect(mayNameSets(text)).toBe(true);
  });
});

describe('rules that name a set are laid over netlink', () => {
  test.each([
    ['for the user of the unit file', status(999, ADMIN, ADMIN, ADMIN)],
    ['for root of a container with NET_ADMIN alone', status(0, ADMIN, ADMIN, NOTHING)],
    ['for a user who has CAP_NET_RAW but hands it on to nobody', status(999, BOTH, BOTH, ADMIN)],
    ['where nothing is known', ''],
  ])('%s', (_who, text) => {
    expect(mayNameSets(text)).toBe(false);
  });
});
