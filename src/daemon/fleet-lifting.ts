import type { Clock } from '../clock.ts';
import type { Ban } from '../engine/ban.ts';
import type { CommandAnswer, FleetLift } from '../engine/command.ts';
import type { Engine } from '../engine/engine.ts';
import type { Emit } from '../engine/event.ts';
import type { Member } from '../fleet/member.ts';
import type { Register } from '../fleet/register.ts';
import { owned } from '../guard/guard.ts';
import type { Address } from '../packet/address.ts';
import { type Cidr, hostCidr, offenderOf } from '../packet/cidr.ts';
import type { Store } from '../state/store.ts';
import { rowOfRegister } from './fleet-sayings.ts';
import type { Sweep } from './fleet-sweep.ts';

interface LiftingOptions {
  readonly me: string;
  readonly clock: Clock;
  readonly store: Pick<Store, 'write'>;
  readonly engine: Pick<Engine, 'execute' | 'eachGrant'>;
  readonly member: () => Pick<Member, 'registersOf' | 'decide' | 'tell' | 'standing' | 'isClosed'>;
  readonly sweep: Sweep;
  readonly collect: Emit;
  readonly carryOut: () => void;
  readonly drained: () => Promise<void>;
  /** Whether others hear of bans and lifts. */
  readonly sharesBans: () => boolean;
}

/** Lifts that are of more than what this machine knows: of a host that others may have banned, and of all bans. */
export interface Lifting {
  /** Somebody here lifted the bans of this host, whatever this machine knows of them. */
  host(address: Address): void;
  /** Or all, by `lift`, but those that are made meanwhile. */
  all(lift: (targets: readonly Cidr[]) => void): Promise<CommandAnswer>;
  /** Another member lifted all bans. */
  allFor(origin: string): Promise<void>;
  /**
   * All has been heard: what was ended while this machine was away, or was half lifted when it died, and is in force here
   * all the same, is lifted.
   */
  leftOver(): void;
}

export function createLifting(options: LiftingOptions): Lifting {
  const { me, clock, store, engine, member, sweep, sharesBans } = options;
  const stays = ({ target }: Ban): boolean => member().standing(target, null) === 'stands';

  /** Decided in this turn and durable at once, and told when what the same command did here is in force. */
  function say(registers: readonly Register[]): void {
    if (!sharesBans()) return;
    member().decide(registers);
    store.write(registers.map(rowOfRegister), clock.wall(), 'machine');
    const tell = (): void => member().tell(registers);
    options.drained().then(tell).catch(tell);
  }

  function execute(origin: string, lifts: readonly FleetLift[]): void {
    engine.execute({ command: 'fleet', origin, lifts, grants: [], bans: [] }, clock.now(), options.collect);
    options.carryOut();
  }

  const liftFor =
    (origin: string) =>
    (targets: readonly Cidr[]): void =>
      execute(
        origin,
        targets.map((target) => ({ lift: 'ban', target, only: 'any' })),
      );

  return {
    host(address) {
      const network = address.family === 6 ? [offenderOf(address)] : [];
      say(
        [hostCidr(address), ...network].flatMap((target) =>
          member().registersOf({ what: 'lifted', target, by: 'anyone' }),
        ),
      );
    },
    async all(lift) {
      say(member().registersOf({ what: 'all lifted' }));
      return { ok: true, changed: await sweep.lift((ban) => !stays(ban), lift) };
    },
    async allFor(origin) {
      await sweep.lift((ban) => !stays(ban), liftFor(origin));
    },
    leftOver() {
      const closed = [...engine.eachGrant()].filter(({ door, grantee, from, opened }) =>
        member().isClosed(door, grantee, from === undefined ? opened : null),
      );
      if (closed.length > 0)
        execute(
          me,
          closed.map(({ door, grantee }) => ({ lift: 'grant', door, grantee })),
        );
      const isOver = ({ target, from, since }: Ban): boolean =>
        member().standing(target, from === undefined ? since : null) === 'ended';
      owned('fleet', sweep.lift(isOver, liftFor(me)));
    },
  };
}
