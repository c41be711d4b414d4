import type { Outcome } from '../engine/outcome.ts';
import { OUTCOMES } from '../engine/outcome.ts';
import type { Address } from '../packet/address.ts';
import type { Packet } from '../packet/packet.ts';
import type { Milliseconds } from '../packet/time.ts';
import { milliseconds } from '../packet/time.ts';

/** Packets remembered for `explain`: 40 bytes each. */
const PACKETS_MAX = 65_536;
const WORDS = 7;

export interface Recollection {
  readonly at: Milliseconds;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly outcome: Outcome;
}

/** The last packets and what became of them, for `explain`: a ring of numbers, so that remembering costs little. */
export interface PacketHistory {
  record(packet: Packet, outcome: Outcome, at: Milliseconds): void;
  /** What is remembered of a host, oldest first, at most `limit` of the newest. */
  of(host: Address, limit: number): readonly Recollection[];
  /** Packets that have been forgotten since the start. */
  forgotten(): number;
}

export function createPacketHistory(): PacketHistory {
  const words = new Int32Array(PACKETS_MAX * WORDS);
  const times = new Float64Array(PACKETS_MAX);
  const codes = new Map(OUTCOMES.map((outcome, code) => [outcome, code]));
  /** Packets of a flood end alike: the code of the last outcome is mostly that of the next. */
  let last: Outcome = 'ignored';
  let code = codes.get(last) ?? 0;
  let written = 0;

  return {
    record(packet, outcome, at) {
      const slot = written % PACKETS_MAX;
      const base = slot * WORDS;
      words[base] = (packet.family << 8) | packet.protocol;
      words[base + 1] = packet.source0;
      words[base + 2] = packet.source1;
      words[base + 3] = packet.source2;
      words[base + 4] = packet.source3;
      words[base + 5] = packet.port;
      if (outcome !== last) {
        last = outcome;
        code = codes.get(outcome) ?? 0;
      }
      words[base + 6] = code;
      times[slot] = at;
      written += 1;
    },
    of(host, limit) {
      const found: Recollection[] = [];
      const first = Math.max(0, written - PACKETS_MAX);
      for (let index = written - 1; index >= first && found.length < limit; index -= 1) {
        const base = (index % PACKETS_MAX) * WORDS;
        const head = words[base] ?? 0;
        const same =
          words[base + 1] === host.a &&
          words[base + 2] === host.b &&
          words[base + 3] === host.c &&
          words[base + 4] === host.d;
        if (!same || head >> 8 !== host.family) continue;
        found.push({
          at: milliseconds(times[index % PACKETS_MAX] ?? 0),
          protocol: (head & 255) === 6 ? 'tcp' : 'udp',
          port: words[base + 5] ?? 0,
          outcome: OUTCOMES[words[base + 6] ?? 0] ?? 'ignored',
        });
      }
      return found.reverse();
    },
    forgotten: () => Math.max(0, written - PACKETS_MAX),
  };
}
