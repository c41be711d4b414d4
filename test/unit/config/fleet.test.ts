import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatFault } from '../../../src/config/fault.ts';
import { fleetFileFaults, loadFleetSecrets } from '../../../src/config/load-fleet.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { needRestart } from '../../../src/config/restart.ts';
import type { Config } from '../../../src/policy/config.ts';
import { warnings } from '../../../src/strength/warnings.ts';
import { temporaryFolder } from '../../support/scratch.ts';

const DOOR = 'doors: { ssh: { knock: [7000, 8000/udp, 9000], opens: [22] } }\n';
const MEMBER = 'name: edge1, engine: "unix:/run/redis/redis.sock"';

function config(fleet: string, doors: string = DOOR): Config {
  const parsed = parseConfig(`${doors}fleet: { ${fleet} }\n`, 'f.yaml');
  if (!parsed.ok) throw new Error(parsed.faults.map(formatFault).join('\n'));
  return parsed.config;
}

function faults(fleet: string): string[] {
  const parsed = parseConfig(`${DOOR}fleet: { ${fleet} }\n`, 'f.yaml');
  return parsed.ok ? [] : parsed.faults.map(formatFault);
}

describe('The section fleet', () => {
  it('is not there, and this machine is alone, where nothing is written', () => {
    for (const text of [DOOR, `${DOOR}fleet:\n`, `${DOOR}fleet: null\n`])
      expect(parseConfig(text, 'f.yaml')).toMatchObject({ ok: true, config: { fleet: null } });
  });

  it('of a name and an engine has a default for everything else', () => {
    expect(config(MEMBER).fleet).toEqual({
      name: 'edge1',
      engine: { kind: 'socket', path: '/run/redis/redis.sock' },
      group: 'main',
      password: '/etc/nfknock/fleet.password',
      ca: null,
      share: ['grants', 'bans'],
      accept: {
        from: 'all',
        grants: 'all',
        bans: 'enforce',
        longest: 604_800_000,
        each: { bans: 65_536, bansPerSecond: 2000, grantsPerMinute: 20 },
      },
      copies: 0,
      wait: 300,
    });
  });

  it.each([
    ['rediss://bus.example.net:6380', { kind: 'server', tls: true, host: 'bus.example.net', port: 6380 }],
    ['rediss://[2001:db8::5]', { kind: 'server', tls: true, host: '2001:db8::5', port: 6379 }],
    ['redis://127.0.0.1', { kind: 'server', tls: false, host: '127.0.0.1', port: 6379 }],
    ['redis://[::1]:7', { kind: 'server', tls: false, host: '::1', port: 7 }],
    [
      'sentinel://127.0.0.1/m',
      { kind: 'sentinels', tls: false, nodes: [{ host: '127.0.0.1', port: 26_379 }], master: 'm' },
    ],
  ])('finds the engine at %s', (text, engine) => {
    expect(config(`name: a, engine: "${text}"`).fleet?.engine).toEqual(engine);
  });

  it('finds Sentinels in a list, and speaks to those of other hosts by TLS', () => {
    const text = 'name: a, engine: ["sentinel://127.0.0.1/m", "sentinel://b.example:7/m"]';
    expect(config(text).fleet?.engine).toMatchObject({ kind: 'sentinels', tls: true, master: 'm' });
  });

  it.each([
    ['engine: unix:/a', /the key name is missing; expected a name of its own/],
    ['name: a', /the key engine is missing; expected where Redis/],
    [
      'name: Edge_1, engine: unix:/a',
      /fleet\.name: "Edge_1" is not the name of a member or a group; .*write edge-1/,
    ],
    ['name: -a, engine: unix:/a', /fleet\.name: /],
    [`name: ${'a'.repeat(25)}, engine: unix:/a`, /fleet\.name: /],
    [
      'name: a, engine: "redis://bus.example.net"',
      /redis:\/\/ is not encrypted.*write rediss:\/\/bus\.example\.net:6379/,
    ],
    ['name: a, engine: "redis://localhost"', /redis:\/\/ is not encrypted/],
    ['name: a, engine: "redis://127.0.0.1.example.net"', /redis:\/\/ is not encrypted/],
    ['name: a, engine: "rediss://bus/1"', /leave out what follows the port/],
    ['name: a, engine: "rediss://bus:0"', /a port is from 1 to 65535/],
    ['name: a, engine: "rediss://999.1.1.1"', /is not the address of the fleet's engine/],
    ['name: a, engine: "sentinel://a"', /add what the Sentinels call the server/],
    [
      'name: a, engine: ["sentinel://a/m", "sentinel://b/n"]',
      /asked for another server than the first \(m\)/,
    ],
    ['name: a, engine: ["rediss://a"]', /this is not a Sentinel/],
    ['name: a, engine: []', /the list is empty/],
    ['name: a, engine: "unix:run/redis.sock"', /a socket has an absolute path/],
    [`${MEMBER}, share: [knock]`, /fleet\.share\[0\]: /],
    [`${MEMBER}, accept: { grants: [web] }`, /fleet\.accept\.grants\[0\]: there is no door web/],
    [`${MEMBER}, accept: { from: some }`, /"some" is not a list of names; expected all or a list/],
    [`${MEMBER}, wait: 3s`, /fleet\.wait: /],
  ])('is refused with %s', (text, fault) => {
    expect(faults(text).join('\n')).toMatch(fault);
  });

  it('never repeats a password that stands in the address', () => {
    const [said = ''] = faults('name: a, engine: "rediss://edge1:tr0ub4dor@bus:6379"');
    expect(said).toMatch(/the address holds a user or a password; leave them out/);
    expect(said).not.toContain('tr0ub4dor');
  });

  it('takes a reload of what is told and believed, and a restart for the rest', () => {
    const before = config(MEMBER);
    expect(needRestart(before, config(`${MEMBER}, share: [], wait: 1s, accept: { bans: none }`))).toEqual([]);
    expect(needRestart(before, config(`${MEMBER}, group: other, copies: 1, ca: /x, password: /y`))).toEqual([
      'fleet.group',
      'fleet.password',
      'fleet.ca',
      'fleet.copies',
    ]);
    const alone = parseConfig(DOOR, 'f.yaml');
    if (alone.ok) expect(needRestart(alone.config, before)).toContain('fleet.name');
    expect(alone.ok).toBe(true);
  });
});

describe('What an owner of a fleet is warned of', () => {
  const codes = (text: string, doors?: string): string[] =>
    warnings(config(text, doors))
      .map(({ code }) => code)
      .filter((code) => code.startsWith('fleet-'));
  const once = 'doors: { a: { one_time: /x, opens: [22] } }\n';
  const hook = (words: string): string =>
    `doors: { a: { knock: [7000, 8000/udp, 9000], opens: [22], on_open: [/bin/x, ${words}] } }\n`;

  it('is a mark that a failover can forget', () => {
    const sentinels = 'name: a, engine: ["sentinel://a/m"]';
    expect(codes(sentinels, once)).toEqual(['fleet-copies']);
    expect(codes(`${sentinels}, copies: 1`, once)).toEqual([]);
    expect(codes(sentinels)).toEqual([]);
    expect(codes(MEMBER, once)).toEqual([]);
  });

  it('is what knocks cost that are shared, and doors for which it does nothing', () => {
    const shared = `${MEMBER}, share: [grants, bans, knocks]`;
    const single =
      'doors: { a: { knock: [7000], opens: [22] }, b: { knock: [7001, 8000, 9000], opens: [23] } }\n';
    expect(config(shared).fleet?.share).toEqual(['grants', 'bans', 'knocks']);
    expect(codes(shared)).toEqual(['fleet-knocks']);
    expect(codes(shared, single)).toEqual(['fleet-knocks', 'fleet-one-knock']);
    expect(codes(shared, once)).toEqual(['fleet-knocks']);
  });

  it('is a command that runs on every member', () => {
    expect(codes(MEMBER, hook('"%IP%"'))).toEqual(['fleet-hook']);
    expect(codes(MEMBER, hook('"%IP%", "%MEMBER%"'))).toEqual([]);
  });
});

describe('The password file', () => {
  const folder = temporaryFolder();
  let count = 0;
  const load = (text: string | null, mode = 0o600): string => {
    count += 1;
    const path = join(folder, String(count));
    if (text !== null) {
      writeFileSync(path, text);
      chmodSync(path, mode);
    }
    const loaded = loadFleetSecrets({ name: 'edge1', password: path });
    return loaded.ok
      ? JSON.stringify(loaded.secrets)
      : loaded.faults.map(formatFault).join('\n').replaceAll(path, 'FILE');
  };
  const SECRET = 'x'.repeat(16);

  it('holds the password, and the secret of the group', () => {
    const wanted = JSON.stringify({ password: 'p w', groupSecret: SECRET });
    expect(load(`p w\n${SECRET}\n`)).toBe(wanted);
    expect(load(`p w\r\n${SECRET}`)).toBe(wanted);
  });

  it.each([
    ['is missing', null, 0o600, /there is no such file; .*nfknock fleet users edge1 --password-file FILE/],
    ['is read by others', `pass\n${SECRET}`, 0o604, /read or changed by others \(0604\); chmod 0600 FILE/],
    ['is read by a group', `pass\n${SECRET}`, 0o640, /by a group \(0640\); chmod 0600 FILE/],
    ['has one line', 'pass\n', 0o600, /FILE:2:1: .*the second line is missing/],
    ['is empty', '', 0o600, /the first line is empty/],
    ['has a short secret', 'pass\nshort', 0o600, /fewer than 16 characters/],
    ['has three lines', `pass\n${SECRET}\nmore`, 0o600, /more than two lines/],
    ['has endless lines', `${'p'.repeat(600)}\n${SECRET}`, 0o600, /longer than 512/],
  ])('is refused where it %s', (_, text, mode, fault) => {
    expect(load(text, mode)).toMatch(fault);
    expect(load(text, mode)).not.toMatch(/pass\b(?!word)|short\b/);
  });

  it('is refused where it is a folder', () => {
    mkdirSync(join(folder, 'd'), { mode: 0o700 });
    const loaded = loadFleetSecrets({ name: 'a', password: join(folder, 'd') });
    expect(loaded.ok ? [] : loaded.faults.map(({ problem }) => problem)).toEqual([
      'it is not a regular file',
    ]);
  });
});

describe('The files of a member', () => {
  it('are all there, or each that is not is named', () => {
    const folder = temporaryFolder();
    const [password, ca] = [join(folder, 'password'), join(folder, 'ca.pem')];
    const { fleet } = config(`${MEMBER}, password: ${password}, ca: ${ca}`);
    const named = (): string[] => fleetFileFaults(fleet).map(({ file }) => file);
    expect(named()).toEqual([password, ca]);
    writeFileSync(password, `p\n${'x'.repeat(16)}\n`, { mode: 0o600 });
    expect(named()).toEqual([ca]);
    expect(fleetFileFaults(fleet).map(formatFault)[0]).toMatch(/no such file; name the file .* fleet\.ca/);
    writeFileSync(ca, 'PEM');
    expect(named()).toEqual([]);
    expect(fleetFileFaults(null)).toEqual([]);
  });
});
