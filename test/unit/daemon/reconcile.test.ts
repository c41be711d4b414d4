import fc from 'fast-check';
import { expect, it } from 'vitest';
import { assemble } from '../../../src/daemon/assemble.ts';
import { reconcile } from '../../../src/daemon/reconcile.ts';
import type { Change } from '../../../src/firewall/firewall.ts';
import type { StateChange } from '../../../src/state/store.ts';
import { memoryMachine } from '../../support/memory-machine.ts';
import { testClock } from '../../support/test-clock.ts';
import { ban, cidr, NOW, unban } from '../state/example.ts';

/* A daemon that was killed after the state file had heard of something and before the kernel had. */

const CONFIG = `{ doors: { ssh: { knock: [7000, 8000], opens: [22] } }, memory: { sources: 1024 }, bans: { limit: 1024 } }`;
const TARGETS = ['203.0.113.9/32', '2001:db8:0:1::/64'];
const HOUR = 3_600_000;

type Step = 'ban' | 'unban' | 'forgive';

const changeOf = (step: Step, target: string): StateChange => {
  if (step === 'ban') return ban(target, NOW + HOUR);
  return step === 'unban' ? unban(target) : { change: 'forgive', target: cidr(target) };
};

it('leaves nobody banned whose ban was lifted, and everybody who was banned again or is not known', async () => {
  const history = fc.record({
    target: fc.constantFrom(...TARGETS),
    steps: fc.array(fc.constantFrom<Step>('ban', 'unban', 'forgive'), { maxLength: 6 }),
    down: fc.integer({ min: 0, max: HOUR - 60_000 }),
  });
  await fc.assert(
    fc.asyncProperty(history, async ({ target, steps, down }) => {
      const clock = testClock(NOW);
      const { dependencies, config, store } = memoryMachine(CONFIG, { clock });
      const { firewall } = dependencies;
      await firewall.install();
      const inKernel: Change = { change: 'ban', target: cidr(target), until: clock.wall() + HOUR };
      await firewall.apply([inKernel]);
      for (const step of steps) store.write([changeOf(step, target)], clock.wall());
      clock.pass(down);
      const subject = { config, configFile: 'test', version: '0', fail: () => undefined };
      const core = assemble(dependencies, subject);
      await reconcile(core, 'known');
      const last = steps.findLast((step) => step !== 'forgive');
      const isBanned = steps.length === 0 || !steps.includes('ban') || last === 'ban';
      expect(core.engine.bans()).toHaveLength(isBanned ? 1 : 0);
      expect((await firewall.readBack()).bans).toHaveLength(isBanned ? 1 : 0);
    }),
    { numRuns: 50 },
  );
});
