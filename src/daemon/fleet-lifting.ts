import type { Clock } from '../clock.ts';
import type { Ban } from '../engine/ban.ts';
import type { CommandAnswer, FleetBan, FleetLift } from '../engine/command.ts';
import type { Engine } from '../engine/engine.ts';
import type { Emit } from '../engine/event.ts';
import type { Member } from '../fleet/member.ts';
import type { Register } from '../fleet/register.ts';
import type { Standing } from '../fleet/settle.ts';
import { owned } from '../guard/guard.ts';
import type { Address } from '../packet/address.ts';
import { type Cidr, hostCidr, offenderOf } from '../packet/cidr.ts';
import type { Grantee } from '../policy/grantee.ts';
import type { Store } from '../state/store.ts';
import type { Here } from './fleet-here.ts';
import { commandOf, rowsOfDecided } from './fleet-registers.ts';
import type { Sweep } from './fleet-sweep.ts';

interface LiftingOptions {
  readonly me: string;
  readonly clock: Clock;
  readonly store: Pick<Store, 'write'>;
  readonly engine: Pick<Engine, 'execute' | 'eachGrant'>;
  readonly member: () => Pick<
    Member,
    'registersOf' | 'decide' | 'unsettled' | 'tell' | 'standing' | 'left' | 'isClosed' | 'clock'
  >;
  readonly here: Pick<Here, 'banKnows' | 'isLifted'>;
  readonly grantKnows: Here['grantKnows'];
  readonly sweep: Sweep;
  readonly collect: Emit;
  readonly carryOut: () => void;
  readonly drained: () => Promise<void>;
  /** Whether others hear of bans and lifts. */
  readonly sharesBans: () => boolean;
  /** Others' bans are only looked at here. */
  readonly isShadow: () => boolean;
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
  /** Whether a grant that is not in force yet has been closed, by a lift that it did not know of. */
  isClosed(door: string, grantee: Grantee): boolean;
}

export function createLifting(options: LiftingOptions): Lifting {
  const { me, clock, store, engine, member, here, sweep, sharesBans } = options;
  const standing = (ban: Ban): Standing => member().standing({ ...ban, knows: here.banKnows(ban) });
  const stays = (ban: Ban): boolean => standing(ban) === 'stands';

  /** Decided in this turn and durable at once, and told when what the same command did here is in force. */
  function say(registers: readonly Register[]): void {
    if (!sharesBans()) return;
    const kept = member().decide(registers);
    store.write(rowsOfDecided(kept, member()), clock.wall(), 'machine');
    const tell = (): void => member().tell(registers);
    owned('fleet', options.drained().then(tell, tell));
  }

  function execute(origin: string, lifts: readonly FleetLift[], bans: readonly FleetBan[]): void {
    engine.execute({ command: 'fleet', origin, lifts, grants: [], bans }, clock.now(), options.collect);
    options.carryOut();
  }

  /** Of a ban that was lifted a part may stand: of another cause, or with a sooner end. */
  function left(targets: readonly Cidr[]): readonly FleetBan[] {
    const said = options.isShadow() ? [] : targets.flatMap((target) => member().left(target));
    const bans = said.filter((ban) => !here.isLifted(ban));
    return commandOf({ origin: me, lifts: [], grants: [], bans }, member().clock).bans;
  }

  const liftFor =
    (origin: string) =>
    (targets: readonly Cidr[]): void =>
      execute(
        origin,
        targets.map((target) => ({ lift: 'ban', target, only: 'any' })),
        left(targets),
      );

  function isClosed(door: string, grantee: Grantee): boolean {
    return member().isClosed(door, grantee, options.grantKnows(door, grantee));
  }

  return {
    isClosed,
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
      const changed = await sweep.lift(
        (ban) => !stays(ban),
        (targets) => {
          lift(targets);
          const bans = left(targets);
          if (bans.length > 0) execute(me, [], bans);
        },
      );
      return { ok: true, changed };
    },
    async allFor(origin) {
      await sweep.lift((ban) => !stays(ban), liftFor(origin));
    },
    leftOver() {
      const closed = [...engine.eachGrant()].filter(({ door, grantee }) => isClosed(door, grantee));
      if (closed.length > 0)
        execute(
          me,
          closed.map(({ door, grantee }) => ({ lift: 'grant', door, grantee })),
          [],
        );
      owned(
        'fleet',
        sweep.lift((ban) => standing(ban) === 'ended', liftFor(me)),
      );
    },
  };
}
