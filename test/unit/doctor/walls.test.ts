import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { dropInText, foreignLines } from '../../../src/doctor/drop-in.ts';
import type { Finding } from '../../../src/doctor/finding.ts';
import { DROP_IN, installedWalls, parseUnit, type Walls } from '../../../src/doctor/unit.ts';
import { isKnown, lostNames, type Names, neededLines, ofWalls } from '../../../src/doctor/walls.ts';
import { type Address, parseAddress } from '../../../src/packet/address.ts';
import type { Config } from '../../../src/policy/config.ts';
import { type NamedServers, NO_SERVERS } from '../../../src/policy/fleet.ts';

const UNIT = readFileSync(new URL('../../../deploy/systemd/nfknock.service', import.meta.url), 'utf8');
const BUS = 'fleet: { name: a, engine: "rediss://bus.example.net" }';
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const codes = (findings: readonly Finding[]): readonly string[] => findings.map(({ code }) => code);

function config(yaml: string): Config {
  const parsed = parseConfig(
    `doors: { ssh: { knock: [7311/tcp, 4711/tcp], opens: [22/tcp] } }\n${yaml}`,
    'x',
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

function addresses(...texts: readonly string[]): readonly Address[] {
  return texts.map((text) => parseAddress(text) ?? expect.unreachable());
}

/** What names stand for; without addresses, what they stand for is not known. */
function names(
  bus: readonly string[],
  servers: readonly string[] = [],
  named: NamedServers = NO_SERVERS,
): Names {
  const found = new Map([['bus.example.net', addresses(...bus)]]);
  return { addresses: found, servers: addresses(...servers), named };
}

/** A machine with the unit, this in a drop-in of its owner, and this in nfknock's own. */
function machine(owner: readonly string[], more: string | Readonly<Record<string, string>> = ''): Walls {
  const root = mkdtempSync(join(tmpdir(), 'nfknock-walls-'));
  folders.push(root);
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  put('usr/lib/systemd/system/nfknock.service', UNIT);
  put('etc/systemd/system/nfknock.service.d/override.conf', ['[Service]', ...owner].join('\n'));
  const { own, ...others } = typeof more === 'string' ? { own: more } : more;
  if (own !== undefined && own !== '') put(DROP_IN, own);
  for (const [path, text] of Object.entries(others)) put(path, text);
  return installedWalls(root) ?? expect.unreachable();
}

describe("the unit's walls against the network", () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['metrics: 127.0.0.1:9477', [], []],
    ['metrics: "[::1]:9477"', [], []],
    ['metrics: unix:/run/nfknock/metrics.sock', ['IPAddressAllow='], []],
    ['metrics: null', ['IPAddressAllow='], []],
    ['metrics: 127.0.0.1:9477', ['IPAddressAllow='], ['IPAddressAllow']],
    ['metrics: localhost:9477', ['IPAddressAllow=', 'IPAddressAllow=192.0.2.25'], ['IPAddressAllow']],
    ['metrics: 127.0.0.1:9477', ['IPAddressAllow=', 'IPAddressAllow=127.0.0.0/8 192.0.2.25'], []],
    ['metrics: 127.0.0.1:9477', ['IPAddressAllow=', 'IPAddressDeny='], []],
    [
      'metrics: 127.0.0.1:9477',
      ['RestrictAddressFamilies=', 'RestrictAddressFamilies=AF_UNIX AF_NETLINK'],
      ['RestrictAddressFamilies'],
    ],
    ['metrics: "[::1]:9477"', ['IPAddressAllow=', 'IPAddressAllow=127.0.0.1'], ['IPAddressAllow']],
    ['fleet: { name: a, engine: "unix:/run/redis/redis.sock" }', ['IPAddressAllow='], []],
    ['fleet: { name: a, engine: "redis://127.0.0.1" }', [], []],
    ['fleet: { name: a, engine: "rediss://192.0.2.25" }', [], ['IPAddressAllow=192.0.2.25']],
    ['fleet: { name: a, engine: "rediss://[2001:db8::25]" }', [], ['IPAddressAllow=2001:db8::25']],
    ['fleet: { name: a, engine: "rediss://192.0.2.25" }', ['IPAddressAllow=192.0.2.0/24'], []],
    ['fleet: { name: a, engine: "rediss://bus.example.net" }', [], ['IPAddressAllow=192.0.2.26']],
    ['fleet: { name: a, engine: ["sentinel://192.0.2.27/m"] }', [], ['IPAddressAllow=192.0.2.27']],
  ])('%s with %j: %j', (yaml, lines, kept) => {
    const known = names(['192.0.2.26']);
    const walls = machine(lines);
    const found = ofWalls(config(yaml), walls, known);
    expect(codes(found)).toEqual(kept.length === 0 ? [] : ['unit-address']);
    const needed = neededLines(config(yaml), walls.bare, known);
    expect(needed.map((line) => (kept.includes(line) ? line : line.split('=')[0]))).toEqual(kept);
    // With the drop-in that the fix writes nothing is found any more, and it writes the same again.
    const better = machine(lines, dropInText(needed));
    if (needed.length > 0) expect(ofWalls(config(yaml), better, known)).toEqual([]);
    expect(neededLines(config(yaml), better.bare, known)).toEqual(needed);
  });
});

