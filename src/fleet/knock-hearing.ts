import type { Packet } from '../packet/packet.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import type { KnockParts } from './knock-host.ts';
import type { KnockTelling } from './knock-telling.ts';
import type { Message } from './message.ts';
import { AHEAD_MAX } from './offset.ts';
import { sourceKey } from './parking.ts';
import type { ToldPacket } from './records.ts';
import { packetFrom } from './told-packet.ts';
import type { Waiting } from './waiting.ts';

/** What another member says of one knock, or of one offence. */
type HearKnock = (member: string, kind: Message['kind'], record: Message['records'][number]) => void;

export function createKnockHearing(parts: KnockParts, telling: KnockTelling, waiting: Waiting): HearKnock {
  const { host, clock, surroundings, refuse } = parts;
  const { engine, emit } = host;
  const { parking, late, park, retry } = waiting;

  const now = (): Milliseconds => milliseconds(surroundings.now());

  function hearPacket(
    member: string,
    record: ToldPacket,
    handle: (packet: Packet, came: number) => void,
  ): void {
    const came = clock.toLocal(record.at);
    if (Math.abs(now() - came) > AHEAD_MAX) refuse(member, 'time');
    else handle(packetFrom(record), Math.min(came, now()));
  }

  function hearKnock(member: string, record: ToldPacket): void {
    hearPacket(member, record, (packet, came) => {
      // It has been judged here: its sender, or the network, has sent it twice.
      if (engine.meet(packet, now())) return;
      const source = sourceKey(record.source);
      const kind = record.explained ? 'explained' : 'wrong';
      park({ id: record.id, packet, source, came, origin: member, kind, isLast: false });
      retry(source);
    });
  }

  /** One fewer stands aside, or it is no strike. */
  function hearAnswer(id: number, how: 'placed' | 'known'): void {
    const parked = parking.byId(id);
    if (parked === undefined) return;
    if (how === 'known') {
      if (parked.kind === 'wrong') parked.kind = how;
      return;
    }
    parking.remove(parked);
    retry(parked.source);
  }

  function hearStruck(member: string, record: ToldPacket): void {
    hearPacket(member, record, (packet, came) => {
      engine.conclude(packet, late(came, member), now(), emit);
    });
    const parked = parking.byId(record.id);
    if (parked?.origin !== member) return;
    parking.remove(parked);
    retry(parked.source);
  }

  return function hear(member: string, kind: Message['kind'], record: Message['records'][number]): void {
    if (typeof record === 'number') hearAnswer(record, kind === 'known' ? kind : 'placed');
    else if (!('sourcePort' in record)) {
      if ('family' in record) telling.noteFirst(sourceKey(record));
    } else if (kind === 'knock') hearKnock(member, record);
    else if (kind === 'struck') hearStruck(member, record);
    else hearPacket(member, record, (packet) => void engine.offend(packet, member, now(), emit));
  };
}
