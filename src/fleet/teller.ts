import { createWideMap } from '../table/wide-map.ts';
import type { Bus, RegisterRow } from './bus.ts';
import type { Host } from './host.ts';
import { encode, type Message } from './message.ts';
import type { BusClock } from './offset.ts';
import { createOutbox, type Parcel } from './outbox.ts';
import { type AmnestyRegister, type Register, registerKey } from './register.ts';
import { rowOf } from './row.ts';
import type { Traffic } from './traffic.ts';

/** Registers that are over whose rows go with one message. */
const DELETED_AT_ONCE = 1_024;
/** Says nothing: no lift is before it. It carries the deletion of rows where there is nothing else to be told. */
const NOTHING: AmnestyRegister = { kind: 'amnesty', gen: 0 };

/** Tells the outbox to the others, one message at a time, and numbers what it tells. */
export interface Teller {
  put(register: Register): void;
  /** These are over: their rows go. */
  drop(registers: readonly Register[]): void;
  /** Tells what waits, unless something is on its way. */
  flush(): void;
  number(): number;
  waiting(): number;
  /** Own bans that were not told, since too many were. */
  shed(): number;
  /** What was on its way is not any more. */
  disconnected(): void;
  connected(): void;
}

interface TellerParts {
  readonly bus: Bus;
  readonly clock: BusClock;
  readonly host: Host;
  readonly traffic: Traffic;
  now(): number;
  /** This member says no more of these. */
  retract(register: Register): void;
}

export function createTeller({ bus, clock, host, traffic, now, retract }: TellerParts): Teller {
  const outbox = createOutbox();
  const deleted = createWideMap<Register>();
  let number = 0;
  let isConnected = false;
  let isTelling = false;
  let shed = 0;

  function flush(): void {
    if (!isConnected || isTelling) return;
    const parcel = outbox.take(now()) ?? (deleted.size() > 0 ? { registers: [NOTHING] } : undefined);
    if (parcel === undefined) return;
    isTelling = true;
    const gone = firstOf(deleted.values(), DELETED_AT_ONCE);
    number += 1;
    const message = messageOf(parcel);
    traffic.count('out', message.kind);
    bus.tell({ rows: rowsOf(parcel, gone), message: encode(message) }, (answer) => {
      isTelling = false;
      // What may not have arrived is told again at the next heartbeat; twice is harmless.
      if (!answer.ok) return;
      for (const register of gone)
        if (deleted.get(registerKey(register)) === register) deleted.delete(registerKey(register));
      const done = outbox.told(parcel);
      if (done.length > 0) host.told(done);
      flush();
    });
  }

  function rowsOf({ registers }: Parcel, gone: readonly Register[]): readonly RegisterRow[] {
    const kept = registers.filter((register) => register !== NOTHING);
    return [
      ...kept.map((register) => rowOf(register, 'keep')),
      ...gone.map((register) => rowOf(register, 'delete')),
    ];
  }

  function messageOf({ registers }: Parcel): Message {
    const head = { number, time: clock.now() };
    const [first] = registers;
    switch (first?.kind) {
      case 'ban':
        return { ...head, kind: 'ban', records: registers.filter((each) => each.kind === 'ban') };
      case 'grant':
        return { ...head, kind: 'grant', records: registers.filter((each) => each.kind === 'grant') };
      default:
        return { ...head, kind: 'amnesty', records: registers.filter((each) => each.kind === 'amnesty') };
    }
  }

  return {
    put(register) {
      deleted.delete(registerKey(register));
      const gone = outbox.put(register);
      if (gone.length === 0) return;
      shed += gone.length;
      for (const each of gone) retract(each);
      host.shed(gone);
    },
    drop(registers) {
      for (const register of registers) deleted.set(registerKey(register), register);
    },
    flush,
    number: () => number,
    waiting: outbox.size,
    shed: () => shed,
    disconnected() {
      isConnected = false;
      isTelling = false;
    },
    connected() {
      // Numbers go on after a restart, so they begin with the moment; and from the first presence on, so that others read
      // what was told last before it, whose doorbell they may have lost.
      if (number === 0) number = Math.floor(clock.now());
      isConnected = true;
      isTelling = false;
    },
  };
}

/** Of what may be a million, so many. */
function firstOf<T>(all: Iterable<T>, most: number): readonly T[] {
  const first: T[] = [];
  for (const each of all) {
    if (first.length >= most) break;
    first.push(each);
  }
  return first;
}
