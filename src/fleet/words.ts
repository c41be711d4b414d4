import type { Address } from '../packet/address.ts';
import type { Bus } from './bus.ts';
import { encode, RECORDS_MAX, type Records } from './message.ts';
import type { BusClock } from './offset.ts';
import type { ToldPacket } from './records.ts';
import type { Traffic } from './traffic.ts';

interface Record {
  readonly knock: ToldPacket;
  readonly decoy: ToldPacket;
  readonly struck: ToldPacket;
  readonly placed: number;
  readonly known: number;
  readonly first: Address;
}

/** What is told of knocks: gathered while packets are judged, rung in as few messages as it fits in. None is kept. */
export interface Words {
  put<Kind extends keyof Record>(kind: Kind, record: Record[Kind]): void;
  flush(): void;
}

interface WordsParts {
  readonly bus: Pick<Bus, 'ring'>;
  readonly clock: BusClock;
  readonly traffic: Traffic;
}

export function createWords({ bus, clock, traffic }: WordsParts): Words {
  const waiting: { [Kind in keyof Record]: Record[Kind][] } = {
    first: [],
    placed: [],
    known: [],
    knock: [],
    decoy: [],
    struck: [],
  };
  let some = false;

  function ring(message: Records): void {
    traffic.count('out', message.kind);
    bus.ring(encode({ ...message, number: 0, time: clock.now() }));
  }

  function flush(): void {
    if (!some) return;
    some = false;
    const { first, placed, known, knock, decoy, struck } = waiting;
    // What was first comes first: by it the others know whose knocks are worth more.
    while (first.length > 0) ring({ kind: 'first', records: first.splice(0, RECORDS_MAX) });
    while (placed.length > 0) ring({ kind: 'placed', records: placed.splice(0, RECORDS_MAX) });
    while (known.length > 0) ring({ kind: 'known', records: known.splice(0, RECORDS_MAX) });
    while (knock.length > 0) ring({ kind: 'knock', records: knock.splice(0, RECORDS_MAX) });
    while (decoy.length > 0) ring({ kind: 'decoy', records: decoy.splice(0, RECORDS_MAX) });
    while (struck.length > 0) ring({ kind: 'struck', records: struck.splice(0, RECORDS_MAX) });
  }

  return {
    put(kind, record) {
      (waiting[kind] as (typeof record)[]).push(record);
      some = true;
      if (waiting[kind].length >= RECORDS_MAX) flush();
    },
    flush,
  };
}
