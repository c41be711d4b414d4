import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Change } from '../../src/firewall/firewall.ts';
import { formatCidr } from '../../src/packet/cidr.ts';
import type { Config } from '../../src/policy/config.ts';
import { soundConfig } from '../fuzz/any-config.ts';
import { randomOf } from '../fuzz/random.ts';
import { cidr } from '../support/configs.ts';
import { type FirewallProxy, startFirewall } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';

/** `FIREWALL_CASES=2000 FIREWALL_SEED=7` tries others, and more. */
const CASES = Number(process.env['FIREWALL_CASES'] ?? 60);
const SEED = Number(process.env['FIREWALL_SEED'] ?? 1);
const CASE_MS = 1000;
const LATER = 60_000;

const GRANTEES = ['198.51.100.9', '198.51.100.0/24', '2001:db8:9::9', '2001:db8:8::/48'];
const BANNED = ['203.0.113.9', '2001:db8:7::/64'];
/** Rules, chains and sets of whoever made them; not what is there of itself. */
const EVERYTHING =
  'for tool in iptables ip6tables; do $tool-save; done | grep -v "^[#*]\\|^:[A-Z]* ACCEPT\\|^COMMIT"; ipset list -n';

/** Each door for hosts and networks of both families, and a ban of each. */
function changesOf(config: Config): Change[] {
  const until = Date.now() + LATER;
  return [
    ...config.doors.flatMap(({ name }) =>
      GRANTEES.map((who): Change => ({ change: 'open', door: name, grantee: cidr(who), until })),
    ),
    ...BANNED.map((who): Change => ({ change: 'ban', target: cidr(who), until })),
  ];
}

/**
 * Whom the kernel must hold. Sets hold everyone; as rules there is none for a door that opens nothing, and only those
 * of one family for a machine behind this one.
 */
function grantsOf({ doors, grants }: Config): string[] {
  return doors.flatMap(({ name, opens, forward }) => {
    const family = forward?.to.address.family;
    const whom = GRANTEES.filter((who) => {
      const suits = family === undefined || family === cidr(who).address.family;
      return grants === 'set' || (suits && opens.length > 0);
    });
    return whom.map((who) => `${name} ${who}`);
  });
}

describe('the firewall', () => {
  let net: Net;
  let firewall: FirewallProxy;
  const everything = async (): Promise<string> =>
    (await net.server.exec(['sh', '-c', EVERYTHING])).stdout.trim();

  beforeAll(async () => {
    net = await createNet();
    firewall = await startFirewall(net.server.namespace, soundConfig(randomOf(SEED)).config);
  });
  afterAll(async () => {
    await firewall?.kill();
    net?.close();
  });

  it(`carries ${CASES} sound configurations to the kernel, one after the other, and leaves nothing`, {
    timeout: 30_000 + CASES * CASE_MS,
  }, async () => {
    const random = randomOf(SEED);
    await firewall.install();
    expect(await everything()).toContain('nfknock');
    for (let number = 1; number <= CASES; number += 1) {
      const { text, config } = soundConfig(random);
      const which = `case ${number} of seed ${SEED}: ${text}`;
      // The last one's rules are there, with its grants and bans; what is left of those is the doors' that both have.
      await firewall.replace(config);
      const replaced = [await firewall.intact(), await firewall.setsIntact()];
      expect(replaced, `${which} in the place of another`).toEqual([true, true]);

      await firewall.apply(changesOf(config));
      const held = await firewall.readBack();
      const grants = held.grants.map(
        ({ door, grantee }) => `${door} ${grantee === 'any' ? grantee : formatCidr(grantee)}`,
      );
      expect(grants.sort(), which).toEqual(grantsOf(config).sort());
      expect(held.bans.map(({ target }) => formatCidr(target)).sort(), which).toEqual([...BANNED].sort());
      expect(await firewall.intact(), `${which} with grants`).toBe(true);
    }
    await firewall.remove();
    expect(await everything()).toBe('');
  });
});
