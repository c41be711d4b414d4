import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { CAPTURES, GOLDEN } from '../golden/replay/captures.ts';
import { atEnd } from './cleanup.ts';
import { type Line, startDaemon } from './daemon.ts';
import { execute } from './process.ts';

/*
 *   wire                              door
 *   eth0, no address      ───────     192.0.2.1, 2001:db8:1::1, the daemon
 *
 * The captures' incoming frames are played into the door's interface with their own sources; what the daemon
 * says must be what the replay of the same capture says, which the golden files hold. Moments differ.
 */

/** A capture and how many times faster than recorded it is played: the events depend on limits, not on moments. */
const PLAYED: readonly (readonly [capture: string, speed: number])[] = [
  ['knock', 1],
  ['burst', 1],
  ['telnet', 8],
  ['nc', 2],
  ['nmap-syn', 1],
  ['nmap-stealth', 1],
  ['nmap-udp', 1],
  ['nmap-timing', 1],
  ['forged', 1],
  ['ipv6', 1],
  ['fragments', 1],
  ['connections', 2],
  ['malformed', 4],
];

const DOOR_MAC = '02:00:00:00:00:01';
/** Milliseconds without a further event after which no more is waited for. */
const QUIET_MS = 1500;
const TIMEOUT = 60_000;

test.each(PLAYED)(
  '%s: played onto a wire gives the live daemon the events of the replay',
  { timeout: TIMEOUT },
  async (capture, speed) => {
    const { door, wire, close } = makeWire();
    const config = parse(readFileSync(`${CAPTURES}nfknock.yaml`, 'utf8')) as object;
    const daemon = await startDaemon(door, config);
    const file = addressedTo(DOOR_MAC, readFileSync(`${CAPTURES}${capture}.pcap`));
    const { code, stderr } = await execute(wire, [
      'tcpreplay',
      '-q',
      '-i',
      'eth0',
      `--multiplier=${speed}`,
      file,
    ]);
    expect([code, stderr]).toEqual([0, expect.anything()]);
    const wanted = goldenEvents(capture);
    const heard = (): readonly object[] => daemon.lines.filter((line) => isJudgement(line)).map(essence);
    const deadline = performance.now() + QUIET_MS;
    while (heard().length < wanted.length && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await daemon.stop();
    close();
    expect(heard()).toEqual(wanted);
  },
);

function goldenEvents(capture: string): readonly object[] {
  const lines = readFileSync(`${GOLDEN}${capture}.nfknock.jsonl`, 'utf8').split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
    .filter(isJudgement)
    .map(essence);
}

/** What the engine says; of malformed packets the kernel itself drops most, and the log leaves them out. */
function isJudgement({ event }: Line): boolean {
  return /^(knock|decoy|scan|door|ban)\./.test(event);
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

/** A copy of an Ethernet capture with its incoming frames alone, sent to this interface. */
function addressedTo(mac: string, capture: Buffer): string {
  const bytes = Buffer.from(mac.split(':').map((each) => Number.parseInt(each, 16)));
  const parts: Buffer[] = [capture.subarray(0, 24)];
  for (let at = 24; at < capture.length; ) {
    const end = at + 16 + capture.readUInt32LE(at + 8);
    const record = Buffer.from(capture.subarray(at, end));
    const isOutgoing =
      record.readUInt16BE(28) === 0x0800 && record.subarray(42, 46).equals(Buffer.from([192, 0, 2, 1]));
    bytes.copy(record, 16);
    if (!isOutgoing) parts.push(record);
    at = end;
  }
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-wire-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'incoming.pcap');
  writeFileSync(file, Buffer.concat(parts));
  return file;
}
