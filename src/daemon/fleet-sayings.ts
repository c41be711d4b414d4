import type { EngineEvent } from '../engine/event.ts';
import type { GrantView } from '../engine/views.ts';
import type { Member } from '../fleet/member.ts';
import type { Happened } from '../fleet/own.ts';
import { type Register, registerKey } from '../fleet/register.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { Shared } from '../policy/fleet.ts';
import { type Grantee, grantKey } from '../policy/grantee.ts';
import type { StateChange } from '../state/store.ts';
import type { BanEvent, DoorEvent } from './commit.ts';
import type { Here } from './fleet-here.ts';
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
  /** The newest lift that a grant here is known to have been opened after, though no register says so; 0: none. */
  grantKnows(door: string, grantee: Grantee): number;
  /** It holds on this machine alone. */
  keepHere(event: object): void;
}

interface SayingsOptions {
  readonly member: Pick<Member, 'registersOf' | 'decide' | 'right' | 'unsettled' | 'tell'>;
  readonly share: () => readonly Shared[];
  readonly grant: (event: DoorEvent) => GrantView | undefined;
  readonly here: Pick<Here, 'note' | 'ended' | 'grantKnows'>;
}

const NOTHING: readonly StateChange[] = [];
const NO_REGISTERS: readonly Register[] = [];

export function createSayings({ member, share, grant, here }: SayingsOptions): Sayings {
  const said = new WeakMap<object, readonly Register[]>();
  /** Rows of what nobody is told of. */
  const kept = new WeakMap<object, readonly StateChange[]>();
  const isHere = new WeakSet<object>();
  /** Grants that were opened here and not told yet: the last opening, and the newest lift that it knows of. */
  const opening = new Map<string, { readonly event: object; readonly gen: number }>();

  function registersFor(event: DoorEvent | BanEvent): readonly Register[] {
    switch (event.event) {
      case 'ban.added':
      case 'ban.extended':
        return bansOf(event);
      case 'ban.lifted':
        return lifted(event.target, event.reason === 'key' ? 'key' : 'anyone');
      case 'door.opened':
      case 'door.renewed': {
        const { door, grantee, source, at: opened, until } = event;
        const uses = grant(event)?.usesLeft ?? null;
        return member.registersOf({ what: 'opened', door, grantee, source, opened, until, uses });
      }
      case 'door.closed': {
        const { door, grantee } = event;
        return member.registersOf({ what: 'closed', door, grantee });
      }
      default:
        return NO_REGISTERS;
    }
  }

  function bansOf(event: Extract<BanEvent, { event: 'ban.added' | 'ban.extended' }>): readonly Register[] {
    const { target, at: since, until, count, reason } = event;
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

  function isTold(event: DoorEvent | BanEvent): boolean {
    return share().includes(event.event.startsWith('ban.') ? 'bans' : 'grants') && !isHere.has(event);
  }

  return {
    decided(event) {
      // Whatever comes to nothing of an opening ends it too.
      if (event.event === 'door.closed') opening.delete(grantKey(event.door, event.grantee));
      const rows = isEnd(event) ? here.ended(event) : NOTHING;
      if (rows.length > 0) kept.set(event, rows);
      if (!isOurs(event)) return;
      if (!isTold(event)) {
        kept.set(event, [...rows, ...here.note(event)]);
        return;
      }
      const registers = registersFor(event);
      if (!isOpening(event)) {
        said.set(event, member.decide(registers));
        return;
      }
      said.set(event, registers);
      for (const { gen } of registers) opening.set(grantKey(event.door, event.grantee), { event, gen });
    },
    rowsOf(event) {
      const [registers, rows] = [said.get(event), kept.get(event) ?? NOTHING];
      return registers === undefined ? rows : [...rows, ...rowsOfDecided(member.right(registers), member)];
    },
    tell(event) {
      const registers = said.get(event);
      if (registers === undefined) return;
      // An opening may be refused until now, and what others say of the same grant must not be measured by it.
      if (isOpening(event)) {
        const key = grantKey(event.door, event.grantee);
        // It may have been opened anew meanwhile, which is told later.
        if (opening.get(key)?.event === event) opening.delete(key);
        member.decide(registers);
      }
      member.tell(registers);
    },
    retract: (event) =>
      (said.get(event) ?? []).map((register) => ({ change: 'unregister', key: registerKey(register) })),
    grantKnows: (door, grantee) =>
      Math.max(here.grantKnows(door, grantee), opening.get(grantKey(door, grantee))?.gen ?? 0),
    keepHere: (event) => void isHere.add(event),
  };
}

/** Whether it is this machine's own doing, which others are to hear of where it shares such. */
function isOurs(event: EngineEvent): event is DoorEvent | BanEvent {
  switch (event.event) {
    case 'ban.added':
      return event.shadow !== true && event.reason !== 'fleet';
    case 'ban.extended':
      return event.reason !== 'fleet';
    case 'ban.lifted':
      return event.reason === 'unban' || event.reason === 'key';
    case 'door.opened':
    case 'door.renewed':
      return event.origin === undefined;
    case 'door.closed':
      // By its own time it ends everywhere; what this configuration or kernel does not want is this machine's affair.
      return !['expired', 'reload', 'refused', 'fleet'].includes(event.reason);
    default:
      return false;
  }
}

function isEnd(event: EngineEvent): event is DoorEvent | BanEvent {
  return event.event === 'door.closed' || event.event === 'ban.lifted' || event.event === 'ban.expired';
}

function isOpening(event: EngineEvent): event is DoorEvent {
  return event.event === 'door.opened' || event.event === 'door.renewed';
}
