import type { BanSettings, DoorSettings, EngineSettings } from '../../src/engine/settings.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { flags, network, port, range } from '../reference/arbitrary-settings.ts';

/** A small configuration, and everything that can happen in it. */
export interface World {
  readonly name: string;
  readonly settings: EngineSettings;
  readonly sources: readonly string[];
  /** `7000/tcp`, with flags where they are not `S`: `7000/tcp F`. Each is sent as a new packet and as the same again. */
  readonly packets: readonly string[];
  /** Milliseconds that may pass. */
  readonly waits: readonly number[];
}

const door = (name: string, knock: string[], rest: Partial<DoorSettings> = {}): DoorSettings => ({
  name,
  knock: knock.map(port),
  oneTime: false,
  close: [],
  within: milliseconds(3000),
  gap: { min: milliseconds(0), max: milliseconds(2000) },
  tolerate: 0,
  flags: flags('syn'),
  opens: [range('22')],
  for: milliseconds(8000),
  uses: null,
  holders: null,
  grant: 'source',
  ...rest,
});

const settings = (
  doors: readonly DoorSettings[],
  decoys: EngineSettings['decoys'],
  bans: Partial<BanSettings> = {},
): EngineSettings => ({
  doors,
  decoys,
  allow: [],
  bans: {
    strikes: 3,
    within: milliseconds(4000),
    for: milliseconds(3000),
    escalate: 2,
    max: milliseconds(9000),
    rate: { packets: 100, per: milliseconds(1000) },
    never: [],
    strikeOnService: false,
    enforce: true,
    limit: 8,
    ...bans,
  },
  sources: 16,
});

const ONE = '198.51.100.7';
const TWO = '203.0.113.9';
/** Two hosts of one network: two sources, one offender. */
const NEIGHBOURS = ['2001:db8:0:1::7', '2001:db8:0:1::8'];

export const WORLDS: readonly World[] = [
  {
    name: 'two doors that begin alike, one with a sequence that closes',
    settings: settings(
      [
        door('one', ['7000', '8000'], { close: [port('8000'), port('7000')] }),
        door('two', ['7000', '9000'], {
          gap: { min: milliseconds(100), max: milliseconds(2000) },
          tolerate: 1,
        }),
      ],
      [range('23')],
    ),
    sources: [ONE],
    packets: ['7000/tcp', '8000/tcp', '9000/tcp', '23/tcp'],
    waits: [99, 100, 1900, 5000, 70_000],
  },
  {
    name: 'a sequence that passes a port twice, decoys everywhere, scans of every kind',
    settings: settings([door('one', ['7000', '5353/udp', '7000'])], 'all', { within: milliseconds(2500) }),
    sources: [ONE],
    packets: [
      '7000/tcp',
      '7000/tcp F',
      '7000/tcp R',
      '5353/udp',
      '40000/tcp A',
      '1234/tcp A',
      '22/tcp',
      '68/udp',
    ],
    waits: [1, 2000, 3000],
  },
  {
    name: 'one place to hold, a grant to everyone, and a port that closes',
    settings: settings(
      [
        door('one', ['7000'], { holders: 1, uses: 1, close: [port('9000')] }),
        door('all', ['8000', '9000'], { grant: 'any', opens: [range('2222')] }),
      ],
      [],
      { strikeOnService: true },
    ),
    sources: [ONE, TWO],
    packets: ['7000/tcp', '8000/tcp', '9000/tcp', '22/tcp', '2222/tcp'],
    waits: [1000, 5001, 7000],
  },
  {
    name: 'a door behind a door, and one that opens once',
    settings: settings(
      [
        door('outer', ['7000'], { opens: [range('9000')] }),
        door('inner', ['9000', '8000'], { oneTime: true, opens: [range('22')] }),
      ],
      [range('7100-7200')],
      { strikeOnService: true },
    ),
    sources: [ONE, TWO],
    packets: ['7000/tcp', '8000/tcp', '9000/tcp', '9000/tcp F', '22/tcp'],
    waits: [1000, 8000, 70_000],
  },
  {
    name: 'neighbours who share strikes, a rate and ever longer bans',
    settings: settings([door('one', ['7000', '8000'])], [range('23')], {
      strikes: 2,
      limit: 1,
      rate: { packets: 3, per: milliseconds(1000) },
    }),
    sources: [...NEIGHBOURS, ONE],
    packets: ['7000/tcp', '8000/tcp', '23/tcp'],
    waits: [500, 1000, 3000, 9000],
  },
  {
    name: 'services behind knock ports, a network granted from outside, one who is never banned',
    settings: {
      ...settings(
        [
          door('one', ['8080', '7000'], { grant: network('203.0.113.0/24'), close: [port('8080')] }),
          door('two', ['7000', '8080'], {
            flags: flags('syn,!psh'),
            gap: { min: milliseconds(200), max: milliseconds(2000) },
          }),
        ],
        [range('23')],
        { strikes: 2, never: [network(ONE)], enforce: true },
      ),
      allow: [range('8080')],
    },
    sources: [ONE, TWO],
    packets: ['7000/tcp', '8080/tcp', '8080/tcp F', '7000/tcp SP', '23/tcp'],
    waits: [199, 200, 5000],
  },
];
