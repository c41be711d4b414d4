import { settingsOf } from '../config/settings.ts';
import type { NfknockEvent } from '../engine/event.ts';
import { layoutOf } from '../firewall/rules/layout.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { Config } from '../policy/config.ts';
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from '../policy/limits.ts';
import { mayHoldIp } from '../source/frame-name.ts';
import { type CaptureReader, createCaptureReader } from '../source/pcap.ts';
import type { CaptureInput } from '../source/pcap-input.ts';
import { readCodes } from './codes.ts';
import type { ReplayKeyFile } from './keys.ts';
import { createLocalAddresses } from './local.ts';
import { createLookAhead, type LookAhead } from './look-ahead.ts';
import { nothingJudged } from './nothing-judged.ts';
import { readOneTimes } from './one-time.ts';
import { createReplay, type ReplayCounts } from './replayer.ts';

/**
 * Unpacked bytes that are looked at before judging begins: from them come this machine's addresses and the
 * connections in progress. They are held meanwhile, since standard input can't be read twice.
 */
export const LOOK_AHEAD_BYTES = 33_554_432;

export interface ReplayRun {
  readonly input: CaptureInput;
  readonly config: Config;
  /** This machine's addresses; empty: those that receive SYNs. */
  readonly addresses: readonly Cidr[];
  /** A live pipe is judged as it comes, which needs its addresses to be given. */
  readonly pace: 'look ahead' | 'as it comes';
  readonly keys: ReplayKeyFile;
  readonly emit: (event: NfknockEvent) => void;
  /** Called between two chunks; answers whether to go on. */
  readonly between: (packets: number) => Promise<boolean>;
}

export interface ReplayEnd {
  readonly counts: Readonly<ReplayCounts>;
  /** Whose packets were judged. */
  readonly local: readonly Cidr[];
  /** Why the capture was not read to its end, in words for people; null where it was. */
  readonly fault: string | null;
  /** What could not be judged, in words for people. */
  readonly warnings: readonly string[];
  /** False where `between` said to stop. */
  readonly finished: boolean;
}

/** Runs a capture through the engine, from the first packet that can be read to the last. */
export async function runReplay(run: ReplayRun): Promise<ReplayEnd> {
  const { input, config, addresses } = run;
  const chunks = input.chunks[Symbol.asyncIterator]();
  const lookAhead = run.pace === 'look ahead' ? createLookAhead() : null;
  const held = lookAhead === null ? [] : await lookInto(chunks, lookAhead);
  const local = createLocalAddresses(addresses);
  if (addresses.length === 0) for (const address of lookAhead?.local() ?? []) local.add(address);

  const oneTime = readOneTimes(config);
  const codes = readCodes(config, run.keys);
  const replay = createReplay({
    engine: settingsOf(config, oneTime.next),
    layout: layoutOf(config, oneTime.ports),
    after: (event) => codes.after(event) ?? oneTime.after(event),
    local,
    learn: addresses.length === 0 ? 'learn' : 'fixed',
    lookAhead,
    keys: run.keys,
    emit: run.emit,
  });
  const reader = createCaptureReader(replay.take);
  let finished = true;
  for await (const chunk of rest(held, chunks)) {
    if (!reader.push(chunk)) break;
    finished = await run.between(replay.counts.packets);
    if (!finished) break;
  }
  replay.end();
  const fault = finished ? faultOf(reader, input) : null;
  return {
    counts: replay.counts,
    local: local.list(),
    fault,
    warnings: [
      ...oneTime.warnings,
      ...codes.warnings(),
      ...warningsOf(reader, replay.lostFragments()),
      ...unaskedWarning(replay.counts.unasked),
      ...leftOutWarning(replay.leftOut(), run.keys),
      // Where reading stopped early, that says enough.
      ...(finished && fault === null ? nothingJudged(replay, reader.counts, local) : []),
    ],
    finished,
  };
}

/** Reads as much as is looked at ahead, and hands it back to be read again. */
async function lookInto(chunks: AsyncIterator<Uint8Array>, lookAhead: LookAhead): Promise<Uint8Array[]> {
  const reader = createCaptureReader(lookAhead.add);
  const held: Uint8Array[] = [];
  let bytes = 0;
  while (bytes < LOOK_AHEAD_BYTES) {
    const next = await chunks.next();
    if (next.done === true) break;
    held.push(next.value);
    bytes += next.value.length;
    // What can't be read now can't be read later either: the message comes from the second reading.
    if (!reader.push(next.value)) break;
  }
  return held;
}

async function* rest(held: Uint8Array[], chunks: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (let chunk = held.shift(); chunk !== undefined; chunk = held.shift()) yield chunk;
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
}

function faultOf(reader: CaptureReader, input: CaptureInput): string | null {
  const fault = reader.end();
  const { frames } = reader.counts;
  const read = frames === 1 ? 'the packet before was read' : `the ${frames} packets before were read`;
  if (fault?.fault === 'unknown') return fault.text;
  // What is wrong from the first byte on is no damaged capture, but something else.
  if (fault?.at === 0 && fault.text.startsWith('it ')) return fault.text;
  if (fault?.fault === 'damaged') return `it is damaged at byte ${fault.at}: ${fault.text}; ${read}`;
  // Where reading stopped early, that the last record is cut is only what follows from it.
  const reading = input.fault();
  if (reading !== undefined) return `${reading}; ${read}`;
  return fault === undefined ? null : `it is cut short at byte ${fault.at}: ${fault.text}; ${read}`;
}

function unaskedWarning(count: number): readonly string[] {
  if (count === 0) return [];
  const packets = count === 1 ? '1 UDP packet to a port' : `${count} UDP packets to ports`;
  return [
    `${packets} from ${EPHEMERAL_FIRST} to ${EPHEMERAL_LAST} counted as decoys: a capture does not show where a socket waited for an answer (SSDP, mDNS, WS-Discovery), which is no offence from a directly connected network`,
  ];
}

function leftOutWarning(count: number, keys: ReplayKeyFile): readonly string[] {
  if (count === 0 || keys.file !== null) return [];
  const were = count === 1 ? '1 packet to a port of keys was' : `${count} packets to ports of keys were`;
  return [`${were} not looked into: ${keys.reason}`];
}

function warningsOf(reader: CaptureReader, lostFragments: number): string[] {
  const warnings = [...reader.counts.unsupported].map(
    ([link, count]) => `${count} packets have link type ${link}, which can't be read: they were left out`,
  );
  for (const [name, count] of reader.counts.others) {
    if (mayHoldIp(name))
      warnings.push(
        `${count} ${count === 1 ? 'frame is' : 'frames are'} ${name}, which can't be read: left out; capture where the packets come without it, such as on the interface of the tunnel`,
      );
  }
  if (lostFragments > 0) {
    warnings.push(
      `${lostFragments} datagrams are missing fragments: they were left out, as the kernel would`,
    );
  }
  return warnings;
}
