import type { EngineEvent } from '../engine/event.ts';
import type { GrantView } from '../engine/views.ts';
import type { Member } from '../fleet/member.ts';
import type { Happened } from '../fleet/own.ts';
import { type GrantRegister, type Register, registerKey } from '../fleet/register.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { Shared } from '../policy/fleet.ts';
import { grantKey } from '../policy/grantee.ts';
import type { StateChange } from '../state/store.ts';
import type { BanEvent, DoorEvent } from './commit.ts';
import { rowsOfDecided } from './fleet-registers.ts';

/** What of this machine's own doing the others are told, and when. */
export interface Sayings {
  /**
   * The engine has decided it, in this turn. From now on what others say is measured by it; it is told much later, when
   * it is in force.
   */
  decided(event: EngineEvent): void;
  /** Rows that say it, to be written in the same transaction as the ban, grant or end itself. */
  rowsOf(event: DoorEvent | BanEvent): readonly StateChange[];
  /** It is in force and announced, and the others hear of it. */
  tell(event: DoorEvent | BanEvent): void;
  /** The kernel did not take it: nobody hears of it. */
  retract(event: DoorEvent): readonly StateChange[];
  /** What this lift would end was opened here knowing of it, and is not said yet. */
  stands(lift: GrantRegister): boolean;
  /** It holds on this machine alone. */
  keepHere(event: object): void;
}

interface SayingsOptions {
  readonly member: Pick<Member, 'registersOf' | 'decide' | 'right' | 'unsettled' | 'tell'>;
  readonly share: () => readonly Shared[];
  readonly grant: (event: DoorEvent) => GrantView | undefined;
}

const NOTHING: readonly StateChange[] = [];
const NO_REGISTERS: readonly Register[] = [];

export function createSayings({ member, share, grant }: SayingsOptions): Sayings {
  const said = new WeakMap<object, readonly Register[]>();
  const here = new WeakSet<object>();
  /** Grants that were opened here and not told yet, and the newest lift that each knows of. */
  const opening = new Map<string, number>();
  const isTold = (event: object, what: Shared): boolean => share().includes(what) && !here.has(event);

  function registersFor(event: EngineEvent): readonly Register[] {
    switch (event.event) {
      case 'ban.added':
        return event.shadow === true ? NO_REGISTERS : bansOf(event);
      case 'ban.extended':
        return bansOf(event);
      case 'ban.lifted':
        if (event.reason !== 'unban' && event.reason !== 'key') return NO_REGISTERS;
        if (!isTold(event, 'bans')) return NO_REGISTERS;
        return lifted(event.target, event.reason === 'key' ? 'key' : 'anyone');
      case 'door.opened':
      case 'door.renewed': {
        if (event.origin !== undefined || !isTold(event, 'grants')) return NO_REGISTERS;
        const { door, grantee, source, at: opened, until } = event;
        const uses = grant(event)?.usesLeft ?? null;
        return member.registersOf({ what: 'opened', door, grantee, source, opened, until, uses });
      }
      case 'door.closed': {
        // By its own time it ends everywhere; what this configuration or kernel does not want is this machine's affair.
        const isOwn = ['expired', 'reload', 'refused', 'fleet'].includes(event.reason);
        if (isOwn || !isTold(event, 'grants')) return NO_REGISTERS;
        const { door, grantee } = event;
        return member.registersOf({ what: 'closed', door, grantee });
      }
      default:
        return NO_REGISTERS;
    }
  }

  function bansOf(event: Extract<BanEvent, { event: 'ban.added' | 'ban.extended' }>): readonly Register[] {
    const { target, at: since, until, count, reason } = event;
    if (reason === 'fleet' || !isTold(event, 'bans')) return NO_REGISTERS;
    const cause = reason === 'order' ? reason : 'strikes';
    const happened: Happened = { what: 'banned', target, cause, since, until, count };
    const made = member.registersOf(happened);
    if (event.event === 'ban.added') return made;
    // Another end, which may be sooner: what was said before it is lifted by it.
    const lifts = lifted(target, 'anyone');
    const gen = Math.max(...lifts.map((lift) => lift.gen));
    const keys = new Set(made.map(registerKey));
    return [
      ...lifts.filter((lift) => !keys.has(registerKey(lift))),
      ...made.map((register) => ({ ...register, gen })),
    ];
  }

  function lifted(target: Cidr, by: 'anyone' | 'key'): readonly Register[] {
    return member.registersOf({ what: 'lifted', target, by });
  }

  return {
    decided(event) {
      // Whatever comes to nothing of an opening ends it too.
      if (event.event === 'door.closed') opening.delete(grantKey(event.door, event.grantee));
      const registers = registersFor(event);
      if (registers.length === 0) return;
      if (!isOpening(event)) {
        said.set(event, member.decide(registers));
        return;
      }
      said.set(event, registers);
      for (const { gen } of registers) opening.set(grantKey(event.door, event.grantee), gen);
    },
    rowsOf(event) {
      const registers = said.get(event);
      return registers === undefined ? NOTHING : rowsOfDecided(member.right(registers), member);
    },
    tell(event) {
      const registers = said.get(event);
      if (registers === undefined) return;
      // An opening may be refused until now, and what others say of the same grant must not be measured by it.
      if (isOpening(event)) {
        opening.delete(grantKey(event.door, event.grantee));
        member.decide(registers);
      }
      member.tell(registers);
    },
    retract: (event) =>
      (said.get(event) ?? []).map((register) => ({ change: 'unregister', key: registerKey(register) })),
    stands: ({ door, grantee, gen }) => (opening.get(grantKey(door, grantee)) ?? -1) >= gen,
    keepHere: (event) => void here.add(event),
  };
}

function isOpening(event: EngineEvent): event is DoorEvent {
  return event.event === 'door.opened' || event.event === 'door.renewed';
}
