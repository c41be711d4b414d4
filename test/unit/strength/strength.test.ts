import { describe, expect, it, vi } from 'vitest';
import { formatFault } from '../../../src/config/fault.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { settingsOf } from '../../../src/config/settings.ts';
import type { Config } from '../../../src/policy/config.ts';
import { type Guessing, guessing, PORTS_OF_A_STEP, scanChance } from '../../../src/strength/guessing.ts';
import { type DoorScans, runScans, type ScanResult } from '../../../src/strength/scans.ts';
import { verdictOf, weakest } from '../../../src/strength/verdict.ts';
import type { OneTimeFacts } from '../../../src/strength/warning.ts';
import { warnings } from '../../../src/strength/warnings.ts';

vi.setConfig({ testTimeout: 60_000 });

function config(text: string): Config {
  const parsed = parseConfig(text, 'f.yaml');
  if (!parsed.ok) throw new Error(parsed.faults.map(formatFault).join('\n'));
  return parsed.config;
}

function guessed(text: string): Guessing {
  const { doors, ...rest } = config(text);
  const [door] = doors;
  if (door === undefined || 'oneTime' in door.knock) throw new Error('no door to guess');
  const found = guessing(door, { doors, ...rest }, door.knock.length);
  if (found === undefined) throw new Error('nothing guessed');
  return found;
}

function scanned(text: string, door: string, randomScans?: number): DoorScans {
  const found = runScans(
    settingsOf(config(text), () => []),
    randomScans,
  ).get(door);
  if (found === undefined) throw new Error(`no door ${door}`);
  return found;
}

/** The codes of the warnings of a sound file that are added to by `extra`. */
function codes(text: string, oneTime?: ReadonlyMap<string, OneTimeFacts>): string[] {
  return warnings(config(text), oneTime).map(({ code }) => code);
}

const MINUTE = 60;
const DAY = 86_400;
const three = 'doors: { a: { knock: [7000, 8000/udp, 9000], opens: [22] } }\n';

describe('Where every port is a decoy', () => {
  it('a guesser must name every step right, of all ports of TCP and UDP', () => {
    const found = guessed(`${three}decoys: all`);
    expect(found).toMatchObject({
      method: 'exact',
      steps: 3,
      sequences: PORTS_OF_A_STEP * (PORTS_OF_A_STEP - 1) ** 2,
    });
    expect(found.bits).toBeCloseTo(51, 0);
  });

  it('a wrong try of as many knocks as strikes is banned, so one source makes one try a ban', () => {
    const found = guessed(`${three}decoys: all\nbans: { escalate: 1, for: 10m }`);
    expect(found.alone).toBeCloseTo((found.sequences / 2 - 1) * 10 * MINUTE, -6);
    expect(found.many / found.alone).toBeCloseTo(1e-4, 6);
  });

  it('growing bans make it wait the longest ban for nearly every try', () => {
    const found = guessed(`${three}decoys: all\nbans: { escalate: 2, for: 10m, max: 7d }`);
    expect(found.alone / ((found.sequences / 2) * 7 * DAY)).toBeCloseTo(1, 3);
  });

  it('a guesser with strikes to spare stays under them, if that is quicker', () => {
    const found = guessed(`${three}decoys: all\nbans: { strikes: 10, within: 60s, for: 1d }`);
    // Nine strikes a minute are three tries of three ports.
    expect(found.alone / ((found.sequences / 2 / 3) * MINUTE)).toBeCloseTo(1, 6);
  });

  it('bans that are not enforced leave the permitted rate alone', () => {
    const found = guessed(`${three}decoys: all\nbans: { enforce: false, rate: { packets: 30, per: 1s } }`);
    expect(found.alone).toBe(found.aloneWithoutBans);
    expect(found.alone / (found.sequences / 2 / 10)).toBeCloseTo(1, 6);
  });

  it('a ban that shows on a public port gives the steps away one by one', () => {
    const found = guessed(`${three}decoys: all\nallow: [443]`);
    expect(found).toMatchObject({ method: 'prefix', sequences: 3 * PORTS_OF_A_STEP });
    expect(guessed(`${three}decoys: all\nallow: [443]\nbans: { scope: hidden }`).method).toBe('exact');
  });

  it('more sources than bans can be held are not banned', () => {
    const few = guessed(`${three}decoys: all\nbans: { limit: 100 }`);
    expect(few.many).toBeLessThan(guessed(`${three}decoys: all`).many / 1000);
  });

  // Against: scans in any order
  // by: decoys
  it('no scan opens the door, and each is banned within strikes and steps', () => {
    const scans = scanned(`${three}decoys: all`, 'a', 1000);
    for (const { opened, banned, scans: count, latest } of Object.values(scans)) {
      expect({ opened, banned }).toEqual({ opened: 0, banned: count });
      expect(latest).toBeLessThanOrEqual(6);
    }
  });
});

