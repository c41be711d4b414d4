import { describe, expect, it } from 'vitest';
import { type Grants, type Plan, planChanges } from '../../../src/firewall/change.ts';
import type { Change, HeldGrant } from '../../../src/firewall/firewall.ts';
import { grantRules, parseGrant } from '../../../src/firewall/grant.ts';
import { layoutOf } from '../../../src/firewall/rules/layout.ts';
import type { Family } from '../../../src/packet/address.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import type { Config } from '../../../src/policy/config.ts';
import { grantKey } from '../../../src/policy/grantee.ts';
import { cidr, configOf } from '../../support/configs.ts';

/** 2026-11-21T07:02:06.123Z. */
const NOW = 1_795_244_526_123;
const UNTIL = NOW + 30_000;

const CONFIG = configOf({
  doors: {
    ssh: { knock: [7000, 8000], opens: [22] },
    web: { knock: [7100, 8100], opens: ['80/tcp', '443/udp'] },
    behind: { knock: [7200, 8200], opens: [443], forward: '198.51.100.5', dnat: true },
  },
});
const SETS: Config = { ...CONFIG, grants: 'set' };

const open = (door: string, who: string, until: number = UNTIL): Change => ({
  change: 'open',
  door,
  grantee: who === 'any' ? 'any' : cidr(who),
  until,
});
const close = (door: string, who: string): Change => ({ change: 'close', door, grantee: cidr(who) });
const ban = (target: string): Change => ({ change: 'ban', target: cidr(target), until: NOW + 1_500 });
const unban = (target: string): Change => ({ change: 'unban', target: cidr(target) });

function planned(
  config: Config,
  grants: Grants,
  changes: readonly Change[],
  now: number,
  stale: ReadonlySet<Family> = new Set(),
): Plan {
  return planChanges({ layout: layoutOf(config), grants, now, stale }, changes);
}

function held(...grants: readonly (readonly [door: string, who: string])[]): Grants {
  return new Map(
    grants.map(([door, who]): [string, HeldGrant] => {
      const grantee = cidr(who);
      return [grantKey(door, grantee), { door, grantee, until: UNTIL }];
    }),
  );
}

function texts(config: Config, grants: Grants, ...changes: readonly Change[]): readonly string[] {
  return planned(config, grants, changes, NOW).blocks.map(({ family, text }) => `${family} ${text}`);
}

const tail = '-m time --datestop 2026-11-21T07:02:36 -m comment --comment';
const ssh = (who: string): string =>
  `-A NFKNOCK-GRANT -s ${who} -p tcp -m multiport --dports 22 -m conntrack --ctstate NEW ${tail} "nfknock door=ssh until=${UNTIL}" -j ACCEPT`;

