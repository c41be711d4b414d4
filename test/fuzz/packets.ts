import { createEngine } from '../../src/engine/engine.ts';
import { decode } from '../../src/packet/decode.ts';
import { emptyPacket, type Packet } from '../../src/packet/packet.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { createCaptureReader } from '../../src/source/pcap.ts';
import { door, settings } from '../unit/engine/world.ts';
import {
  classic,
  ethernet,
  type Frame,
  ipv4,
  ipv6,
  pcapng,
  tcp,
  tcpSegment,
  udp,
} from '../unit/source/capture-bytes.ts';
import { mutate, type Random } from './random.ts';
import { type Attempt, check, type Target } from './target.ts';

const FROM = '198.51.100.7';
const HERE = '192.0.2.1';
const FROM6 = '2001:db8:1::7';
const HERE6 = '2001:db8::1';
const segment = tcpSegment({ from: FROM, to: HERE, port: 9000 });
const header = (next: number, units: number): Buffer =>
  Buffer.concat([Buffer.from([next, units]), Buffer.alloc(6 + 8 * units)]);

const SOUND: readonly Buffer[] = [
  tcp({ from: FROM, to: HERE, port: 7000 }),
  udp(FROM, HERE, 40_000, 8000),
  tcp({ from: FROM6, to: HERE6, port: 23, flags: 41 }),
  udp(FROM6, HERE6, 1, 161),
  ipv4(FROM, HERE, 6, segment, 0x2000),
  ipv6(FROM6, HERE6, 0, Buffer.concat([header(60, 0), header(43, 1), header(44, 0), header(6, 0), segment])),
  ipv6(FROM6, HERE6, 51, Buffer.concat([Buffer.from([6, 4]), Buffer.alloc(22), segment])),
];

/** More than the table below holds, so that it is always full. */
const SOURCES = 64;
const ROOM = 2048;
const OFFSET_MAX = 64;
const INPUT_MAX = ROOM - OFFSET_MAX;

export const decoder: Target = {
  name: 'decoder and engine',
  short: 30_000,
  long: 10_000_000,
  start(random): Attempt {
    const given = settings({ doors: [door()], decoys: 'all', sources: SOURCES, bans: { enforce: false } });
    const engine = createEngine(given, [1, 2]);
    const around = [Buffer.alloc(ROOM, 0), Buffer.alloc(ROOM, 0xff)];
    const packets = [emptyPacket(), emptyPacket()] as const;
    let now = 0;
    const nothing = (): void => undefined;
    return {
      make: () => mutate(Buffer.from(SOUND[random(SOUND.length)] ?? []), random),
      vary: (kept) => mutate(kept, random),
      take(input) {
        const bytes = input.subarray(0, INPUT_MAX);
        const offset = random(OFFSET_MAX);
        const [one, other] = around.map((memory, index) => {
          bytes.copy(memory, offset);
          const wrong = decode(memory, offset, bytes.length, packets[index === 0 ? 0 : 1]);
          memory.fill(index === 0 ? 0 : 0xff, offset, offset + bytes.length);
          return wrong;
        });
        check(one === other, 'whether a packet is malformed depends on its own bytes alone');
        now += random(3);
        if (one !== null) {
          engine.malformed(one ?? 'empty', milliseconds(now), nothing);
          return 'malformed';
        }
        const [packet, same] = packets;
        check(told(packet) === told(same), 'a packet is what its own bytes say');
        check(
          packet.port >= 0 && packet.port <= 65_535 && packet.flags <= 63,
          'ports and flags are in range',
        );
        const outcome = engine.judge(packet, milliseconds(now), nothing);
        const { attempts, offenders } = engine.sizes();
        check(attempts <= SOURCES && offenders <= SOURCES, 'memory is bounded');
        return outcome;
      },
      close: nothing,
    };
  },
};

const frames = SOUND.map((packet, index) => ({
  bytes: ethernet(packet),
  micros: 1_795_243_200_000_000 + index,
}));
const few = SOUND.slice(0, 3).map((bytes, micros) => ({ bytes, micros }));
const tagged = ({ bytes, micros }: Frame): Frame => ({ bytes: ethernet(bytes, 0x88a8, 0x8100), micros });
const CAPTURES = [
  classic(frames),
  classic(frames, { nano: true, big: true }),
  pcapng(frames),
  pcapng(frames, { big: true }),
  pcapng(few, { resolution: 0x8a, offset: 7, direction: 1 }),
  pcapng(few, { big: true, resolution: 9, block: 'packet', direction: 2 }),
  pcapng(few, { link: 101, block: 'simple' }),
  classic(few.map(tagged)),
  // BSD loopback, raw IP, Linux cooked, IPv4 alone, IPv6 alone, Linux cooked 2, and one that is not supported.
  ...[0, 101, 113, 228, 229, 276, 147].map((link) => classic(few, { link })),
];

export const capture: Target = {
  name: 'captures',
  short: 8_000,
  long: 10_000_000,
  start: (random: Random): Attempt => ({
    make: () => mutate(Buffer.from(CAPTURES[random(CAPTURES.length)] ?? []), random),
    vary: (kept) => mutate(kept, random),
    take(bytes) {
      let packets = 0;
      const reader = createCaptureReader((batch, count) => {
        packets += count;
        for (let index = 0; index < count; index += 1) {
          const at = batch.offsets[index] ?? -1;
          check(
            at >= 0 && at + (batch.lengths[index] ?? 0) <= batch.bytes.length,
            'a packet lies within its batch',
          );
        }
      });
      const half = random(bytes.length + 1);
      if (reader.push(bytes.subarray(0, half))) reader.push(bytes.subarray(half));
      const fault = reader.end();
      check(packets <= bytes.length / 12, 'no packet is made of nothing');
      check(
        fault === undefined || (fault.at <= bytes.length && fault.text !== ''),
        'a fault has a place and words',
      );
      return fault?.fault ?? 'read';
    },
    close: () => undefined,
  }),
};

/** A packet but for the bytes that it borrows: they are wiped once it is decoded. */
function told({ bytes: _, ...rest }: Packet): string {
  return JSON.stringify(rest);
}
