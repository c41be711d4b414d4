import type { Ban } from '../engine/ban.ts';
import type { Heard } from '../fleet/host.ts';
import type { Member } from '../fleet/member.ts';
import {
  type BanRegister,
  banKeys,
  covers,
  type GrantRegister,
  grantRegisterKey,
  isTomb,
  type Register,
  registerKey,
} from '../fleet/register.ts';
import { newestLift } from '../fleet/settle.ts';
import { type Cidr, formatCidr } from '../packet/cidr.ts';
import { type Grantee, grantKey } from '../policy/grantee.ts';
import type { FleetChange, KeptFleet } from '../state/store.ts';
import { createRounds } from '../table/rounds.ts';
import { createWideMap } from '../table/wide-map.ts';
import type { BanEvent, DoorEvent } from './commit.ts';
import { registerFrom, registerText } from './fleet-registers.ts';

/*
 * What holds on this machine alone, since nobody is told of it: by `--here`, or since it shares something else. No
 * register says it, so it is kept beside them: of what was made here alone the newest lift that it was made after, and
 * of what was lifted here alone what had been said of it by then. Without it a restart, after which all is heard anew,
 * would end the one by a lift that it knew of, and put the other in force again.
 */
export interface Here {
  /** Takes up what was kept. */
  resume(kept: Pick<KeptFleet, 'registers'>): void;
  /** It was done on this machine, and nobody hears of it. Answers the rows that keep it. */
  note(event: DoorEvent | BanEvent): readonly FleetChange[];
  /** What has ended needs to know of nothing any more. */
  ended(event: DoorEvent | BanEvent): readonly FleetChange[];
  /** These bans go on, and are not told after all. */
  shed(registers: readonly Register[]): readonly FleetChange[];
  /** The newest lift that a grant or a ban in force here is known to have been made after; 0: none. */
  grantKnows(door: string, grantee: Grantee): number;
  banKnows(ban: Pick<Ban, 'target'>): number;
  /** Whether it was lifted or closed here alone, and this is no more than had been said by then. */
  isLifted(register: BanRegister | GrantRegister): boolean;
  /** Of what others said, what is to be carried out here. */
  counts(heard: Heard, grantKnows: Here['grantKnows']): Heard;
}

type Kept = BanRegister | GrantRegister;

const NOTHING: readonly FleetChange[] = [];
/** Of what is kept so much is looked at for each that comes, whether it is over. */
const LOOKED_AT = 4;

export function createHere(member: () => Pick<Member, 'stateOf' | 'clock'>): Here {
  const made = createRows('made here ');
  const lifted = createRows('lifted here ');
  const stateOf = (key: string): Register | undefined => member().stateOf(key);
  const isOver = ({ until }: Kept): boolean => member().clock.isKnown() && until <= member().clock.now();

  /** Whether it is in force by what is known of it. */
  function holds(state: Register | undefined): state is Kept {
    if (state === undefined || state.kind === 'amnesty' || isTomb(state) || isOver(state)) return false;
    return state.kind === 'grant' || state.gen >= (stateOf('amnesty')?.gen ?? 0);
  }

  const madeKnows = (target: Cidr): number => made.get(formatCidr(target))?.gen ?? 0;

  function isLifted(register: Kept): boolean {
    const then = lifted.get(registerKey(register));
    return then !== undefined && covers(then, register);
  }

  /** It needs nothing to be kept where it can't have known of any lift. */
  function keepMade(key: string, register: Kept): readonly FleetChange[] {
    return register.gen === 0 ? made.drop(key) : [made.put(key, register)];
  }

  function keepLifted(keys: readonly string[]): readonly FleetChange[] {
    return keys.flatMap((key) => {
      const state = stateOf(key);
      return holds(state) ? [lifted.put(key, state)] : [];
    });
  }

  function noted(event: DoorEvent | BanEvent): readonly FleetChange[] {
    const { toBus } = member().clock;
    switch (event.event) {
      case 'ban.added':
      case 'ban.extended': {
        const { target, count } = event;
        const gen = newestLift(target, stateOf);
        const moments = { since: toBus(event.at), until: toBus(event.until) };
        return keepMade(formatCidr(target), { kind: 'ban', target, cause: 'order', gen, count, ...moments });
      }
      case 'door.opened':
      case 'door.renewed': {
        const { door, grantee, source } = event;
        const key = grantKey(door, grantee);
        const gen = stateOf(grantRegisterKey(door, grantee))?.gen ?? 0;
        const moments = { opened: toBus(event.at), until: toBus(event.until) };
        return keepMade(key, { kind: 'grant', door, grantee, source, gen, uses: null, ...moments });
      }
      case 'ban.lifted':
        return keepLifted(banKeys(event.target));
      case 'door.closed':
        return keepLifted([grantRegisterKey(event.door, event.grantee)]);
      default:
        return NOTHING;
    }
  }

  return {
    resume({ registers }) {
      for (const [key, { value }] of registers) for (const rows of [made, lifted]) rows.resume(key, value);
    },
    note: (event) => [...noted(event), ...made.forgetSome(isOver), ...lifted.forgetSome(isOver)],
    ended(event) {
      if (event.event === 'door.closed') return made.drop(grantKey(event.door, event.grantee));
      return event.event === 'ban.lifted' || event.event === 'ban.expired'
        ? made.drop(formatCidr(event.target))
        : NOTHING;
    },
    shed: (registers) =>
      registers.flatMap((each) => (each.kind === 'ban' ? keepMade(formatCidr(each.target), each) : [])),
    grantKnows: (door, grantee) => made.get(grantKey(door, grantee))?.gen ?? 0,
    banKnows: ({ target }) => madeKnows(target),
    isLifted,
    counts: (heard, grantKnows) => ({
      ...heard,
      lifts: heard.lifts.filter((lift) => {
        if (lift.kind === 'grant') return grantKnows(lift.door, lift.grantee) < lift.gen;
        return lift.kind === 'amnesty' || madeKnows(lift.target) < newestLift(lift.target, stateOf);
      }),
      grants: heard.grants.filter((grant) => !isLifted(grant)),
      bans: heard.bans.filter((ban) => !isLifted(ban)),
    }),
  };
}

/** Rows of one kind, as they are kept and in memory. */
interface Rows {
  get(key: string): Kept | undefined;
  put(key: string, register: Kept): FleetChange;
  drop(key: string): readonly FleetChange[];
  resume(key: string, value: string): void;
  forgetSome(isOver: (register: Kept) => boolean): readonly FleetChange[];
}

function createRows(kind: string): Rows {
  const all = createWideMap<Kept>();
  const nextRows = createRounds(all.entries);

  function drop(key: string): readonly FleetChange[] {
    return all.delete(key) ? [{ change: 'unregister', key: kind + key }] : NOTHING;
  }

  return {
    get: all.get,
    drop,
    put(key, register) {
      all.set(key, register);
      // Not a register's own text: that would be said.
      return {
        change: 'register',
        key: kind + key,
        value: `${kind}${registerText(register)}`,
        untold: false,
      };
    },
    resume(key, value) {
      const register = key.startsWith(kind) ? registerFrom(value.slice(kind.length)) : undefined;
      if (register !== undefined && register.kind !== 'amnesty') all.set(key.slice(kind.length), register);
    },
    forgetSome(isOver) {
      const gone: FleetChange[] = [];
      for (const [key, register] of nextRows(LOOKED_AT)) if (isOver(register)) gone.push(...drop(key));
      return gone;
    },
  };
}