describe('what the kernel is told', () => {
  it('adds one rule for a grant, which ends by itself at the end of the second', () => {
    expect(texts(CONFIG, new Map(), open('ssh', '192.0.2.7'))).toEqual([
      `4 *filter\n${ssh('192.0.2.7')}\nCOMMIT\n`,
    ]);
  });

  it('adds a rule a protocol, and only in the family of the source', () => {
    const [block = '', ...rest] = texts(CONFIG, new Map(), open('web', '2001:db8::7'));
    expect(rest).toEqual([]);
    expect(block).toMatch(/^6 /);
    expect(block.match(/-p tcp -m multiport --dports 80 /g)).toHaveLength(1);
    expect(block.match(/-p udp -m multiport --dports 443 /g)).toHaveLength(1);
  });

  it('lets everyone in with a rule without a source in both families', () => {
    const blocks = texts(CONFIG, new Map(), open('ssh', 'any'));
    expect(blocks.map((block) => block[0])).toEqual(['4', '6']);
    for (const block of blocks) expect(block).not.toContain(' -s ');
  });

  it('writes the chain anew without the rule of a grant that ends', () => {
    const grants = held(['ssh', '192.0.2.7'], ['ssh', '192.0.2.8'], ['ssh', '2001:db8::8']);
    expect(texts(CONFIG, grants, close('ssh', '192.0.2.7'))).toEqual([
      `4 *filter\n:NFKNOCK-GRANT - [0:0]\n${ssh('192.0.2.8')}\nCOMMIT\n`,
    ]);
  });

  it('deletes the rule of a grant that ends where the chain is long', () => {
    const many = Array.from({ length: 260 }, (_, index) => `192.0.3.${index % 256}`);
    const grants = held(['ssh', '192.0.2.7'], ...many.map((who) => ['ssh', who] as const), [
      'web',
      '192.0.2.9',
    ]);
    expect(texts(CONFIG, grants, close('ssh', '192.0.2.7'))).toEqual([
      `4 *filter\n${ssh('192.0.2.7').replace('-A', '-D')}\nCOMMIT\n`,
    ]);
  });

  it('renews a grant in one transaction: the old rule goes as the new one comes', () => {
    const grants = held(['ssh', '192.0.2.7']);
    const [block = ''] = texts(CONFIG, grants, open('ssh', '192.0.2.7', UNTIL + 60_000));
    const lines = block.split('\n');
    expect(lines[1]).toBe(':NFKNOCK-GRANT - [0:0]');
    expect(lines[2]).toMatch(/^-A NFKNOCK-GRANT -s 192\.0\.2\.7 .*--datestop 2026-11-21T07:03:36 /);
    expect(lines.slice(3)).toEqual(['COMMIT', '']);
  });

  it('writes the chain anew, with all that live on, where many grants end', () => {
    const many = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
    const grants = held(...[...many, '192.0.2.8'].map((who) => ['ssh', who] as const));
    const changes = [...many.map((who) => close('ssh', who)), open('ssh', '192.0.2.10')];
    expect(texts(CONFIG, grants, ...changes)).toEqual([
      `4 *filter\n:NFKNOCK-GRANT - [0:0]\n${ssh('192.0.2.8')}\n${ssh('192.0.2.10')}\nCOMMIT\n`,
    ]);
  });

  it('leaves out, when it writes a chain anew, what has ended meanwhile', () => {
    const grants = new Map(held(['ssh', '192.0.2.8']));
    const grantee = cidr('192.0.2.6');
    grants.set(grantKey('ssh', grantee), { door: 'ssh', grantee, until: NOW });
    const [block] = planned(CONFIG, grants, [], NOW, new Set([4])).blocks;
    expect(block?.text).not.toContain('192.0.2.6');
    expect(block?.text).toContain('192.0.2.8');
  });

  it('has nothing to say of a grant that is in force already with this end', () => {
    expect(texts(CONFIG, held(['ssh', '192.0.2.7']), open('ssh', '192.0.2.7'))).toEqual([]);
  });

  it('lets through and translates to a service behind this machine for the grantee alone', () => {
    const blocks = texts(CONFIG, new Map(), open('behind', '192.0.2.7'));
    expect(blocks).toHaveLength(2);
    expect(blocks[0]).toContain('-A NFKNOCK-FWD-GRANT -s 192.0.2.7 -d 198.51.100.5 -p tcp');
    expect(blocks[1]).toMatch(
      /^4 \*nat\n-A NFKNOCK-DNAT -s 192\.0\.2\.7 .* -j DNAT --to-destination 198\.51\.100\.5\n/,
    );
    expect(texts(CONFIG, new Map(), open('behind', '2001:db8::7'))).toEqual([]);
  });

  it('marks before it lets in, and no longer once nobody is let in', () => {
    const marked = configOf({ doors: { ssh: { knock: [7000, 8000], opens: [22], grant_mark: '0x4e46' } } });
    const opened = texts(marked, new Map(), open('ssh', '192.0.2.7'));
    expect(opened[0]).toMatch(
      /^4 \*mangle\n-A NFKNOCK-MARK -s 192\.0\.2\.7 .*--dst-type LOCAL .* -j MARK --set-xmark 0x4e46\/0xffffffff\n/,
    );
    expect(opened[1]).toMatch(/^4 \*filter\n-A NFKNOCK-GRANT -s 192\.0\.2\.7 .* -j ACCEPT\n/);
    const closed = texts(marked, held(['ssh', '192.0.2.7']), close('ssh', '192.0.2.7'));
    expect(closed.map((block) => block.split('\n').slice(0, 2).join(' ').slice(0, 30))).toEqual([
      '4 *filter :NFKNOCK-GRANT - [0:',
      '4 *mangle :NFKNOCK-MARK - [0:0',
    ]);
  });

  it('writes every chain of grants anew after a failure', () => {
    const { blocks } = planned(CONFIG, held(['ssh', '192.0.2.7']), [], NOW, new Set([4]));
    expect(blocks.map(({ family, table }) => `${family} ${table}`)).toEqual(['4 filter', '4 nat']);
    expect(blocks[0]?.text).toContain(':NFKNOCK-FWD-GRANT - [0:0]');
    expect(blocks[0]?.text).toContain(ssh('192.0.2.7'));
  });

  it('puts grants into sets where the configuration says so, everyone as two halves', () => {
    const { blocks, sets } = planned(
      SETS,
      held(['ssh', '192.0.2.7']),
      [close('ssh', '192.0.2.7'), open('web', 'any')],
      NOW,
    );
    expect(blocks).toEqual([]);
    expect(sets.map(({ set, action, entries }) => [set, action, entries.length])).toEqual([
      ['nfknock-ssh4', 'del', 1],
      ['nfknock-web4', 'add', 2],
      ['nfknock-web6', 'add', 2],
    ]);
    expect(sets[1]?.entries.map(({ seconds }) => seconds)).toEqual([30, 30]);
  });

  it('lifts bans before it lays others, each for whole seconds and at least one', () => {
    const { sets } = planned(
      CONFIG,
      new Map(),
      [ban('203.0.113.9'), unban('203.0.113.8'), ban('2001:db8:9::/64')],
      NOW,
    );
    expect(sets.map(({ set, action }) => `${action} ${set}`)).toEqual([
      'del nfknock-ban4',
      'add nfknock-ban4',
      'add nfknock-ban6',
    ]);
    expect(sets[1]?.entries).toEqual([{ target: cidr('203.0.113.9'), seconds: 2 }]);
  });

  it.each([
    ['lifted last is lifted', [ban('203.0.113.9'), unban('203.0.113.8'), unban('203.0.113.9')], 'del'],
    ['banned last is banned', [unban('203.0.113.9'), unban('203.0.113.8'), ban('203.0.113.9')], 'add'],
  ])('who is both lifted and banned at once and %s', (_, changes, action) => {
    const { sets } = planned(CONFIG, new Map(), changes, NOW);
    const told = sets.flatMap((set) =>
      set.entries.map(({ target }) => `${set.action} ${formatCidr(target)}`),
    );
    expect(told.filter((each) => each.endsWith('203.0.113.9'))).toEqual([`${action} 203.0.113.9`]);
    expect(told).toContain('del 203.0.113.8');
  });

  it('never gives an entry a time that the kernel refuses', () => {
    const forever: Change = { change: 'ban', target: cidr('203.0.113.9'), until: Number.MAX_SAFE_INTEGER };
    const { sets } = planned(CONFIG, new Map(), [forever], NOW);
    expect(sets[0]?.entries[0]?.seconds).toBe(2_147_483);
  });

  it('ends a rule no later than iptables can say', () => {
    const grant: HeldGrant = { door: 'ssh', grantee: 'any', until: Date.UTC(2100, 0) };
    expect(grantRules(layoutOf(CONFIG), grant, 4)[0]?.rule).toContain('--datestop 2038-01-19T03:14:07');
  });

  it('reads a grant back from the rule that it made', () => {
    for (const who of ['192.0.2.7', '198.51.100.0/24', '2001:db8::7', '::ffff:192.0.2.7']) {
      const grant: HeldGrant = { door: 'ssh', grantee: cidr(who), until: UNTIL };
      const family = grant.grantee === 'any' ? 4 : grant.grantee.address.family;
      const [{ rule } = { rule: '' }] = grantRules(layoutOf(CONFIG), grant, family);
      expect(parseGrant(`-A NFKNOCK-GRANT ${rule}`)).toEqual(grant);
    }
    expect(parseGrant('-A NFKNOCK-GRANT -s 192.0.2.7/32 -j ACCEPT')).toBeUndefined();
  });
});
