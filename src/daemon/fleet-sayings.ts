import type { GrantView } from '../engine/views.ts';
import type { Member } from '../fleet/member.ts';
import type { Happened } from '../fleet/own.ts';
import { type Register, registerKey } from '../fleet/register.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { Shared } from '../policy/fleet.ts';
import type { StateChange } from '../state/store.ts';
import type { BanEvent, DoorEvent } from './commit.ts';
import { registerText } from './fleet-registers.ts';

/** What of this machine's own doing the others are told, and when. */
export interface Sayings {
  /** Rows that say it, to be written in the same transaction as the ban, grant or end itself. */
  rowsOf(event: DoorEvent | BanEvent): readonly StateChange[];
  /** It is in force and announced, and the others hear of it. */
  tell(event: DoorEvent | BanEvent): void;
  /** The kernel did not take it: nobody hears of it. */
  retract(event: DoorEvent): readonly StateChange[];
  /** It holds on this machine alone. */
  keepHere(event: object): void;
}

interface SayingsOptions {
  readonly member: Pick<Member, 'registersOf' | 'tell'>;
  readonly share: () => readonly Shared[];
  readonly grant: (event: DoorEvent) => GrantView | undefined;
  /** This machine has ended it: what others said of it before, and waits to be carried out, is over. */
  readonly ended: (registers: readonly Register[]) => void;
}

const NOTHING: readonly StateChange[] = [];

export function createSayings({ member, share, grant, ended }: SayingsOptions): Sayings {
  const said = new WeakMap<object, readonly Register[]>();
  const here = new WeakSet<object>();

  function registersFor(event: DoorEvent | BanEvent): readonly Register[] {
    if (here.has(event)) return [];
    const isBan = event.event.startsWith('ban.');
    if (!share().includes(isBan ? 'bans' : 'grants')) return [];
    switch (event.event) {
      case 'ban.added':
      case 'ban.extended':
        return event.reason === 'fleet' ? [] : bansOf(event);
      case 'ban.lifted':
        if (event.reason !== 'unban' && event.reason !== 'key') return [];
        return lifted(event.target, event.reason === 'key' ? 'key' : 'anyone');
      case 'door.opened':
      case 'door.renewed': {
        if (event.origin !== undefined) return [];
        const { door, grantee, source, at: opened, until } = event;
        const uses = grant(event)?.usesLeft ?? null;
        return member.registersOf({ what: 'opened', door, grantee, source, opened, until, uses });
      }
      case 'door.closed': {
        // By its own time it ends everywhere; what this configuration or kernel does not want is this machine's affair.
        const isTold = !['expired', 'reload', 'refused', 'fleet'].includes(event.reason);
        const { door, grantee } = event;
        return isTold ? member.registersOf({ what: 'closed', door, grantee }) : [];
      }
      default:
        return [];
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

  return {
    rowsOf(event) {
      const registers = registersFor(event);
      if (registers.length === 0) return NOTHING;
      said.set(event, registers);
      if (event.event === 'ban.lifted' || event.event === 'door.closed') ended(registers);
      return registers.map(rowOfRegister);
    },
    tell(event) {
      const registers = said.get(event);
      if (registers !== undefined) member.tell(registers);
    },
    retract: (event) =>
      (said.get(event) ?? []).map((register) => ({ change: 'unregister', key: registerKey(register) })),
    keepHere: (event) => void here.add(event),
  };
}

export function rowOfRegister(register: Register): StateChange {
  return { change: 'register', key: registerKey(register), value: registerText(register), untold: true };
}