describe('Where only some ports are watched', () => {
  it.each([
    ['three steps alone', 3, 0, 1 / 6],
    ['two steps alone', 2, 0, 1 / 2],
    ['three steps among two decoys', 3, 2, 1 / 20],
    ['one knock', 1, 5, 1],
  ])('the chance of a scan in random order is known for %s', (_, steps, decoys, chance) => {
    expect(scanChance(steps, decoys, Number.POSITIVE_INFINITY)).toBeCloseTo(chance, 10);
  });

  it.each([
    ['three knocks', 'doors: { a: { knock: [7000, 8000/udp, 9000], opens: [22] } }'],
    ['two knocks', 'doors: { a: { knock: [9000, 8000], opens: [22] } }'],
    ['four knocks', 'doors: { a: { knock: [4, 3, 2/udp, 1], opens: [22] } }'],
    ['two decoys', 'doors: { a: { knock: [5, 6], opens: [22] } }\ndecoys: [9, 10]\nbans: { enforce: false }'],
  ])('the formula agrees with scans through the real engine: %s', (_, text) => {
    const runs = 20_000;
    const { opened } = scanned(text, 'a', runs).random;
    const expected = runs / guessed(text).sequences;
    // Five standard deviations: a wrong formula is off by far more, chance is not.
    expect(Math.abs(opened - expected)).toBeLessThan(5 * Math.sqrt(expected));
  });

  it.each([
    ['decoys', 'doors: { a: { knock: [5, 6], opens: [22] } }\ndecoys: [7-30]'],
    [
      'a second door, and nobody is banned',
      'doors: { a: { knock: [5, 6, 7], opens: [22] }, b: { knock: [1, 2], opens: [23] } }\nbans: { enforce: false }',
    ],
    [
      'a second door and two decoys',
      'doors: { a: { knock: [5, 6], opens: [22] }, b: { knock: [1, 2], opens: [23] } }\ndecoys: [9, 10]\nbans: { enforce: false }',
    ],
    [
      'other knocks tolerated',
      'doors: { a: { knock: [5, 6], opens: [22], tolerate: 1 }, b: { knock: [1, 2, 3], opens: [23] } }\nbans: { enforce: false }',
    ],
    [
      'other doors',
      'doors: { a: { knock: [5, 6], opens: [22] }, b: { knock: [1, 2, 3], opens: [23] }, c: { knock: [10, 11, 12], opens: [23] } }',
    ],
    [
      'other doors and decoys',
      'doors: { a: { knock: [5, 6], opens: [22] }, b: { knock: [1, 2, 3], opens: [23] } }\ndecoys: [7-15]\nallow: [3]',
    ],
  ])('where bans stop a scan the formula is never too kind to the door, and not far off: %s', (_, text) => {
    const runs = 20_000;
    const { opened } = scanned(text, 'a', runs).random;
    const expected = runs / guessed(text).sequences;
    expect(opened).toBeLessThan(expected + 5 * Math.sqrt(expected));
    // The strikes that a scan earns at other doors are not in the formula: they only stop it sooner.
    expect(opened).toBeGreaterThan(expected / 4);
  });

  it('a door in ascending order is opened by a scan upwards, and not by one downwards', () => {
    const scans = scanned('doors: { a: { knock: [7000, 8000, 9000], opens: [22] } }', 'a', 10);
    expect(scans.up.opened).toBe(scans.up.scans);
    expect(scans.down.opened).toBe(0);
  });

  it('a decoy between the ports keeps it shut', () => {
    const scans = scanned(
      'doors: { a: { knock: [7000, 8000, 9000], opens: [22] } }\ndecoys: [7500]',
      'a',
      10,
    );
    expect(scans.up.opened).toBe(0);
  });

  it('a guess takes as many scans as one is chance for', () => {
    const found = guessed(three);
    expect(found).toMatchObject({ method: 'scan' });
    expect(found.sequences).toBeCloseTo(6, 9);
    expect(found.bits).toBeCloseTo(Math.log2(6), 9);
  });
});

