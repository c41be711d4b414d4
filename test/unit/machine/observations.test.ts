import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import type { Fate } from '../../../src/machine/input-default.ts';
import { unseenOf } from '../../../src/machine/interfaces.ts';
import { boundOf, type Listener } from '../../../src/machine/listeners.ts';
import type { Machine } from '../../../src/machine/look.ts';
import { observationsOf, ofQueueReaders, shownIn } from '../../../src/machine/observations.ts';
import { netfilterSockets } from '../../../src/machine/queue-readers.ts';
import type { Config } from '../../../src/policy/config.ts';
import { NO_ONE_TIME } from '../../../src/policy/port-roles.ts';

const DOORS = 'doors: { ssh: { knock: [7000, 8000/udp, 9000], opens: [22] } }\n';
const NOWHERE: Machine = { interfaces: [], inputDefaults: { 4: null, 6: null }, listeners: [] };

function configOf(text: string): Config {
  const parsed = parseConfig(`${DOORS}${text}\n`, 'f.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

const said = (text: string, machine: Partial<Machine>): readonly string[] =>
  observationsOf(configOf(text), { ...NOWHERE, ...machine }, NO_ONE_TIME).map(
    ({ what, fix }) => `${what}; ${fix}`,
  );

describe('An interface of the configuration', () => {
  const there = [
    { name: 'lo', master: null },
    { name: 'eth0', master: null },
    { name: 'eth1', master: 'br0' },
    { name: 'br0', master: null },
    { name: 'wg0', master: null },
  ];

  it.each([
    [['eth0', 'br0', 'wg+'], []],
    [['any'], [{ name: 'any', why: 'missing' }]],
    [['eth7', 'eth0'], [{ name: 'eth7', why: 'missing' }]],
    [['ppp+'], [{ name: 'ppp+', why: 'missing' }]],
    [['eth1'], [{ name: 'eth1', why: 'port', master: 'br0' }]],
    // Of several that are meant one is enough.
    [['eth+'], []],
    [[], []],
  ])('%j: by which nothing is seen: %j', (names, unseen) => {
    expect(unseenOf(names, there)).toEqual(unseen);
  });

  it('is said with what to write instead', () => {
    expect(said('listen: { interfaces: [any, eth1] }', { interfaces: there })).toEqual([
      expect.stringMatching(/no interface any: .*; for every interface write \[\]/),
      expect.stringMatching(/eth1 is a port of br0: .*; write br0 instead/),
    ]);
  });
});

describe('What strangers are told', () => {
  const closed = 'answer: closed\nlisten: { source: nflog }';
  const cases: readonly (readonly [
    text: string,
    four: Fate | null,
    six: Fate | null,
    shown: readonly number[],
  ])[] = [
    ['', 'ACCEPT', 'ACCEPT', [4, 6]],
    ['', 'DROP', 'ACCEPT', [6]],
    ['', 'DROP', 'DROP', []],
    ['', 'REJECT', 'DROP', [4]],
    ['', null, null, []],
    [closed, 'ACCEPT', 'ACCEPT', []],
    [closed, 'DROP', 'ACCEPT', [4]],
    ['decoys: all', 'ACCEPT', 'ACCEPT', []],
  ];

  it.each(cases)(
    '%j: under the policies %s and %s knock ports stand out over %j',
    (text, four, six, shown) => {
      const config = configOf(text);
      const inputDefaults = { 4: four, 6: six };
      expect(shownIn(config, inputDefaults)).toEqual(shown);
      const found = said(text, { inputDefaults });
      expect(found).toHaveLength(shown.length > 0 ? 1 : 0);
      for (const family of shown) expect(found[0]).toContain(`IPv${family}`);
    },
  );
});

describe('A service that listens', () => {
  const on = (port: number, protocol: 'tcp' | 'udp' = 'tcp'): Listener => ({
    protocol,
    port,
    families: [4, 6],
    process: { pid: 77, name: 'nginx' },
  });

  it('and that `decoys: all` closes is said by its port and its program', () => {
    const listeners = [on(443), on(8080), on(22), on(7000), on(68, 'udp'), on(53, 'udp')];
    expect(said('decoys: all\nallow: [443]', { listeners })).toEqual([
      expect.stringMatching(
        /^nginx \(process 77\) listens on 53\/udp, which is a decoy.*add 53\/udp to "allow"/,
      ),
      expect.stringMatching(/listens on 7000\/tcp, which is a knock/),
      expect.stringMatching(/listens on 8080\/tcp, which is a decoy/),
    ]);
  });

  it('is left alone where it is no decoy', () => {
    expect(said('decoys: [23]', { listeners: [on(8080), on(53, 'udp')] })).toEqual([]);
    expect(said('decoys: [23]', { listeners: [on(23)] })).toHaveLength(1);
    const [high = ''] = said('decoys: all', { listeners: [on(51_820, 'udp')] });
    expect(high).toContain(
      '51820/udp, which is a decoy: nobody beyond its own networks can reach it any more',
    );
  });

  it('is counted where there are very many', () => {
    const listeners = Array.from({ length: 50 }, (_, index) => on(10_000 + index));
    const found = said('decoys: all', { listeners });
    expect(found).toHaveLength(21);
    expect(found.at(-1)).toMatch(/^30 more ports/);
  });

  it('is read from /proc, but not where loopback alone reaches it', () => {
    const row = (local: string, state: string): string =>
      `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 4711 1`;
    const table = [row('00000000:0016', '0A'), row('0100007F:0050', '0A'), row('0101A8C0:01BB', '01')].join(
      '\n',
    );
    expect(boundOf(`  sl  local_address rem_address   st\n${table}\n`, 'tcp', 4)).toEqual([
      { protocol: 'tcp', port: 22, families: [4], inode: '4711' },
    ]);
    const six = ['00000000000000000000000000000000:1F90', '00000000000000000000000001000000:0050'];
    expect(boundOf(six.map((each) => row(each, '0A')).join('\n'), 'tcp', 6)).toEqual([
      { protocol: 'tcp', port: 8080, families: [4, 6], inode: '4711' },
    ]);
    expect(boundOf(row('00000000:0035', '07'), 'udp', 4)).toHaveLength(1);
  });
});

describe('Another reader of our queue', () => {
  const config = configOf('listen: { queues: 5-6 }');

  it('is said by its name, and we ourselves are not', () => {
    const readers = [
      { queue: 5, process: { pid: 1, name: 'node' } },
      { queue: 6, process: { pid: 9, name: 'suricata' } },
    ];
    expect(ofQueueReaders(config, readers, [1]).map(({ what }) => what)).toEqual([
      expect.stringContaining('suricata (process 9) reads queue 6'),
    ]);
    expect(ofQueueReaders(configOf('listen: { source: nflog }'), readers, [])).toEqual([]);
  });

  it('is found by the port of its socket, however that is written', () => {
    const table = [
      'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode',
      '00000000aa   12  4711       00000000 0        0        0     2        0        100',
      '00000000bb   12  -17        00000000 0        0        0     2        0        101',
      '00000000cc   9   4711       00000000 0        0        0     2        0        102',
    ].join('\n');
    expect([...netfilterSockets(table)]).toEqual([
      [4711, '100'],
      [4_294_967_279, '101'],
    ]);
  });
});
