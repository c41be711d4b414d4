import fc from 'fast-check';
import type { BanSettings, DoorSettings, EngineSettings } from '../../src/engine/settings.ts';
import { type Cidr, parseCidr } from '../../src/packet/cidr.ts';
import { type FlagRule, parseFlags } from '../../src/packet/flags.ts';
import {
  type PortRange,
  type PortSpec,
  parseKnock,
  parsePort,
  parsePortRange,
} from '../../src/packet/port.ts';
import { milliseconds } from '../../src/packet/time.ts';

/** The ports of all sequences: few, so that they meet; one is a range's, one is ephemeral, one is a service. */
export const KNOCK_PORTS: readonly PortSpec[] = [
  '7000',
  '8000',
  '9000',
  '7000/udp',
  '5353/udp',
  '40000',
  '22',
].map(port);
/** Ports that no generated door knocks on. */
export const OTHER_PORTS: readonly string[] = [
  '23',
  '6995',
  '161/udp',
  '80',
  '443/udp',
  '4443/udp',
  '2222',
  '1234',
  '41000',
  '60999',
  '61000',
  '32767',
  '68/udp',
  '546/udp',
  '33433/udp',
  '33434/udp',
  '33534/udp',
  '33535/udp',
  '33500',
];

const SERVICES = [['22'], ['2222'], ['2222', '5000-5010/udp'], ['4443/udp']].map((ranges) =>
  ranges.map(range),
);
const DECOYS = ['23', '6990-7005', '161/udp', '80', '1000-2000', '68/udp', '40000-42000'].map(range);
const FLAGS = [
  ...Array<string>(14).fill('syn'),
  'syn',
  'syn',
  'syn',
  'syn',
  'syn,!psh',
  'syn,ack',
  'fin',
  '!ack',
  'ack',
  'rst',
  'psh,!syn',
  'urg',
  'syn,fin',
].map(flags);
const NETWORKS = [
  '198.51.100.7',
  '198.51.100.0/24',
  '2001:db8:0:1::/64',
  '2001:db8:0:1::7',
  '2001:db8::/32',
  '203.0.113.0/24',
].map(network);

/** Sequences of one to four steps; equal neighbours are refused by `check`, so there are none. */
const steps = (max: number): fc.Arbitrary<readonly PortSpec[]> =>
  fc
    .array(fc.constantFrom(...KNOCK_PORTS), { minLength: 1, maxLength: max })
    .map((all) => all.filter((spec, index) => index === 0 || textOf(spec) !== textOf(all[index - 1])));

/** Knocks that are ports whose last digits are a code's; no other port that is used is one of them. */
const CODES: readonly PortSpec[] = ['3000?', '31??/udp', '62???'].map((text) =>
  known(parseKnock(text), text),
);

/** The same with a code in some of its steps, at any place: that the first is none is the configuration's affair. */
const stepsWithCodes = (max: number): fc.Arbitrary<readonly PortSpec[]> =>
  fc
    .tuple(
      steps(max),
      fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.subarray([...CODES])),
      fc.nat(3),
    )
    .map(([fixed, codes, at]) => [...fixed.slice(0, at), ...codes, ...fixed.slice(at)].slice(0, max));

const anyDoor: fc.Arbitrary<Omit<DoorSettings, 'name'>> = fc.record({
  knock: stepsWithCodes(4),
  oneTime: oneIn(6),
  close: fc.oneof(fc.constant<readonly PortSpec[]>([]), steps(3)),
  within: fc.oneof({ weight: 4, arbitrary: times(500, 3000, 10_000, 100_000) }, fc.constant(null)),
  gap: fc.record({ min: times(0, 0, 100, 250), max: times(300, 1000, 5000, 80_000) }),
  tolerate: fc.constantFrom(0, 0, 0, 1, 2),
  flags: fc.constantFrom(...FLAGS),
  opens: fc.constantFrom(...SERVICES),
  for: times(1000, 6000, 30_000, 100_000),
  uses: fc.constantFrom(null, null, 1, 2),
  holders: fc.constantFrom(null, null, 1, 2),
  grant: fc.constantFrom<DoorSettings['grant'][]>(
    'source',
    'source',
    'source',
    'any',
    network('198.51.100.0/24'),
    network('203.0.113.9'),
  ),
});