describe('Scans', () => {
  it('of the same configuration end the same each time', () => {
    const text = 'doors: { a: { knock: [7000, 8000, 9000], opens: [22] } }\ndecoys: [23, 161/udp]';
    expect(scanned(text, 'a', 200)).toEqual(scanned(text, 'a', 200));
  });

  it('of a shadow configuration ban nobody', () => {
    expect(scanned(`${three}decoys: [1-1000]\nbans: { enforce: false }`, 'a', 50).random.banned).toBe(0);
  });
});

describe('A warning', () => {
  const cases: readonly (readonly [code: string, weak: string, fixed: string])[] = [
    [
      'ports-ascending',
      'doors: { a: { knock: [1, 2, 3], opens: [22] } }',
      'doors: { a: { knock: [1, 3, 2], opens: [22] } }',
    ],
    [
      'ports-descending',
      'doors: { a: { knock: [3, 2, 1], opens: [22] } }',
      'doors: { a: { knock: [30, 20, 10], opens: [22] } }\ndecoys: [15]',
    ],
    ['one-knock', 'doors: { a: { knock: [1], opens: [22] } }', three],
    ['few-knocks', 'doors: { a: { knock: [1, 2], opens: [22] } }', three],
    ['few-decoys', three, `${three}decoys: all`],
    ['tolerate', 'doors: { a: { knock: [1, 2, 3], opens: [22], tolerate: 1 } }', three],
    ['service-is-knock', 'doors: { a: { knock: [1, 22, 3], opens: [22] } }', three],
    [
      'opens-nothing',
      'doors: { a: { knock: [1, 2, 3] } }',
      'doors: { a: { knock: [1, 2, 3], on_open: [/bin/a] } }',
    ],
    ['opens-much', 'doors: { a: { knock: [1, 2, 3], opens: [1000-3000] } }', three],
    ['long-grant', 'doors: { a: { knock: [1, 2, 3], opens: [22], for: 2h } }', three],
    ['grant-any', 'doors: { a: { knock: [1, 2, 3], opens: [22], grant: any } }', three],
    [
      'grant-wide',
      'doors: { a: { knock: [1, 2, 3], opens: [22], grant: 192.0.0.0/8 } }',
      'doors: { a: { knock: [1, 2, 3], opens: [22], grant: 192.0.2.0/24 } }',
    ],
    [
      'knock-on-service',
      'doors: { a: { knock: [80, 2, 3], opens: [22] } }',
      'doors: { a: { knock: [80, 2, 3], opens: [22] } }\nallow: [80]',
    ],
    ['gap-min', 'doors: { a: { knock: [1, 2, 3], opens: [22], gap: { min: 1ms } } }', three],
    [
      'short-window',
      'doors: { a: { knock: [1, 2, 3], opens: [22], within: 999ms } }',
      'doors: { a: { knock: [1, 2, 3], opens: [22], within: 1s } }',
    ],
    [
      'short-window',
      'doors: { a: { knock: [1, 2, 3], opens: [22], gap: { max: 499ms } } }',
      'doors: { a: { knock: [1, 2, 3], opens: [22], gap: { max: 500ms } } }',
    ],
    [
      'short-grant',
      'doors: { a: { knock: [1, 2, 3], opens: [22], for: 2s } }',
      'doors: { a: { knock: [1, 2, 3], opens: [22], for: 3s } }',
    ],
    ['flags-without-syn', 'doors: { a: { knock: [1, 2, 3], opens: [22], flags: fin } }', three],
    [
      'inside-another',
      'doors: { a: { knock: [1, 2, 3], opens: [22] }, b: { knock: [2, 3], opens: [23] } }',
      'doors: { a: { knock: [1, 2, 3], opens: [22] }, b: { knock: [3, 2], opens: [23] } }',
    ],
    ['shadow', `${three}bans: { enforce: false }`, three],
    ['ban-oracle', `${three}allow: [443]`, `${three}allow: [443]\nbans: { scope: hidden }`],
    ['never-everyone', `${three}bans: { never: [0.0.0.0/0] }`, `${three}bans: { never: [192.0.2.0/24] }`],
    ['one-strike', `${three}bans: { strikes: 1 }`, `${three}bans: { strikes: 2 }`],
    ['many-strikes', `${three}bans: { strikes: 100 }`, three],
    ['no-escalation', `${three}bans: { escalate: 1 }`, `${three}bans: { escalate: 1, for: 1d }`],
    [
      'rate-below-knock',
      `${three}bans: { rate: { packets: 2, per: 1s } }`,
      `${three}bans: { rate: { packets: 3, per: 1s } }`,
    ],
    ['few-bans', `${three}bans: { limit: 10 }`, three],
    ['small-memory', `${three}memory: { sources: 10 }`, three],
    ['loopback', `${three}listen: { interfaces: [lo] }`, `${three}listen: { interfaces: [eth0] }`],
  ];
  it.each(cases)('%s is given, and is gone once fixed', (code, weak, fixed) => {
    expect(codes(weak)).toContain(code);
    expect(codes(fixed)).not.toContain(code);
  });

  it.each([
    ['one-time-unreadable', { next: [], left: 0, broken: [], unreadable: 'ENOENT' }],
    ['one-time-none', { next: [], left: 0, broken: [], unreadable: null }],
    ['one-time-few', { next: [], left: 4, broken: [], unreadable: null }],
    ['one-time-broken', { next: [], left: 9, broken: [3], unreadable: null }],
  ])('%s is given for what the file of a one-time door holds', (code, facts) => {
    const text = 'doors: { a: { one_time: /x, opens: [22] } }\ndecoys: all';
    expect(codes(text, new Map([['a', facts]]))).toEqual([code]);
    expect(codes(text, new Map([['a', { next: [], left: 5, broken: [], unreadable: null }]]))).toEqual([]);
  });

  it('is one line, names its key, and says its fix', () => {
    const all = cases.flatMap(([, weak]) => warnings(config(weak)));
    for (const { key, text, fix } of all) {
      expect(key).toMatch(/^(doors\.\w+\.\w+|decoys|bans\.\w+|memory\.sources|listen\.interfaces)/);
      expect(`${text}${fix}`).not.toMatch(/\n/);
      expect(fix.length).toBeGreaterThan(5);
    }
  });

  it('is not given for a door that is as it should be', () => {
    expect(codes(`${three}decoys: all`)).toEqual([]);
  });
});

