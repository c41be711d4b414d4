import type { Shared } from '../engine/elsewhere.ts';
import type { Emit } from '../engine/event.ts';
import type { Sharing } from '../engine/settings.ts';
import type { KnockHost } from '../fleet/knock-host.ts';
import type { Knocks } from '../fleet/knocks.ts';
import type { Config } from '../policy/config.ts';
import type { Fleet } from '../policy/fleet.ts';
import { isBelieved } from './fleet-belief.ts';

interface KnockHostOptions {
  readonly fleet: () => Fleet;
  readonly config: () => Config;
  readonly engine: Shared;
  readonly collect: Emit;
  readonly carryOut: () => void;
}

/** What a member's knocks ask of this machine. */
export function knockHost({ fleet, config, engine, collect, carryOut }: KnockHostOptions): KnockHost {
  return {
    isOn: () => fleet().share.includes('knocks'),
    accepts(member, what) {
      const { grants, bans } = fleet().accept;
      if (!isBelieved(fleet(), member)) return false;
      return what === 'knocks' ? grants !== 'none' : bans === 'enforce';
    },
    wait: () => fleet().wait,
    excused: () => ({ times: engine.longest(), within: config().bans.within }),
    engine,
    emit: collect,
    carryOut,
  };
}

/** What the engine asks of the fleet, which comes to be after it. */
export function sharingOf(knocks: () => Knocks | undefined): Sharing {
  return {
    isOn: () => knocks()?.isShared() === true,
    hears: () => knocks()?.hears() === true,
    standing: (source) => knocks()?.standing(source) ?? 0,
  };
}
