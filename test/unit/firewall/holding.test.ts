import { expect, it } from 'vitest';
import { FirewallError } from '../../../src/firewall/firewall.ts';
import { openHolding } from '../../../src/firewall/iptables/holding.ts';
import { layoutOf } from '../../../src/firewall/rules/layout.ts';
import { NO_ONE_TIME } from '../../../src/policy/port-roles.ts';
import { configOf } from '../../support/memory-machine.ts';

// What is merely left over must not make a reload fail whose rules are in already: engine and rules would differ.
it('sets that can not even be listed are left over, each family by itself', async () => {
  const lost = new FirewallError('netfilter request', 'ENOBUFS', 'try again');
  const layout = layoutOf(configOf('{ doors: { ssh: { knock: [7000, 8000], opens: [22] } } }'), NO_ONE_TIME);
  const dropped: string[] = [];
  const tables = ([4, 6] as const).map((family) => ({
    family,
    dropSets: async () => {
      if (family === 4) throw lost;
      return { gone: ['nfknock-web6'], left: [] };
    },
  }));
  const canaries = { forget: (gone: readonly string[]) => dropped.push(...gone) };
  const holding = openHolding({
    layout,
    families: [4, 6],
    tables,
    canaries,
    now: () => 0,
    sets: {},
  } as never);
  expect(await holding.dropSets(layout)).toEqual([lost]);
  expect(dropped).toEqual(['nfknock-web6']);
});