describe('the verdict', () => {
  const scanned = (opened: number): ScanResult => ({ scans: 6, opened, banned: 6, soonest: 1, latest: 1 });
  const scans = (opened: number): DoorScans => ({
    up: scanned(opened),
    down: scanned(0),
    nmap: scanned(0),
    random: scanned(0),
  });
  const guess = (alone: number, many: number): Guessing => ({
    method: 'exact',
    steps: 3,
    sequences: 1,
    bits: 0,
    alone,
    many,
    aloneWithoutBans: 1,
  });

  it('is weak for a door that a scan opens, whatever its figures, and else goes by the time to guess it', () => {
    expect(verdictOf(guess(1e12, 1e12), scans(1))).toBe('weak');
    expect(verdictOf(guess(1e12, 1e12), scans(0))).toBe('strong');
    expect(verdictOf(guess(1e9, 1e5), scans(0))).toBe('fair');
    expect(verdictOf(guess(1e9, 59), scans(0))).toBe('weak');
    expect(verdictOf(guess(86_400, 1e12), scans(0))).toBe('weak');
    expect(verdictOf(null, null)).toBe('strong');
  });

  it('on a machine is that of its weakest door', () => {
    expect(weakest(['strong', 'weak', 'fair'])).toBe('weak');
    expect(weakest(['strong', 'fair'])).toBe('fair');
    expect(weakest([])).toBe('strong');
  });
});

