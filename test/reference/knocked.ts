import type { DoorSettings } from '../../src/engine/settings.ts';
import { flagBits, type RefPacket } from './packet.ts';

export interface Timed {
  readonly at: number;
  readonly packet: RefPacket;
}

/** Whether these packets of one source have the door's knocks in them, the last packet being the last knock. */
export function knockedFor(door: DoorSettings, own: readonly Timed[]): boolean {
  const knocks = own.filter(({ packet }) => packet.protocol === 'udp' || fits(door, flagBits(packet.flags)));
  const isStep = ({ packet }: Timed, step: number): boolean => {
    const spec = door.knock[step];
    return spec !== undefined && spec.port === packet.port && spec.protocol === packet.protocol;
  };
  const ended = (last: number, step: number, until: number): boolean => {
    const knock = knocks[last];
    if (knock === undefined || !isStep(knock, step) || until - knock.at > (door.within ?? 10_000))
      return false;
    if (step === 0) return true;
    return knocks.some((other, index) => {
      const gap = knock.at - other.at;
      const inTime = gap <= door.gap.max && (gap >= door.gap.min || !knock.packet.stamped);
      return index < last && inTime && ended(index, step - 1, until);
    });
  };
  const now = own.at(-1);
  return (
    now !== undefined && now === knocks.at(-1) && ended(knocks.length - 1, door.knock.length - 1, now.at)
  );
}

function fits(door: DoorSettings, bits: number): boolean {
  const { set, clear } = door.flags;
  return (bits & set) === set && (bits & clear) === 0;
}
