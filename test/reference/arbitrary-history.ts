import fc from 'fast-check';
import type { Command } from '../../src/engine/command.ts';
import type { EngineSettings } from '../../src/engine/settings.ts';
import { type Address, parseAddress } from '../../src/packet/address.ts';
import { hostCidr, offenderOf } from '../../src/packet/cidr.ts';
import type { Port } from '../../src/packet/port.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { bitsOf } from './address.ts';
import { network, OTHER_PORTS, port } from './arbitrary-settings.ts';
import { createModel, type Model } from './model.ts';
import type { Move } from './move.ts';
import { flagLetters, type RefPacket } from './packet.ts';
import { type Sequence, sequencesOf } from './port.ts';
import { type State, sequenceKey } from './state.ts';

/** Two hosts, and three of IPv6 of which the first two are one offender. */
export const SOURCES: readonly string[] = [
  '198.51.100.7',
  '203.0.113.9',
  '2001:db8:0:1::7',
  '2001:db8:0:1::8',
  '2001:db8:0:2::7',
];
const START_MS = 1_000_000;
/** The place of 300 ms among the times that come soon. */
const WALKING = 9;
const DESTINATIONS: Readonly<Record<4 | 6, string>> = { 4: '192.0.2.1', 6: '2001:db8:ffff::1' };

/** A move before it is known where the history stands: what to do next, in numbers that shrink towards the plain. */
export interface Intent {
  readonly who: number;
  readonly what: 'next' | 'step' | 'other' | 'again' | 'repeat' | 'walk' | 'close' | 'command';
  /** Which sequence, port, earlier packet or command. */
  readonly which: number;
  readonly step: number;
  readonly flags: number;
  readonly when: number;
  readonly stamped: boolean;
}

const weighted = <T>(...choices: [number, T][]): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, value]) => ({ weight, arbitrary: fc.constant(value) })));

export const intent = (commands: number): fc.Arbitrary<Intent> =>
  fc.record({
    who: weighted([6, 0], [3, 1], [4, 2], [2, 3], [1, 4]),
    what: weighted<Intent['what']>(
      [6, 'next'],
      [8, 'walk'],
      [3, 'close'],
      [4, 'step'],
      [3, 'other'],
      [2, 'again'],
      [3, 'repeat'],
      [commands, 'command'],
    ),
    which: fc.nat(40),
    step: fc.nat(3),
    flags: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(64) }),
    when: fc.nat(400),
    stamped: weighted([9, true], [1, false]),
  });

/** Turns intents into moves, looking at the model to know what would be the next step, and when it gets interesting. */
export function historyOf(settings: EngineSettings, intents: readonly Intent[]): readonly Move[] {
  const model = createModel(settings);
  const moves: Move[] = [];
  let now = START_MS;
  for (const one of intents.flatMap(strides)) {
    now = Math.max(timeOf(model.state(), now, one.when), closable(model.state(), one)?.from ?? 0);
    model.expire(now);
    const move = moveOf(model, moves, one, now, moves.length);
    if ('packet' in move) model.judge(move.packet, now);
    if ('command' in move) model.execute(move.command, now);
    moves.push(move);
  }
  return moves;
}

/** A walk is a whole sequence, its steps 300 ms apart; a close is a walk by one who holds a grant. */
function strides(one: Intent): readonly Intent[] {
  if (one.what !== 'walk' && one.what !== 'close') return [one];
  const what = one.what === 'walk' ? 'next' : 'close';
  const next: Intent = { ...one, what, flags: 0, stamped: true };
  return [next, ...Array.from({ length: one.step }, () => ({ ...next, when: WALKING }))];
}

function moveOf(model: Model, moves: readonly Move[], one: Intent, now: number, index: number): Move {
  if (one.what === 'command') {
    return { at: now, command: index === 0 ? restored(model.state(), one) : commandOf(model.state(), one) };
  }
  const earlier = moves.flatMap((move) => ('packet' in move ? [move.packet] : []));
  const old = earlier.at(-1 - (one.which % Math.max(1, Math.min(earlier.length, 6))));
  if (one.what === 'again' && old !== undefined) return { at: now, packet: { ...old, stamped: one.stamped } };
  if (one.what === 'repeat' && old !== undefined) {
    return { at: now, packet: { ...old, sourcePort: 20_000 + index, sequence: index, stamped: one.stamped } };
  }
  return { at: now, packet: packetOf(model.state(), one, index) };
}

