import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectControl } from '../../src/control/client.ts';
import { type Address, parseAddress } from '../../src/packet/address.ts';
import type { Cidr } from '../../src/packet/cidr.ts';
import type { Config } from '../../src/policy/config.ts';
import { configOf, replayed } from '../golden/replay/replayed.ts';
import { type Cast, castOf, createPool, type Door, type Pool } from './cast.ts';
import { type Comparison, compare, type Told } from './compare.ts';
import { strangersOf } from './stranger.ts';
import { openWire, type Wire } from './wire.ts';

/*
 * Plays captures onto the lab's wire, and holds what the daemon says against what a replay of the same capture says:
 *
 *   main.js [CAPTURE…]
 *
 * Without a name it plays every capture that has a golden file for the door's configuration (its base name:
 * CAPTURE.CONFIG.jsonl), and the replay must say what that file says.
 */

const CONFIG_FILE = process.env['NFKNOCK_LAB_CONFIG_FILE'] ?? '/etc/nfknock/nfknock.yaml';
const CONFIG_NAME = process.env['NFKNOCK_LAB_GOLDEN'] ?? 'nfknock';
const CAPTURES = '/captures';
const GOLDEN = '/golden';
/** After the last packet: how long what is expected may take, and how long is waited for what is not. Milliseconds. */
const EVENTS_MS_MAX = 5_000;
const SURPLUS_MS = 300;
/** An event's moment is the packet's, in whole milliseconds. */
const ROUNDING_MS = 2;
/** A wire that was so much slower or faster than the capture was not the capture. It is played again then. */
const DRIFT_MS_MAX = 250;
const PLAYS_MAX = 3;

interface Lab {
  readonly config: Config;
  readonly door: Door;
  readonly wire: Wire;
  readonly pool: Pool;
  /** Every event since the beginning. */
  readonly told: readonly Told[];
}

try {
  const failed = await playAll(process.argv.slice(2));
  if (failed > 0) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`replay: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function playAll(given: readonly string[]): Promise<number> {
  const files = given.length > 0 ? given : goldenCaptures();
  const config = configOf(CONFIG_FILE);
  const connection = await connectControl(config.control);
  const told: Told[] = [];
  await connection.watch({ onEvent: (event) => told.push(event) });
  try {
    const door = { v4: addressOf('NFKNOCK_LAB_DOOR4'), v6: addressOf('NFKNOCK_LAB_DOOR6') };
    const lab = { config, door, wire: await openWire(door.v4), pool: createPool(connection), told };
    let failed = 0;
    for (const file of files) if (!(await playUntilEven(lab, file))) failed++;
    say(`${files.length - failed} of ${files.length} captures gave on the wire what they give in a replay`);
    return failed;
  } finally {
    connection.close();
  }
}

/** A busy machine plays unevenly: then what was seen means nothing, and it is played again by other sources. */
async function playUntilEven(lab: Lab, file: string): Promise<boolean> {
  const name = basename(file).replace(/\.(pcap|pcapng)?(\.gz)?$/, '');
  const { lines, end } = await replayed(file, lab.config);
  const wrong = againstGolden(name, lines);
  if (wrong !== undefined) return fail(name, [wrong]);
  const expected = lines.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Told]));
  for (let plays = 1; ; plays++) {
    const { comparison, left } = await play(lab, file, end.local, expected);
    const even = comparison.drift <= DRIFT_MS_MAX;
    if (even && comparison.differences.length === 0) return pass(name, comparison, left);
    if (even || plays === PLAYS_MAX) return fail(name, differencesOf(comparison));
    say(`  … ${name}: the wire was up to ${Math.round(comparison.drift)} ms off, so it is played again`);
  }
}

async function play(
  lab: Lab,
  file: string,
  here: readonly Cidr[],
  expected: readonly Told[],
): Promise<{ readonly comparison: Comparison; readonly left: number }> {
  const { packets, left, fault } = await strangersOf(file, here);
  if (fault !== undefined) say(`  … ${file} is played as far as it can be read: ${fault}`);
  const cast = await castOf(packets, lab.pool, lab.door);
  const from = lab.told.length;
  if (packets.length > 0) {
    await lab.wire.play(packets.map((each) => ({ stamp: each.stamp, bytes: cast.played(each) })));
  }
  const end = Date.now() + ROUNDING_MS;
  const seen = (): readonly Told[] => eventsOf(lab.told.slice(from), cast, end);
  const deadline = Date.now() + EVENTS_MS_MAX;
  while (compare(expected, seen()).differences.length > 0 && Date.now() < deadline) await pause(20);
  await pause(SURPLUS_MS);
  return { comparison: compare(expected, seen()), left };
}

/** What the sources of this play did, under their names; what time did after the last packet is not the capture's. */
function eventsOf(told: readonly Told[], cast: Cast, end: number): readonly Told[] {
  return told.flatMap((event) => {
    if (Date.parse(String(event['time'])) > end) return [];
    if (event['event'] === 'packet.malformed' || event['event'] === 'log.suppressed') return [event];
    const source = typeof event['source'] === 'string' ? cast.named(event['source']) : undefined;
    return source === undefined ? [] : [{ ...event, source }];
  });
}

function goldenCaptures(): readonly string[] {
  return readdirSync(GOLDEN)
    .filter((name) => name.endsWith(`.${CONFIG_NAME}.jsonl`))
    .map((name) => join(CAPTURES, `${name.split('.')[0]}.pcap`))
    .sort();
}

/** The lab's configuration must give the events that were written down for the one it stands for. */
function againstGolden(name: string, lines: string): string | undefined {
  let golden: string;
  try {
    golden = readFileSync(join(GOLDEN, `${name}.${CONFIG_NAME}.jsonl`), 'utf8');
  } catch {
    return undefined;
  }
  return lines === golden
    ? undefined
    : `a replay with ${CONFIG_FILE} does not give the golden file: it must judge as test/fixtures/captures/${CONFIG_NAME}.yaml does`;
}

function addressOf(variable: string): Address {
  const address = parseAddress(process.env[variable] ?? '');
  if (address === undefined) throw new Error(`${variable} must be the door's address on the lab's wire`);
  return address;
}

function differencesOf({ differences, drift }: Comparison): readonly string[] {
  if (drift <= DRIFT_MS_MAX) return differences;
  const busy = `the wire was up to ${Math.round(drift)} ms off: this machine is too busy to play it`;
  return [...differences, busy];
}

function pass(name: string, { compared, drift, notes }: Comparison, left: number): true {
  const events =
    compared === 0 ? 'nothing is said, as written' : `${compared} events as written, within ${drift} ms`;
  const apart = left === 0 ? [] : [`${left} packets are left out`];
  say(`  ✓ ${name}: ${[events, ...apart, ...notes].join('; ')}`);
  return true;
}

function fail(name: string, lines: readonly string[]): false {
  say(`  ✗ ${name}: ${lines.join('\n      ')}`);
  return false;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