/** A line of a one-time file has no code in it. */
const door = anyDoor.map((one) => ({
  ...one,
  oneTime: one.oneTime && one.knock.every(({ digits }) => digits === undefined),
}));

/** Doors share ports by chance, and here also the beginning of a sequence. */
const doors: fc.Arbitrary<readonly DoorSettings[]> = fc
  .array(fc.tuple(door, fc.nat(3)), { minLength: 1, maxLength: 3 })
  .map((all) =>
    all.map(([one, shared], index) => {
      const prefix = (all[index - 1]?.[0].knock ?? []).slice(0, shared);
      const rest = one.knock.filter((spec, at) => at > 0 || textOf(spec) !== textOf(prefix.at(-1)));
      const isCode = ({ digits }: PortSpec): boolean => digits !== undefined;
      const both = [...prefix, ...rest.filter((spec) => !isCode(spec) || !prefix.includes(spec))].slice(0, 4);
      const knock = one.oneTime ? both.filter((spec) => !isCode(spec)) : both;
      const opens = one.oneTime ? opensApart(one.opens, [...knock, ...one.close]) : one.opens;
      return { ...one, name: `door${index}`, knock, opens };
    }),
  );

const bans: fc.Arbitrary<BanSettings> = fc.record({
  strikes: fc.constantFrom(1, 2, 3, 5, 50, 50),
  within: times(1000, 10_000, 60_000),
  for: times(1000, 5000, 600_000),
  escalate: fc.constantFrom(1, 2, 3),
  max: times(1000, 12_000, 1_000_000),
  rate: fc.record({ packets: fc.constantFrom(1, 3, 20, 20, 1000), per: times(100, 1000, 10_000) }),
  never: fc.subarray(NETWORKS, { maxLength: 1 }),
  strikeOnService: fc.boolean(),
  enforce: fc.constantFrom(true, true, true, false),
  limit: fc.constantFrom(1, 2, 100),
});

/** Settings with all that can meet in them. Tables are large enough that nothing is ever forgotten. */
export const settings: fc.Arbitrary<EngineSettings> = fc.record({
  doors,
  decoys: fc.oneof(fc.constant('all' as const), fc.subarray(DECOYS)),
  allow: fc.subarray(['80', '443/udp', '9000', '5353/udp'].map(range)),
  bans,
  sources: fc.constant(256),
});

/**
 * Doors that begin with the same knock, in the same time: what a source has made of them is the same until a packet
 * comes that is a different step of some. A door of another kind may be among them, and so many that no word has a bit
 * for each.
 */
const alike: fc.Arbitrary<readonly DoorSettings[]> = fc
  .record({
    first: door,
    others: fc.array(stepsWithCodes(4), { minLength: 1, maxLength: 5 }),
    odd: fc.option(door, { freq: 3 }),
    many: fc.constantFrom(0, 0, 0, 31, 33, 64),
  })
  .map(({ first, others, odd, many }) => {
    const common = { ...first, oneTime: false, close: [] };
    const [start = port('7000')] = first.knock;
    const beginning = (knock: readonly PortSpec[]): readonly PortSpec[] =>
      textOf(knock[0]) === textOf(start) ? knock : [start, ...knock].slice(0, 4);
    const filling = Array.from({ length: many }, (_, index) => [start, port(`${20_000 + index}`)]);
    const knocks = [first.knock, ...filling, ...others.map(beginning)];
    const all = knocks.map((knock, index) => ({ ...common, name: `door${index}`, knock }));
    if (odd === null) return all;
    const opens = odd.oneTime ? opensApart(odd.opens, [...odd.knock, ...odd.close]) : odd.opens;
    return [...all.slice(0, 1), { ...odd, name: 'odd', opens }, ...all.slice(1)];
  });