describe('the servers that Sentinels name', () => {
  const WATCHED = config(
    'fleet: { name: a, engine: ["sentinel://192.0.2.31/m", "sentinel://192.0.2.32/m"] }',
  );
  const naming = (...hosts: readonly string[]): Names =>
    names(['192.0.2.26'], ['192.0.2.53'], { hosts, silence: null });
  const silent = names([], [], { hosts: [], silence: '192.0.2.31: connect ECONNREFUSED' });
  const SENTINELS = ['IPAddressAllow=192.0.2.31', 'IPAddressAllow=192.0.2.32'];

  it('are let through as the Sentinels themselves are, replicas too', () => {
    const { bare } = machine([]);
    const named = naming('192.0.2.31', '192.0.2.34', '2001:db8::35');
    const lines = neededLines(WATCHED, bare, named);
    expect(lines).toEqual([...SENTINELS, 'IPAddressAllow=192.0.2.34', 'IPAddressAllow=2001:db8::35']);
    expect(ofWalls(WATCHED, machine([], dropInText(lines)), named)).toEqual([]);
  });

  it('are missed one by one', () => {
    const found = ofWalls(WATCHED, machine([], dropInText(SENTINELS)), naming('192.0.2.34', '192.0.2.35'));
    expect(codes(found)).toEqual(['unit-address', 'unit-address']);
    expect(found[0]?.problem).toContain('keeps 192.0.2.34 from the daemon');
    expect(found[0]?.problem).toContain('the Sentinels name it');
  });

  it('may have names, which a name server is asked for', () => {
    expect(neededLines(WATCHED, machine([]).bare, naming('bus.example.net'))).toEqual([
      'IPAddressAllow=192.0.2.26',
      ...SENTINELS,
      'IPAddressAllow=192.0.2.53',
    ]);
    expect(lostNames(WATCHED, naming('db.example.net'))).toEqual(['db.example.net']);
  });

  it('go from the drop-in when nobody names them any more', () => {
    const walls = machine([], dropInText([...SENTINELS, 'IPAddressAllow=192.0.2.34']));
    const [found] = ofWalls(WATCHED, walls, naming('192.0.2.31'));
    expect(found?.code).toBe('unit-address-stale');
    expect(found?.problem).toContain('IPAddressAllow=192.0.2.34');
  });

  it('are to be let through by hand while no Sentinel says who they are, and none is called stale', () => {
    const walls = machine([], dropInText([...SENTINELS, 'IPAddressAllow=192.0.2.34']));
    const [found, ...more] = ofWalls(WATCHED, walls, silent);
    expect(more).toEqual([]);
    expect(found).toMatchObject({ code: 'unit-servers-unknown', level: 'warning' });
    expect(found?.problem).toContain('192.0.2.31: connect ECONNREFUSED');
    expect(found?.fix).toContain('systemctl edit nfknock');
    // A unit without walls keeps nobody from anybody.
    expect(ofWalls(WATCHED, machine(['IPAddressDeny=']), silent)).toEqual([]);
  });
});

