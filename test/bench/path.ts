import type { Clock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { settingsOf } from '../../src/config/settings.ts';
import { createAnnouncer } from '../../src/daemon/announce.ts';
import { createIntake } from '../../src/daemon/intake.ts';
import { createPacketHistory } from '../../src/daemon/packet-history.ts';
import { createEngine, type Engine } from '../../src/engine/engine.ts';
import type { Emit } from '../../src/engine/event.ts';
import { milliseconds } from '../../src/packet/time.ts';
import type { Config } from '../../src/policy/config.ts';
import type { Batch } from '../../src/source/source.ts';

/*
 * The daemon's own path, from a batch as the queue hands it over to the announcer, in one process and without the
 * kernel: what the rooms of this project cost a packet. Only the log's last step, the line, is left out.
 */
export interface Path {
  readonly engine: Engine;
  /** Makes `count` packets, and answers with the processor's microseconds a packet that judging them took. */
  run(count: number, kind: Kind): number;
}

/** One forged packet: fills the four fields that tell a flood from another. */
export interface Kind {
  readonly source: (index: number) => number;
  readonly port: (index: number) => number;
}

const BATCH = 128;
const SLOT = 64;
const TO = 0xc000_0201;
const SYN = 2;
/** Moments between two batches: as at 400,000 packets a second. In milliseconds. */
const BATCH_MS = (BATCH / 400_000) * 1000;

export function configOf(fields: object): Config {
  const parsed = parseConfig(JSON.stringify(fields), 'bench.yaml');
  if (!parsed.ok) throw new Error(parsed.faults.map(({ problem, fix }) => `${problem}; ${fix}`).join('\n'));
  return parsed.config;
}

export function createPath(config: Config): Path {
  let now = 1000;
  const clock: Clock = {
    now: () => milliseconds(now),
    wall: () => WALL + now,
    wallOf: (at) => WALL + at,
    atWall: (wall) => milliseconds(wall - WALL),
    slept: () => false,
  };
  const engine = createEngine(
    settingsOf(config, () => []),
    [0x1234_5678, 0x0bad_cafe],
  );
  const silent = { log: () => undefined };
  const announcer = createAnnouncer(config, clock, silent);
  const emit: Emit = (event) => {
    if (event.event !== 'code.knocked') announcer.announce(event);
  };
  const intake = createIntake({
    clock,
    engine,
    history: createPacketHistory(),
    emit,
    after: () => undefined,
    isFull: () => false,
    prove: () => false,
    share: (_, outcome) => outcome,
  });
  const batch = emptyBatch();
  const view = new DataView(batch.bytes.buffer);
  let serial = 0;

  function fill(kind: Kind, from: number): void {
    for (let index = 0; index < BATCH; index += 1) {
      const at = index * SLOT;
      view.setUint32(at + 12, kind.source(from + index));
      view.setUint16(at + 20, 32_768 + ((serial * 7) % 28_000));
      view.setUint16(at + 22, kind.port(from + index));
      view.setUint32(at + 24, serial);
      batch.stamps[index] = WALL + now;
      serial += 1;
    }
  }

  return {
    engine,
    run(count, kind) {
      let spent = 0;
      for (let done = 0; done < count; done += BATCH * BATCHES) {
        // Many batches between two looks at the processor's clock: a look costs as much as several packets.
        const before = process.cpuUsage();
        for (let each = 0; each < BATCHES; each += 1) {
          fill(kind, done + each * BATCH);
          now += BATCH_MS;
          intake.onBatch(batch, BATCH);
        }
        const used = process.cpuUsage(before);
        spent += used.user + used.system;
      }
      return spent / count;
    },
  };
}

const BATCHES = 64;
const WALL = 1e12;

function emptyBatch(): Batch & { stamps: Float64Array } {
  const bytes = new Uint8Array(BATCH * SLOT);
  const offsets = new Int32Array(BATCH);
  const lengths = new Int32Array(BATCH).fill(40);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < BATCH; index += 1) {
    const at = index * SLOT;
    offsets[index] = at;
    view.setUint8(at, 0x45);
    view.setUint16(at + 2, 40);
    view.setUint8(at + 8, 64);
    view.setUint8(at + 9, 6);
    view.setUint32(at + 16, TO);
    view.setUint8(at + 32, 0x50);
    view.setUint8(at + 33, SYN);
  }
  return { bytes, offsets, lengths, stamps: new Float64Array(BATCH) };
}