function packetOf(state: State, one: Intent, index: number): RefPacket {
  const closing = closable(state, one);
  const source = closing?.source ?? SOURCES[one.who % SOURCES.length] ?? '198.51.100.7';
  const family = source.includes(':') ? 6 : 4;
  const target = portOf(state, one, source);
  // Few digits, so that they come again.
  const [number = '0', protocol] = target.text.replaceAll('?', one.which % 3 === 0 ? '7' : '0').split('/');
  const tcp = protocol !== 'udp';
  return {
    family,
    source,
    destination: DESTINATIONS[family],
    protocol: tcp ? 'tcp' : 'udp',
    sourcePort: 20_000 + index,
    port: Number(number),
    flags: tcp ? (one.flags === 0 ? target.flags : flagLetters(one.flags % 64)) : '',
    sequence: tcp ? index : 0,
    body: tcp ? 0 : index,
    stamped: one.stamped,
  };
}

/** A port, and the flags with which a knock on it counts. */
function portOf(
  state: State,
  one: Intent,
  source: string,
): { readonly text: string; readonly flags: string } {
  const sequences = sequencesOf(state);
  const sequence = closable(state, one)?.sequence ?? sequences[one.which % Math.max(1, sequences.length)];
  if (one.what === 'other' || sequence === undefined) {
    return { text: OTHER_PORTS[one.which % OTHER_PORTS.length] ?? '23', flags: 'S' };
  }
  const wanted = flagLetters(sequence.door.flags.set);
  const attempts = state.attempts.get(sequenceKey(bitsOf(source), sequence.door.name, sequence.kind)) ?? [];
  const made = attempts[one.flags % Math.max(1, attempts.length)]?.steps ?? 0;
  const step = one.what === 'step' ? one.step : made;
  return { text: sequence.steps[step % sequence.steps.length] ?? '23/tcp', flags: wanted };
}

interface Closable {
  readonly sequence: Sequence;
  readonly source: string;
  /** When the sequence may begin. */
  readonly from: number;
}

/** What the holder of some grant would have to knock to close it. */
function closable(state: State, one: Intent): Closable | undefined {
  if (one.what !== 'close') return undefined;
  const all = state.grants.flatMap((grant) => {
    const source = SOURCES.find((text) => bitsOf(text) === grant.source);
    const sequence = sequencesOf(state).find(
      ({ door, kind }) => kind === 'close' && door.name === grant.door,
    );
    return source === undefined || sequence === undefined
      ? []
      : [{ sequence, source, from: grant.renewed + 5001 }];
  });
  return all[one.which % Math.max(1, all.length)];
}

/** Most moves come soon; the others at, just before or just after a moment at which something ends. */
function timeOf(state: State, now: number, when: number): number {
  const soon = [0, 1, 10, 40, 99, 100, 101, 249, 250, 300, 400, 1000];
  if (when < 240) return now + (soon[when % soon.length] ?? 0);
  if (when < 250) return now - (when - 239);
  const moments = interesting(state).filter((moment) => moment + 1 >= now);
  const moment = moments[when % Math.max(1, moments.length)];
  return moment === undefined ? now + when : Math.max(now, moment + (Math.floor(when / 7) % 3) - 1);
}