/**
 * Doors that share knocks, and differ in what doors can differ in beside: timing, patience, flags, a sequence to close, a
 * file of sequences. So many of one kind may be among them that no word has a bit for each.
 */
const relatedDoors: fc.Arbitrary<readonly DoorSettings[]> = fc
  .record({
    first: door,
    others: fc.array(
      fc.record({ own: door, differs: fc.subarray(['time', 'patience', 'flags', 'close', 'file'] as const) }),
      { minLength: 1, maxLength: 6 },
    ),
    many: fc.constantFrom(0, 0, 0, 31, 33, 64),
  })
  .map(({ first, others, many }) => {
    const [start = port('7000')] = first.knock;
    const beginning = (knock: readonly PortSpec[]): readonly PortSpec[] =>
      textOf(knock[0]) === textOf(start) ? knock : [start, ...knock].slice(0, 4);
    const all = others.map(({ own, differs }) => {
      const has = (what: (typeof differs)[number]): DoorSettings | typeof first =>
        differs.includes(what) ? (own as DoorSettings) : first;
      const knock = has('time') === first ? own.knock : beginning(own.knock);
      return {
        ...own,
        knock,
        within: has('time').within,
        gap: has('time').gap,
        tolerate: has('patience').tolerate,
        flags: has('flags').flags,
        close: has('close').close,
        oneTime: has('file').oneTime,
      };
    });
    const [last = first] = all.slice(-1);
    const filling = Array.from({ length: many }, (_, index) => ({
      ...last,
      knock: [start, port(`${20_000 + index}`)],
    }));
    return [first, ...filling, ...all].map((one, index) => {
      const oneTime = one.oneTime && one.knock.every(({ digits }) => digits === undefined);
      const opens = oneTime ? opensApart(one.opens, [...one.knock, ...one.close]) : one.opens;
      return { ...one, name: `door${index}`, oneTime, opens };
    });
  });

/** The same with doors that share knocks. */
export const relatedSettings: fc.Arbitrary<EngineSettings> = manyDoors(relatedDoors, 2048);

/** The same with many doors that are alike. */
export const alikeSettings: fc.Arbitrary<EngineSettings> = manyDoors(alike, 1024);

function manyDoors(
  doors: fc.Arbitrary<EngineSettings['doors']>,
  sources: number,
): fc.Arbitrary<EngineSettings> {
  return fc.record({
    doors,
    decoys: fc.subarray(DECOYS),
    allow: fc.subarray(['80', '443/udp', '9000', '5353/udp'].map(range)),
    bans,
    sources: fc.constant(sources),
  });
}

/** A one-time door with its own service in a sequence is left out: its port's role would change with every use. */
function opensApart(opens: readonly PortRange[], steps: readonly PortSpec[]): readonly PortRange[] {
  const meets = opens.some((one) =>
    steps.some((step) => step.protocol === one.protocol && step.port === one.first),
  );
  return meets ? [range('2222')] : opens;
}

export function port(text: string): PortSpec {
  return known(parsePort(text), text);
}

export function range(text: string): PortRange {
  return known(parsePortRange(text), text);
}

export function network(text: string): Cidr {
  return known(parseCidr(text), text);
}

export function flags(text: string): FlagRule {
  return known(parseFlags(text), text);
}

function known<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new Error(`the test's own text ${text} does not parse`);
  return value;
}

function textOf(spec: PortSpec | undefined): string {
  return spec === undefined ? 'none' : `${spec.port}/${spec.protocol}/${spec.digits ?? 0}`;
}

function times(...values: number[]): fc.Arbitrary<ReturnType<typeof milliseconds>> {
  return fc.constantFrom(...values.map(milliseconds));
}

function oneIn(count: number): fc.Arbitrary<boolean> {
  return fc.nat(count - 1).map((value) => value === 0);
}