describe("nfknock's own drop-in", () => {
  const engine = (address: string): Config => config(`fleet: { name: a, engine: "rediss://${address}" }`);
  const known = names(['192.0.2.26', '2001:db8::26'], ['192.0.2.53']);

  it('is written with what the configuration talks to, and no more', () => {
    const lines = neededLines(config(BUS), machine([]).bare, known);
    expect(
      dropInText(lines),
    ).toBe(`# Written by "nfknock doctor --drop-in", which writes all of it anew: what the configuration talks to, and no more.
# What you let through yourself goes to a file of its own: systemctl edit nfknock.
[Service]
IPAddressAllow=192.0.2.26
IPAddressAllow=192.0.2.53
IPAddressAllow=2001:db8::26
`);
    expect(parseUnit(`${UNIT}\n${dropInText(lines)}`).allowed).toEqual([
      'localhost',
      '192.0.2.26',
      '192.0.2.53',
      '2001:db8::26',
    ]);
  });

  it('is found to be wrong in both ways after the engine was changed', () => {
    const old = dropInText(neededLines(engine('192.0.2.24'), machine([]).bare, known));
    const found = ofWalls(engine('192.0.2.25'), machine([], old), known);
    expect(codes(found)).toEqual(['unit-address', 'unit-address-stale']);
    expect(found[0]?.problem).toContain('192.0.2.25');
    expect(found[1]?.problem).toContain('IPAddressAllow=192.0.2.24');
    expect(found[1]?.problem).not.toContain('192.0.2.25');
    for (const { fix } of found) expect(fix).toBe('nfknock doctor --drop-in; systemctl restart nfknock');
  });

  it.each([
    ['the fleet is gone', 'metrics: null'],
    ['the engine is behind a socket', 'fleet: { name: a, engine: "unix:/run/redis/redis.sock" }'],
    ['the engine is on this machine', 'fleet: { name: a, engine: "redis://127.0.0.1" }'],
  ])('is taken away where %s', (_, yaml) => {
    const old = dropInText(['IPAddressAllow=192.0.2.25']);
    expect(codes(ofWalls(config(yaml), machine([], old), known))).toEqual(['unit-address-stale']);
    expect(neededLines(config(yaml), machine([], old).bare, known)).toEqual([]);
  });

  it('is judged word by word, however they are written', () => {
    const text = '[Service]\nIPAddressAllow=192.0.2.25/32 192.0.2.24\nIPAddressAllow=192.0.2.0/24';
    const [found] = ofWalls(engine('192.0.2.25'), machine([], text), known);
    expect(found?.problem.split(': ')[2]).toBe('IPAddressAllow=192.0.2.24, IPAddressAllow=192.0.2.0/24');
  });

  it('is read in the order of names, wherever each drop-in lies', () => {
    const walls = machine(['IPAddressAllow=', 'IPAddressAllow=192.0.2.98'], {
      own: dropInText(['IPAddressAllow=192.0.2.25']),
      'usr/lib/systemd/system/nfknock.service.d/10-first.conf': 'IPAddressAllow=192.0.2.97',
      // Hidden by what has the same name in /etc.
      'usr/lib/systemd/system/nfknock.service.d/zz-nfknock.conf': 'IPAddressAllow=192.0.2.96',
    });
    expect(walls.unit.allowed).toEqual(['192.0.2.98', '192.0.2.25']);
    expect(walls.bare.allowed).toEqual(['192.0.2.98']);
  });

  it('leaves what the owner lets through in a file of his own', () => {
    const walls = machine(['IPAddressAllow=192.0.2.99'], dropInText(['IPAddressAllow=192.0.2.25']));
    expect(ofWalls(engine('192.0.2.25'), walls, known)).toEqual([]);
  });

  it('is not called wrong while nobody knows what a name stands for', () => {
    const walls = machine([], dropInText(['IPAddressAllow=192.0.2.26']));
    expect(ofWalls(config(BUS), walls, names([]))).toEqual([]);
    expect(lostNames(config(BUS), names([]))).toEqual(['bus.example.net']);
    expect(codes(ofWalls(config(BUS), walls, names(['192.0.2.27'])))).toEqual([
      'unit-address',
      'unit-address-stale',
    ]);
  });

  it('lets the name server through where a name has to be asked for, and only there', () => {
    const asked = names(['192.0.2.26'], ['192.0.2.53']);
    const walls = machine([], dropInText(['IPAddressAllow=192.0.2.26']));
    const [found] = ofWalls(config(BUS), walls, asked);
    expect(found?.problem).toContain('keeps 192.0.2.53 from the daemon');
    expect(neededLines(engine('192.0.2.26'), walls.bare, asked)).toEqual(['IPAddressAllow=192.0.2.26']);
    // systemd-resolved on this machine.
    expect(neededLines(config(BUS), walls.bare, names(['192.0.2.26'], ['127.0.0.53']))).toEqual([
      'IPAddressAllow=192.0.2.26',
    ]);
  });

  it.each([
    ['192.0.2.26 bus.example.net bus', true],
    ['192.0.2.26\tbus BUS.example.net # the bus', true],
    ['# 192.0.2.26 bus.example.net', false],
    ['192.0.2.26 other.bus.example.net', false],
    ['', false],
  ])('asks nobody for a name that stands in %j: %j', (table, expected) => {
    expect(isKnown(table, 'bus.example.net')).toBe(expected);
  });

  it('is not overwritten where somebody else has written in it', () => {
    expect(foreignLines(dropInText(['IPAddressAllow=192.0.2.25']))).toEqual([]);
    expect(foreignLines('[Service]\nIPAddressAllow=192.0.2.25\nRestrictAddressFamilies=AF_INET')).toEqual([]);
    expect(foreignLines('[Service]\nIPAddressAllow=\nNice=5\n[Unit]')).toEqual([
      'IPAddressAllow=',
      'Nice=5',
      '[Unit]',
    ]);
  });
});