function interesting(state: State): readonly number[] {
  const { bans } = state.settings;
  const doors = new Map(state.settings.doors.map((door) => [door.name, door]));
  const ofAttempts = [...state.attempts].flatMap(([key, attempts]) => {
    const door = doors.get(key.split(' ')[1] ?? '');
    if (door === undefined) return [];
    return attempts.flatMap(({ first, last }) => [
      last + door.gap.min,
      last + door.gap.max,
      first + (door.within ?? 10_000),
    ]);
  });
  const ofTails = [...state.tails].flatMap(([key, { at }]) => {
    const door = doors.get(key.split(' ')[1] ?? '');
    return door === undefined ? [] : [at + 2 * door.gap.max];
  });
  return [
    ...ofAttempts,
    ...ofTails,
    ...state.ended.slice(-2).map(({ at }) => at + 86_400_000),
    ...[...state.touches.values()].slice(-2).map((moment) => moment + 70_000),
    ...state.grants.flatMap((grant) => [grant.until, grant.renewed + 5000]),
    ...[...state.bans.values()].map((ban) => ban.until),
    ...[...state.openings.values()].flatMap(({ at }) => [at + 5000, at + 70_000]),
    ...[...state.seen.values()].slice(-3).map((moment) => moment + 70_000),
    ...[...state.strikes.values()].flat().map((moment) => moment + bans.within),
    ...[...state.windows.values()].map((window) => window.start + bans.rate.per),
    ...[...state.histories.values()].map((history) => history.until),
  ];
}

const GIVEN_MS = [undefined, undefined, 500, 20_000, 200_000];

function commandOf(state: State, one: Intent): Command {
  const door = state.settings.doors[one.step % state.settings.doors.length];
  const name = one.flags === 63 || door === undefined ? 'nowhere' : door.name;
  const address = addressOf(SOURCES[one.who % SOURCES.length] ?? '');
  const given = GIVEN_MS[(one.flags + one.when) % GIVEN_MS.length];
  const length = given === undefined ? {} : { for: milliseconds(given) };
  const networks = [hostCidr(address), network('203.0.113.0/24'), network('2001:db8::/32')];
  // What a reload makes of a used sequence is the business of whoever reads the file of sequences.
  const oneTime = state.settings.doors.some((one) => one.oneTime);
  const kinds: readonly Command[] = [
    { command: 'grant', door: name, address, ...length },
    { command: 'revoke', address, ...(one.flags % 2 === 0 ? {} : { door: name }) },
    { command: 'ban', address, ...length },
    { command: 'unban', address },
    { command: 'connected', door: name, source: address },
    {
      command: 'exempt',
      networks: networks.slice(0, (one.flags + one.when) % 4),
      everybody: one.step === 0 ? networks.slice(0, 1) : [],
    },
    { command: 'unban_all' },
    {
      command: 'authorize',
      door: name,
      address,
      for: milliseconds(given ?? 30_000),
      holder: { key: one.flags % 2 === 0 ? 'ada' : 'ben', person: one.step === 0 ? null : 'ada' },
    },
    {
      command: 'reject',
      ...{ source: address, port: { protocol: 'udp', port: 62_201 as Port } },
      holder: { key: 'ada', person: null },
      reason: 'replayed',
      ...(one.step === 0 ? { detail: 'it was used already' } : {}),
      offence: one.flags % 3 !== 0,
    },
    {
      command: 'refuse_code',
      ...{ source: address, door: name, port: { protocol: 'tcp', port: 62_000 as Port, digits: 3 }, of: 3 },
      reason: one.step === 0 ? 'code late' : 'code wrong',
      holder: one.step === 0 ? { key: 'ada', person: 'ada' } : null,
      ...(one.flags % 2 === 0 ? {} : { detail: 'its clock is 5 min behind' }),
      tooMany: one.step > 1,
    },
    heardOf(state, one, name, address),
    ...(oneTime ? [] : [{ command: 'reload', settings: reloaded(state.settings, one) } as const]),
    ...(door?.oneTime === true
      ? [{ command: 'sequence', door: name, knock: nextSequence(one) } as const]
      : []),
    {
      command: 'refuse',
      door: name,
      grantee: door?.grant === 'any' ? 'any' : hostCidr(address),
      reason: 'refused',
    },
  ];
  return kinds[one.which % kinds.length] ?? { command: 'unban_all' };
}

