import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { goldenCases } from '../golden/replay/captures.ts';
import { atEnd } from '../support/cleanup.ts';
import { type Line, startDaemon } from '../support/daemon.ts';
import { execute } from '../support/process.ts';
import { temporaryFolder } from '../support/scratch.ts';

/*
 *   wire                              door
 *   eth0, no address      ───────     192.0.2.1, 2001:db8:1::1, the daemon
 *
 * The incoming frames of every capture are played into the door's interface with their own sources; what the daemon
 * says of each source must be what the replay of the same capture says, which the golden files hold. Moments differ.
 */

/** How many times faster than recorded a capture is played: the events depend on limits, not on moments. */
const SPEEDS: Readonly<Record<string, number>> = {
  telnet: 8,
  nc: 2,
  connections: 2,
  malformed: 4,
  'one-time': 2,
};

const DOOR_MAC = '02:00:00:00:00:01';
/** Milliseconds without a further event after which no more is waited for. */
const QUIET_MS = 1500;
/** Milliseconds in which an event that nobody expects would come. */
const SURPLUS_MS = 200;
const TIMEOUT = 60_000;

/** The link layers of the captures, by their numbers in a capture's header. */
const LINUX_SLL2 = 276;
const SLL2_HEADER_BYTES = 20;
/** Where a cooked header has the packet's way, and what it is for a packet to this machine. */
const SLL2_WAY = 10;
const TO_THIS_MACHINE = 0;

/** A packet of a key holds the moment it was made: played later it is late, which keys-network.test.ts holds. */
const OF_THEIR_MOMENT = 'keys.keys';

/**
 * Each capture under one of the configurations that it is replayed with: the wire brings the same packets whatever is
 * made of them, and with decoys on all ports most of them come to the daemon.
 */
const cases = [
  ...new Map(
    goldenCases()
      .map((each) => ({ ...each, name: basename(each.golden, '.jsonl') }))
      .filter(({ name }) => name !== OF_THEIR_MOMENT)
      .toSorted((a, b) => Number(a.name.endsWith('.decoys-all')) - Number(b.name.endsWith('.decoys-all')))
      .map((each) => [each.capture, each] as const),
  ).values(),
];

// Each has a network of its own, and most of it is waiting.
test.concurrent.each(cases)(
  '$name: played onto a wire gives the live daemon the events of the replay',
  { timeout: TIMEOUT },
  async ({ golden, capture, config }) => {
    const { door, wire, close } = makeWire();
    try {
      const wanted = goldenEvents(golden);
      const speed = SPEEDS[basename(capture, '.pcap')] ?? 1;
      const file = addressedTo(DOOR_MAC, readFileSync(capture));
      expect(await heardOf({ door, wire, config: configOf(config), file, speed, wanted })).toEqual(wanted);
    } finally {
      close();
    }
  },
);

interface Play {
  readonly door: string;
  readonly wire: string;
  readonly config: object;
  /** What is played, and how many times faster than it was recorded. */
  readonly file: string;
  readonly speed: number;
  readonly wanted: readonly object[];
}

/** What the daemon says of it: for as long as something is missing, and a little longer. */
async function heardOf({ door, wire, config, file, speed, wanted }: Play): Promise<readonly object[]> {
  const daemon = await startDaemon(door, config);
  try {
    const { code, stderr } = await execute(wire, [
      'tcpreplay',
      '-q',
      '-i',
      'eth0',
      `--multiplier=${speed}`,
      file,
    ]);
    expect([code, stderr]).toEqual([0, expect.anything()]);
    const heard = (): readonly object[] => bySource(daemon.lines.filter(isJudgement)).map(essence);
    const deadline = performance.now() + QUIET_MS;
    while (heard().length < wanted.length && performance.now() < deadline) await sleep(20);
    await sleep(SURPLUS_MS);
    await daemon.stop();
    return heard();
  } finally {
    await daemon.stop('SIGKILL');
  }
}

