import { type Belief, emptyOutcome, type Outcome } from '../../../src/fleet/belief.ts';
import { createBudget, type Limits } from '../../../src/fleet/budget.ts';
import { createBusClock } from '../../../src/fleet/offset.ts';
import type { BanRegister, GrantRegister, Register } from '../../../src/fleet/register.ts';
import { createView, type View } from '../../../src/fleet/view.ts';
import { ipv4 } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';

/** A machine that hears one member, at a moment of its own. */
export interface Listener {
  /** Milliseconds since the beginning. */
  at: number;
  readonly view: View;
  readonly budget: ReturnType<typeof createBudget>;
  hear(register: Register, how?: 'live' | 'read'): Outcome;
}

interface Given {
  /** The bus's clock at the beginning. */
  readonly begins: number;
  readonly limits: Limits;
  readonly belief: Belief;
  /** Who is heard. */
  readonly member: string;
}

export function createListener({ begins, limits, belief, member }: Given): Listener {
  const machine = { at: 0 };
  const now = (): number => machine.at;
  const clock = createBusClock({ now, wallOffset: () => begins, after: () => () => {}, random: () => 0 });
  clock.sample(0, 0, begins);
  const budget = createBudget(limits);
  const view = createView(clock, budget, belief);
  return Object.assign(machine, {
    ...{ view, budget },
    hear(register: Register, how: 'live' | 'read' = 'live') {
      const outcome = emptyOutcome();
      view.hear(member, register, how, outcome);
      return outcome;
    },
  });
}

/** A ban of a minute, and a grant, that are said of a host at this moment. */
export function registersAt(
  now: number,
  opensFor: number,
): {
  readonly banOf: (host: number, more?: Partial<BanRegister>) => BanRegister;
  readonly grantOf: (host: number, more?: Partial<GrantRegister>) => GrantRegister;
} {
  return {
    banOf: (host, more = {}) => ({
      ...{ kind: 'ban', target: hostCidr(ipv4(host)), cause: 'strikes', gen: 0, count: 1 },
      ...{ since: now, until: now + 60_000, ...more },
    }),
    grantOf: (host, more = {}) => ({
      ...{ kind: 'grant', door: 'ssh', grantee: hostCidr(ipv4(host)), gen: 0, opened: now },
      ...{ until: now + opensFor, source: ipv4(host), uses: null, ...more },
    }),
  };
}

export const range = (length: number): number[] => Array.from({ length }, (_, at) => at + 1);