/** What another member of the fleet may say: of the one source, late or again, of what there is and what there is not. */
function heardOf(state: State, one: Intent, door: string, address: Address): Command {
  const now = Math.max(START_MS, ...[...state.seen.values()].slice(-1));
  const at = (offset: number): ReturnType<typeof milliseconds> => milliseconds(now + offset);
  const pick = <T>(list: readonly T[], by: number): T | undefined => list[by % list.length];
  const { flags, when, step } = one;
  const grantee = pick(['any', hostCidr(address), hostCidr(address), hostCidr(address)] as const, when);
  const wide = network('198.51.100.0/24');
  const target = pick([offenderOf(address), offenderOf(address), hostCidr(address)], flags) ?? wide;
  const until = at(pick([-1000, 500, 20_000, 20_001, 200_000], when + step) ?? 0);
  const which = 1 + (flags % 15);
  const origin = step === 0 ? 'edge2' : 'edge3';
  const kind = when % 4 === 0 ? 'order' : 'strikes';
  return {
    command: 'fleet',
    origin,
    ...(when % 7 === 0 ? { shadow: true as const } : {}),
    lifts:
      (which & 1) === 0
        ? []
        : [
            { lift: 'ban', target, only: pick(['any', 'strikes', 'order'] as const, when) ?? 'any' },
            { lift: 'grant', door, grantee: when % 5 === 0 ? 'any' : hostCidr(address) },
          ],
    grants:
      (which & 2) === 0
        ? []
        : [
            {
              ...{ door, grantee: when % 11 === 0 ? wide : (grantee ?? 'any'), source: address },
              ...{ opened: at(-10 * step), until, usesLeft: step === 0 ? null : step },
            },
          ],
    bans:
      (which & 4) === 0
        ? []
        : [
            { target, since: at(-1000), until, count: 1 + step, origin: kind },
            ...(which >= 8 ? [{ target, since: at(-500), until, count: 2, origin: 'strikes' as const }] : []),
          ],
  };
}

/** What was kept from before a restart: a grant and a ban still in force, and the memory of a ban that is over. */
function restored(state: State, one: Intent): Command {
  const [first = '', second = '', ...others] = SOURCES.map(
    (_, index) => SOURCES[(one.who + index) % SOURCES.length] ?? '',
  );
  const door = state.settings.doors[one.step % state.settings.doors.length];
  const source = addressOf(first);
  const at = (offset: number): ReturnType<typeof milliseconds> => milliseconds(START_MS + offset);
  const [since, until] = [at(-1000 * one.step), at(3000)];
  return {
    command: 'restore',
    grants:
      door === undefined
        ? []
        : [
            {
              door: door.name,
              grantee: hostCidr(source),
              source,
              since,
              until,
              usesLeft: door.uses,
              reason: null,
              holder: one.flags % 2 === 0 ? null : { key: 'ada', person: null },
            },
          ],
    bans: [
      {
        ...{ target: offenderOf(addressOf(second)), since, until, count: 1 + one.step },
        origin: one.flags % 3 === 0 ? 'order' : 'strikes',
      },
    ],
    histories: [{ target: offenderOf(addressOf(others[1] ?? '')), count: 2, since, until: at(20_000) }],
  };
}

/** Another configuration, or the same one again. */
function reloaded(settings: EngineSettings, one: Intent): EngineSettings {
  const { bans, doors } = settings;
  const [first, ...rest] = doors;
  if (first === undefined) return settings;
  const others: readonly EngineSettings[] = [
    settings,
    { ...settings, doors: doors.length > 1 ? doors.slice(0, -1) : doors },
    { ...settings, doors: [{ ...first, for: milliseconds(first.for * 2) }, ...rest] },
    {
      ...settings,
      doors: [{ ...first, knock: first.knock.toReversed() }, ...rest],
    },
    { ...settings, bans: { ...bans, never: [network('198.51.100.0/24')] } },
    { ...settings, bans: { ...bans, strikes: 2 } },
  ];
  return others[(one.flags + one.when) % others.length] ?? settings;
}

function nextSequence(one: Intent): ReturnType<typeof port>[] {
  const sequences = [['7000'], ['8000', '9000'], ['9000', '8000', '7000'], []];
  return (sequences[one.flags % sequences.length] ?? []).map(port);
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`the test's own address ${text} does not parse`);
  return address;
}