/** The configuration with copies of its one-time files, in which the daemon marks what is used. */
function configOf(file: string): object {
  const config = parse(readFileSync(file, 'utf8')) as { doors: Record<string, { one_time?: string }> };
  for (const door of Object.values(config.doors)) {
    if (door.one_time === undefined) continue;
    const copy = join(temporaryFolder(), basename(door.one_time));
    cpSync(join(file, '..', basename(door.one_time)), copy);
    door.one_time = copy;
  }
  return config;
}

function goldenEvents(golden: string): readonly object[] {
  const lines = readFileSync(golden, 'utf8').split('\n');
  const events = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Line);
  return bySource(events.filter(isJudgement)).map(essence);
}

/** What the engine says; of malformed packets the kernel itself drops most, and the log leaves them out. */
function isJudgement({ event }: Line): boolean {
  return /^(knock|decoy|scan|door|ban)\./.test(event);
}

/** A grant or ban is said once it is on the disk and in the kernel; what others do meanwhile is said before it. */
function bySource(lines: readonly Line[]): readonly Line[] {
  return lines.toSorted((a, b) => (a.source ?? '').localeCompare(b.source ?? ''));
}

function essence({ time: _time, until: _until, ...rest }: Line): object {
  return rest;
}

let made = 0;

function makeWire(): { readonly door: string; readonly wire: string; close(): void } {
  made += 1;
  const prefix = `nfkR${process.env['NFKNOCK_RUN'] ?? ''}-${process.pid}-${made}`;
  const [door, wire] = [`${prefix}d`, `${prefix}w`];
  const ip = (...words: readonly string[]): void => void execFileSync('ip', words);
  const removals = [door, wire].map((name) => {
    ip('netns', 'add', name);
    return atEnd(() => ip('netns', 'delete', name));
  });
  const close = (): void => {
    for (const remove of removals) remove();
  };
  ip(
    '-n',
    door,
    'link',
    'add',
    'name',
    'eth0',
    'address',
    DOOR_MAC,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    wire,
  );
  ip('-n', door, 'address', 'add', '192.0.2.1/24', 'dev', 'eth0');
  ip('-n', door, 'address', 'add', '2001:db8:1::1/64', 'dev', 'eth0', 'nodad');
  for (const name of [door, wire]) ip('-n', name, 'link', 'set', 'dev', 'eth0', 'up');
  ip('-n', door, 'route', 'add', 'default', 'dev', 'eth0');
  ip('-n', door, '-6', 'route', 'add', 'default', 'dev', 'eth0');
  return { door, wire, close };
}

/** A copy of a capture as Ethernet, with its incoming frames alone, sent to this interface. */
function addressedTo(mac: string, capture: Buffer): string {
  const header = Buffer.from(capture.subarray(0, 24));
  const cooked = header.readUInt32LE(20) === LINUX_SLL2;
  header.writeUInt32LE(1, 20);
  const to = Buffer.from(mac.split(':').map((each) => Number.parseInt(each, 16)));
  const parts: Buffer[] = [header];
  for (let at = 24; at < capture.length; ) {
    const end = at + 16 + capture.readUInt32LE(at + 8);
    const stamp = Buffer.from(capture.subarray(at, at + 16));
    const link = capture.subarray(at + 16, end);
    const frame = cooked ? asEthernet(link) : Buffer.from(link);
    const isOutgoing = cooked
      ? link[SLL2_WAY] !== TO_THIS_MACHINE
      : frame.readUInt16BE(12) === 0x0800 && frame.subarray(26, 30).equals(Buffer.from([192, 0, 2, 1]));
    to.copy(frame, 0);
    stamp.writeUInt32LE(frame.length, 8);
    stamp.writeUInt32LE(frame.length, 12);
    if (!isOutgoing) parts.push(stamp, frame);
    at = end;
  }
  const file = join(temporaryFolder(), 'incoming.pcap');
  writeFileSync(file, Buffer.concat(parts));
  return file;
}

/** The cooked header begins with the EtherType; the rest of it no wire has. */
function asEthernet(cooked: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from('000000000000020000000002', 'hex'),
    cooked.subarray(0, 2),
    cooked.subarray(SLL2_HEADER_BYTES),
  ]);
}
