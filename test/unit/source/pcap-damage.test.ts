import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { settingsOf } from '../../../src/config/settings.ts';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { layoutOf } from '../../../src/firewall/rules/layout.ts';
import { createLocalAddresses } from '../../../src/replay/local.ts';
import { createLookAhead } from '../../../src/replay/look-ahead.ts';
import { createReplay, type Replay } from '../../../src/replay/replayer.ts';
import { createCaptureReader } from '../../../src/source/pcap.ts';
import { CAPTURES, captures } from '../../golden/replay/captures.ts';
import { configOf } from '../../golden/replay/replayed.ts';
import { type Frame, pcapng } from './capture-bytes.ts';
import { readAll } from './captured.ts';

/** Damage is tried on each byte up to here. */
const CUT_BYTES = 2048;
const MUTATIONS = 10_000;
/** Inputs that one engine judges, one after another: making its tables costs more than a capture does. */
const RUNS_PER_ENGINE = 1000;

const config = configOf(`${CAPTURES}decoys-all.yaml`);
const settings = { ...settingsOf(config, () => []), sources: 512, bans: { ...config.bans, limit: 512 } };
const layout = layoutOf(config);

/** Captures that are read as pcapng too: of either family, of two link layers, in pieces. */
const TWICE = ['ipv6.pcap', 'cooked.pcap', 'fragments.pcap', 'connections.pcap'];

const originals = captures().flatMap((name) => {
  const classic = readFileSync(`${CAPTURES}${name}`);
  const both: { readonly name: string; readonly bytes: Buffer }[] = [{ name, bytes: classic }];
  if (TWICE.includes(name)) both.push({ name: `${name}, as pcapng`, bytes: asPcapng(classic) });
  return both;
});

test('every capture, cut at every byte of its first 2 kB, gives the packets before the cut and says where it ends', () => {
  const wrong: string[] = [];
  const run = createRuns();
  for (const { name, bytes } of originals) {
    const whole = readAll(bytes);
    const most = Math.min(bytes.length, CUT_BYTES);
    for (let length = 0; length < most; length++) {
      const cut = bytes.subarray(0, length);
      const { packets, fault } = readAll(cut);
      // `expect` a hundred thousand times over would take longer than all that is tested.
      const isPrefix = packets.every((packet, index) => packet === whole.packets[index]);
      const isTold =
        fault === undefined || (fault.fault === 'cut' && fault.at <= length && fault.text !== '');
      const isSame = run(cut) === (fault?.fault ?? 'none');
      if (!(isPrefix && isTold && isSame)) wrong.push(`${name} cut at ${length}: ${JSON.stringify(fault)}`);
    }
  }
  expect(wrong).toEqual([]);
}, 120_000);

test('ten thousand damaged captures crash and hang nothing', () => {
  const random = randomOf(0x6e666b6e);
  const run = createRuns();
  const faults = { cut: 0, damaged: 0, unknown: 0, none: 0 };
  for (let round = 0; round < MUTATIONS; round++) {
    const original = originals[random(originals.length)];
    if (original === undefined) throw new Error('there are captures');
    faults[run(mutated(original.bytes, random))]++;
  }
  // Damage that is never noticed would mean that nothing was damaged.
  expect(faults.damaged).toBeGreaterThan(MUTATIONS / 20);
  expect(faults.cut).toBeGreaterThan(MUTATIONS / 20);
  expect(faults.none).toBeGreaterThan(MUTATIONS / 20);
}, 120_000);

/** Replays inputs as the command does: a first look, then the engine. Tells how each ended. */
function createRuns(): (bytes: Uint8Array) => 'cut' | 'damaged' | 'unknown' | 'none' {
  let runs = 0;
  let replay: Replay | undefined;
  const last: NfknockEvent[] = [];
  return (bytes) => {
    const lookAhead = createLookAhead();
    const first = createCaptureReader(lookAhead.add);
    first.push(bytes);
    const local = createLocalAddresses([]);
    for (const address of lookAhead.local()) local.add(address);
    lookAhead.inProgress(() => undefined);
    if (replay === undefined || runs % RUNS_PER_ENGINE === 0) {
      const emit = (event: NfknockEvent): void => {
        last[0] = event;
      };
      replay = createReplay({
        engine: settings,
        layout,
        local,
        learn: 'learn',
        lookAhead,
        keys: { file: { realms: [], keys: [] } },
        after: () => undefined,
        emit,
      });
    }
    runs++;
    const reader = createCaptureReader(replay.take);
    // In two pieces, so that records lie across a boundary.
    const half = bytes.length >> 1;
    if (reader.push(bytes.subarray(0, half))) reader.push(bytes.subarray(half));
    return reader.end()?.fault ?? 'none';
  };
}

/** One to four changes: bits turned, words that lie, bytes taken out, doubled or put elsewhere, an end cut off. */
function mutated(bytes: Buffer, random: (below: number) => number): Buffer {
  let result = Buffer.from(bytes);
  for (let changes = 1 + random(4); changes > 0 && result.length > 8; changes--) {
    const at = random(Math.min(result.length - 4, CUT_BYTES));
    const count = 1 + random(64);
    switch (random(6)) {
      case 0:
        result[at] = (result[at] ?? 0) ^ (1 << random(8));
        break;
      case 1:
        result.writeUInt32LE(LIES[random(LIES.length)] ?? 0, at);
        break;
      case 2:
        result = Buffer.concat([result.subarray(0, at), result.subarray(at + count)]);
        break;
      case 3:
        result = Buffer.concat([result.subarray(0, at + count), result.subarray(at)]);
        break;
      case 4:
        result.copy(result, random(result.length - 4), at, at + count);
        break;
      default:
        result = result.subarray(0, result.length - random(Math.min(result.length, 256)));
    }
  }
  return result;
}

const LIES = [
  0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fff0, 0x0400_0000, 12, 28,
];

function asPcapng(classic: Buffer): Buffer {
  const frames: Frame[] = [];
  for (let at = 24; at < classic.length; ) {
    const length = classic.readUInt32LE(at + 8);
    const micros = classic.readUInt32LE(at) * 1e6 + classic.readUInt32LE(at + 4);
    frames.push({ bytes: classic.subarray(at + 16, at + 16 + length), micros });
    at += 16 + length;
  }
  return pcapng(frames, { link: classic.readUInt32LE(20) });
}

/** Park and Miller's generator: the same numbers every time. */
function randomOf(seed: number): (below: number) => number {
  let state = seed % 2_147_483_647;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}