describe('a warning of ports that two sequences share', () => {
  const codes = (text: string): string[] => {
    const parsed = parseConfig(text, 'f');
    if (!parsed.ok) throw new Error('the test itself is wrong');
    return warnings(parsed.config).map(({ code }) => code);
  };

  it.each<readonly [string, string, boolean]>([
    ['close-reverses-knock', 'a: { knock: [7, 6, 9], close: [9, 6, 7], opens: [22] }', true],
    ['close-reverses-knock', 'a: { knock: [7, 6, 9], close: [9, 7, 6], opens: [22] }', false],
    ['doors-share-ports', 'a: { knock: [7, 6, 9], opens: [22] }, b: { knock: [9, 6, 7], opens: [23] }', true],
    [
      'doors-share-ports',
      'a: { knock: [7, 6, 9], opens: [22] }, b: { knock: [7, 3, 4], opens: [23] }',
      false,
    ],
    ...(
      [
        ['grant_mark: 1', [9, 6, 7], 'grant_mark: 2', true],
        ['grant_mark: 1', [9, 3, 4], 'grant_mark: 2', true],
        ['grant_mark: 1', [9, 3, 4], 'grant_mark: 0x1', false],
        ['grant_mark: 1', [9, 3, 4], 'tolerate: 0', false],
        ['tolerate: 0', [9, 3, 4], 'grant_mark: 2', false],
        ['grant_mark: 1', [2, 3, 4], 'grant_mark: 2', false],
        ['grant_mark: 1', ['9/udp', 3, 4], 'grant_mark: 2', false],
      ] as const
    ).map(
      ([first, ports, second, warned]) =>
        [
          'marks-share-ports',
          `a: { knock: [7, 6, 9], opens: [22], ${first} }, b: { knock: [${ports.join(', ')}], opens: [23], ${second} }`,
          warned,
        ] as const,
    ),
  ])('%s: { %s }: %s', (code, doors, warned) => {
    expect(codes(`doors: { ${doors} }`).includes(code)).toBe(warned);
  });

  it('is one, of more than two doors with the same first knock that can not share an attempt', () => {
    const said = (count: number, more: (index: number) => string): number => {
      const doors = Array.from({ length: count }, (_, index) => `d${index}: { opens: [22], ${more(index)} }`);
      return codes(`doors: { ${doors.join(', ')} }`).filter((code) => code === 'same-first-knock').length;
    };
    const knock = (index: number): string => `knock: [7000, ${8000 + index}, ${9000 + index}]`;
    const differing = [
      (index: number) => `close: [${10_000 + index}, ${11_000 + index}]`,
      (index: number) => `within: ${20 + index}s`,
      (index: number) => `tolerate: ${index % 3}`,
      (index: number) => `for: ${20 + index}s`,
    ];
    for (const more of differing)
      expect([3, 200].map((count) => said(count, (index) => `${knock(index)}, ${more(index)}`))).toEqual([
        0, 0,
      ]);
    const codesOf = ['1????, 2????', '3????, 41???', '42???, 5????'];
    const taking = (index: number): string =>
      `knock: ['7000', ${codesOf[index]?.replace(/[\d?]+/g, "'$&'")}]`;
    expect([2, 3].map((count) => said(count, taking))).toEqual([0, 1]);
  });
});

describe('A door that takes a one-time code', () => {
  const of = (knock: string, more = ''): string =>
    `doors: { a: { knock: [${knock}], opens: [22]${more} } }\ndecoys: all\n`;
  const EIGHT = '7000/tcp, 1????/tcp, 2????/tcp';

  it.each([
    [EIGHT, '', 1e8 / 4],
    ['7000/tcp, 1????/tcp, 2???/tcp', '', 1e7 / 4],
    ['7000/tcp, 1???/tcp, 2???/tcp', '', 1e6 / 4],
    [EIGHT, ', code_steps: { back: 0, ahead: 0 }', 1e8],
    [EIGHT, ', code_steps: { back: 6, ahead: 1 }', 1e8 / 8],
  ])('%s%s is guessed by one try in %d, by who has read its fixed knocks', (knock, more, sequences) => {
    const found = guessed(of(knock, more));
    expect(found).toMatchObject({ method: 'code', sequences, bits: Math.log2(sequences) });
    // Two tries a day from an address: the third would ban. An even chance needs ln 2 of the codes.
    expect(found.alone / (Math.LN2 * sequences * (DAY / 2))).toBeCloseTo(1, 6);
    expect(found.alone / found.many).toBe(10_000);
    expect(found.aloneWithoutBans).toBeLessThan(found.alone / 1_000);
  });

  it('is guessed sooner by what bans.code allows, or where nobody is banned', () => {
    const usual = guessed(of(EIGHT)).alone;
    expect(usual / guessed(`${of(EIGHT)}bans: { code: { wrong: 5, per: 1d } }`).alone).toBeCloseTo(2, 6);
    expect(usual / guessed(`${of(EIGHT)}bans: { code: { wrong: 3, per: 12h } }`).alone).toBeCloseTo(2, 6);
    // At the first wrong one for a day: one try for each ban.
    expect(usual / guessed(`${of(EIGHT)}bans: { code: { wrong: 1, per: 1d }, max: 1d }`).alone).toBeCloseTo(
      0.5,
      6,
    );
    const shadow = guessed(`${of(EIGHT)}bans: { enforce: false }`);
    expect(shadow.alone).toBe(shadow.aloneWithoutBans);
  });

  it.each([
    ['8 digits', of(EIGHT), []],
    ['7 digits', of('7000/tcp, 1????/tcp, 2???/tcp'), ['code-six-digits']],
    ['6 digits', of('7000/tcp, 1???/tcp, 2???/tcp'), ['code-six-digits']],
    ['some decoys', of(EIGHT).replace('all', '[23]'), ['code-fixed-knocks']],
  ])('with %s is warned of as it deserves', (_, text, expected) => {
    expect(codes(text).filter((code) => code.startsWith('code-'))).toEqual(expected);
  });
});
