import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { formatDuration, parseDuration } from '../../../src/config/duration.ts';
import { formatFault } from '../../../src/config/fault.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatSize, parseSize } from '../../../src/config/size.ts';
import { ipv4, ipv6 } from '../../../src/packet/address.ts';
import { type Cidr, formatCidr, networkOf } from '../../../src/packet/cidr.ts';
import { type FlagRule, TCP_FLAG } from '../../../src/packet/flags.ts';
import {
  formatPort,
  formatPortRange,
  type Port,
  type PortRange,
  type PortSpec,
} from '../../../src/packet/port.ts';
import { type Milliseconds, milliseconds } from '../../../src/packet/time.ts';
import type { Config, Door } from '../../../src/policy/config.ts';
import type { EngineAddress, EngineNode, Fleet } from '../../../src/policy/fleet.ts';

// Slow where many tests run at once.
vi.setConfig({ testTimeout: 60_000 });

const protocol = fc.constantFrom('tcp' as const, 'udp' as const);
const time = (min: number, max: number): fc.Arbitrary<Milliseconds> =>
  fc.integer({ min, max }).map(milliseconds);
/** Knocks, services, allowed ports and decoys each have a range of numbers of their own, so that none conflict. */
const portFrom = (first: number, last: number): fc.Arbitrary<PortSpec> =>
  fc.record({ protocol, port: fc.integer({ min: first, max: last }).map((port) => port as Port) });
const rangeFrom = (first: number, last: number): fc.Arbitrary<PortRange> =>
  fc
    .tuple(protocol, fc.integer({ min: first, max: last }), fc.integer({ min: first, max: last }))
    .map(([each, a, b]) => ({ protocol: each, first: Math.min(a, b) as Port, last: Math.max(a, b) as Port }));
const cidr: fc.Arbitrary<Cidr> = fc.oneof(
  fc.tuple(fc.integer(), fc.integer({ min: 0, max: 32 })).map(([a, bits]) => networkOf(ipv4(a), bits)),
  fc
    .tuple(fc.integer(), fc.integer(), fc.integer({ min: 0, max: 128 }))
    .map(([a, d, bits]) => networkOf(ipv6(a, 0, 0, d), bits)),
);
const path = fc.stringMatching(/^(\/[a-z0-9._-]{1,12}){1,4}$/);
/** Any text that a word of a command may be: a lone half of a surrogate pair is none. */
const word = fc
  .string({ unit: 'binary', maxLength: 12 })
  .filter(
    (text) =>
      !text.includes('\0') &&
      !/%[A-Za-z][A-Za-z0-9_]+%/.test(text) &&
      !/[\ud800-\udfff]/u.test(text) &&
      !text.includes('\ufffd'),
  );
const argv = fc.option(
  fc
    .tuple(path, fc.array(fc.oneof(word, fc.constantFrom('%IP%', '-%DOOR%', '%PORTS%')), { maxLength: 4 }))
    .map(([program, rest]) => [program, ...rest]),
);
const flags: fc.Arbitrary<FlagRule> = fc
  .record({ set: fc.integer({ min: 0, max: 63 }), clear: fc.integer({ min: 0, max: 63 }) })
  .map(({ set, clear }) => ({ set, clear: clear & ~set }))
  .filter(({ set, clear }) => set + clear > 0)
  // A rule that wants SYN wants FIN, RST and ACK clear unless it names them.
  .map(({ set, clear }) => ({ set, clear: (set & TCP_FLAG.syn) === 0 ? clear : clear | (21 & ~set) }));
const neighboursDiffer = (steps: readonly PortSpec[]): boolean =>
  steps.every((step, index) => index === 0 || formatPort(step) !== formatPort(steps[index - 1] ?? step));

const door: fc.Arbitrary<Omit<Door, 'name'>> = fc
  .record({
    knock: fc.oneof(
      fc.array(portFrom(1, 9999), { minLength: 1, maxLength: 32 }).filter(neighboursDiffer),
      path.map((oneTime) => ({ oneTime })),
    ),
    codeSteps: fc.record({ back: fc.integer({ min: 0, max: 10 }), ahead: fc.integer({ min: 0, max: 10 }) }),
    within: time(64, 86_400_000),
    least: fc.integer({ min: 0, max: 1 }),
    tolerate: fc.integer({ min: 0, max: 100 }),
    flags,
    opens: fc.array(rangeFrom(10_000, 19_999), { maxLength: 4 }),
    for: time(1000, 2_147_483_000),
    close: fc.array(portFrom(50_000, 59_999), { maxLength: 5 }).filter(neighboursDiffer),
    uses: fc.option(fc.integer({ min: 1, max: 1_000_000 })),
    holders: fc.option(fc.integer({ min: 1, max: 65_536 })),
    grant: fc.oneof(fc.constantFrom('source' as const, 'any' as const), cidr),
    forward: fc.option(
      fc.record({ to: fc.integer().map((a) => networkOf(ipv4(a), 32)), dnat: fc.boolean() }),
    ),
    grantMark: fc.option(fc.integer({ min: 1, max: 0xffff_ffff })),
    onOpen: argv,
    onClose: argv,
  })
  .filter(({ grant, forward }) => forward === null || typeof grant === 'string' || grant.address.family === 4)
  .map(({ least, ...each }) => ({
    ...each,
    gap: { min: milliseconds(least), max: milliseconds(Math.max(2, Math.floor(each.within / 2))) },
  }));

const member = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,23}$/);
const node = fc.record({
  host: fc.constantFrom('bus.example.net', '192.0.2.7', '2001:db8::7', '127.0.0.1', '::1'),
  port: fc.integer({ min: 1, max: 65_535 }),
});
const isHere = (host: string): boolean => host === '127.0.0.1' || host === '::1';
const engine: fc.Arbitrary<EngineAddress> = fc.oneof(
  fc
    .record({ kind: fc.constant('server' as const), tls: fc.boolean(), node })
    .map(({ kind, tls, node: at }) => ({ kind, tls: tls || !isHere(at.host), ...at })),
  fc.record({ kind: fc.constant('socket' as const), path }),
  fc
    .record({
      kind: fc.constant('sentinels' as const),
      nodes: fc.array(node, { minLength: 1, maxLength: 3 }),
      master: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
    })
    .map((each) => ({ ...each, tls: !each.nodes.every(({ host }) => isHere(host)) })),
);
const fleet: fc.Arbitrary<Fleet> = fc.record({
  name: member,
  engine,
  group: member,
  password: path,
  ca: fc.option(path),
  share: fc.uniqueArray(fc.constantFrom('grants' as const, 'bans' as const)),
  accept: fc.record({
    from: fc.oneof(fc.constant('all' as const), fc.array(member, { maxLength: 3 })),
    grants: fc.oneof(fc.constantFrom('all' as const, 'none' as const), fc.constant([])),
    bans: fc.constantFrom('enforce' as const, 'shadow' as const, 'none' as const),
    longest: time(1000, 2_147_483_000),
    each: fc.record({
      bans: fc.integer({ min: 0, max: 4_194_304 }),
      bansPerSecond: fc.integer({ min: 1, max: 1_000_000 }),
      grantsPerMinute: fc.integer({ min: 1, max: 1_000_000 }),
    }),
  }),
  copies: fc.integer({ min: 0, max: 16 }),
  wait: time(1, 2000),
});

/** Doors are named by those that there are. */
function withDoors(given: Fleet, doors: readonly { readonly name: string }[]): Fleet {
  const { grants } = given.accept;
  if (typeof grants === 'string') return given;
  return { ...given, accept: { ...given.accept, grants: doors.map(({ name }) => name) } };
}

function engineText(at: EngineAddress): string | readonly string[] {
  const place = ({ host, port }: EngineNode): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (at.kind === 'socket') return `unix:${at.path}`;
  if (at.kind === 'server') return `${at.tls ? 'rediss' : 'redis'}://${place(at)}`;
  return at.nodes.map((each) => `sentinel://${place(each)}/${at.master}`);
}

function writtenFleet({ accept, wait, engine: at, ...rest }: Fleet): unknown {
  const { bans, bansPerSecond, grantsPerMinute } = accept.each;
  return {
    ...rest,
    engine: engineText(at),
    wait: formatDuration(wait),
    accept: {
      ...accept,
      longest: formatDuration(accept.longest),
      each: { bans, bans_per_second: bansPerSecond, grants_per_minute: grantsPerMinute },
    },
  };
}

const config: fc.Arbitrary<Config> = fc
  .record({
    listen: fc
      .record({
        source: fc.constantFrom('nfqueue' as const, 'nflog' as const),
        queues: fc
          .tuple(fc.integer({ min: 0, max: 65_471 }), fc.integer({ min: 0, max: 63 }))
          .map(([first, more]) => ({ first, last: first + more })),
        group: fc.integer({ min: 0, max: 65_535 }),
        interfaces: fc.array(fc.constantFrom('eth0', 'wg+', 'br-lan', 'enp3s0.100'), { maxLength: 3 }),
        spa: fc
          .uniqueArray(fc.integer({ min: 62_000, max: 65_535 }), { maxLength: 3 })
          .map((all) => all as Port[]),
        clockSkew: time(1000, 86_400_000),
      })
      // The packets of keys take the group after it.
      .map((listen) =>
        listen.spa.length > 0 ? { ...listen, group: Math.min(listen.group, 65_534) } : listen,
      ),
    doors: fc
      .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z0-9_][a-z0-9_-]{0,23}$/), door), {
        selector: ([name]) => name,
        minLength: 1,
        maxLength: 4,
      })
      .map((doors) => doors.map(([name, each]) => ({ name, ...each })))
      // Two doors with one sequence are refused.
      .filter(
        (doors) =>
          new Set(doors.map(({ knock }) => ('oneTime' in knock ? {} : knock.map(formatPort).join()))).size ===
          doors.length,
      ),
    decoys: fc.oneof(fc.constant('all' as const), fc.array(rangeFrom(20_000, 29_999), { maxLength: 4 })),
    allow: fc.array(rangeFrom(30_000, 39_999), { maxLength: 4 }),
    answer: fc.constantFrom('drop' as const, 'closed' as const),
    accept: fc.constantFrom('auto' as const, 'return' as const, 'own' as const),
    bans: fc.record({
      strikes: fc.integer({ min: 1, max: 16 }),
      within: time(1000, 604_800_000),
      for: time(1000, 1_000_000_000),
      escalate: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constantFrom(1.5, 2.25)),
      max: time(1_000_000_000, 2_147_483_000),
      rate: fc.record({ packets: fc.integer({ min: 1, max: 10_000_000 }), per: time(1, 86_400_000) }),
      code: fc.record({ wrong: fc.integer({ min: 1, max: 100 }), per: time(60_000, 1_209_600_000) }),
      never: fc.array(cidr, { maxLength: 4 }),
      strikeOnService: fc.boolean(),
      enforce: fc.boolean(),
      scope: fc.constantFrom('all' as const, 'hidden' as const),
      cut: fc.boolean(),
      limit: fc.integer({ min: 1, max: 4_194_304 }),
    }),
    grants: fc.constantFrom('rule' as const, 'set' as const),
    memory: fc.record({ sources: fc.integer({ min: 1, max: 4_194_304 }) }),
    keys: path,
    state: path,
    control: path,
    log: fc.record({
      level: fc.constantFrom('error' as const, 'warn' as const, 'info' as const, 'debug' as const),
      file: fc.option(path),
      maxSize: fc.integer({ min: 1024, max: 999_999_999 }),
      files: fc.integer({ min: 1, max: 1000 }),
    }),
    metrics: fc.option(fc.oneof(path, fc.constantFrom('127.0.0.1:9477', '[::1]:1', 'localhost:65535'))),
    fleet: fc.option(fleet),
  })
  .map((value) => ({ ...value, fleet: value.fleet === null ? null : withDoors(value.fleet, value.doors) }))
  // What is queued can't be answered.
  .filter(({ answer, listen }) => answer === 'drop' || listen.source === 'nflog');

function flagText({ set, clear }: FlagRule): string {
  const names = Object.entries(TCP_FLAG);
  return [
    ...names.filter(([, bit]) => (set & bit) !== 0).map(([name]) => name),
    ...names.filter(([, bit]) => (clear & bit) !== 0).map(([name]) => `!${name}`),
  ].join(', ');
}

/** The configuration as somebody could have written it. */
function written({ doors, listen, decoys, allow, bans, log, fleet: others, ...rest }: Config): unknown {
  return {
    ...rest,
    fleet: others === null ? null : writtenFleet(others),
    listen: {
      source: listen.source,
      group: listen.group,
      interfaces: listen.interfaces,
      spa: listen.spa.map((port) => `${port}/udp`),
      clock_skew: formatDuration(listen.clockSkew),
      queues:
        listen.queues.first === listen.queues.last
          ? listen.queues.first
          : `${listen.queues.first}-${listen.queues.last}`,
    },
    doors: Object.fromEntries(
      doors.map(
        ({
          name,
          knock,
          gap,
          flags: rule,
          opens,
          close,
          grant,
          forward,
          onOpen,
          onClose,
          within,
          for: length,
          tolerate,
          codeSteps,
          uses,
          holders,
          grantMark,
        }) => [
          `${name} `,
          {
            ...('oneTime' in knock ? { one_time: knock.oneTime } : { knock: knock.map(formatPort) }),
            within: within === null ? null : formatDuration(within),
            gap: { min: formatDuration(gap.min), max: formatDuration(gap.max) },
            code_steps: codeSteps,
            tolerate,
            flags: flagText(rule),
            opens: opens.map(formatPortRange),
            for: formatDuration(length),
            close: close.map(formatPort),
            uses,
            holders,
            grant: typeof grant === 'string' ? grant : formatCidr(grant),
            ...(forward === null ? {} : { forward: formatCidr(forward.to), dnat: forward.dnat }),
            grant_mark: grantMark,
            on_open: onOpen,
            on_close: onClose,
          },
        ],
      ),
    ),
    decoys: decoys === 'all' ? decoys : decoys.map(formatPortRange),
    allow: allow.map(formatPortRange),
    bans: {
      strikes: bans.strikes,
      within: formatDuration(bans.within),
      for: formatDuration(bans.for),
      escalate: bans.escalate,
      max: formatDuration(bans.max),
      rate: { packets: bans.rate.packets, per: formatDuration(bans.rate.per) },
      never: bans.never.map(formatCidr),
      strike_on_service: bans.strikeOnService,
      code: { wrong: bans.code.wrong, per: formatDuration(bans.code.per) },
      enforce: bans.enforce,
      scope: bans.scope,
      cut: bans.cut,
      limit: bans.limit,
    },
    log: { level: log.level, file: log.file, max_size: formatSize(log.maxSize), files: log.files },
  };
}

/** YAML of it; names of doors had a blank behind them so that JavaScript keeps their order. */
function yamlOf(value: Config): string {
  return stringify(written(value)).replaceAll(/^( {2})"?([a-z0-9_-]+) "?:/gm, '$1"$2":');
}

describe('Any configuration', () => {
  it('that is sound comes back from its text as it was', () => {
    fc.assert(
      fc.property(config, (value) => {
        const text = yamlOf(value);
        const parsed = parseConfig(text, 'f.yaml');
        if (!parsed.ok) throw new Error(`${parsed.faults.map(formatFault).join('\n')}\n${text}`);
        expect(parsed.config).toEqual(value);
      }),
      { numRuns: 100 },
    );
  });

  it('with one key changed at random is sound or has a fault, and says nothing about what is sound', () => {
    const junk = fc.oneof(
      fc.constantFrom(
        '',
        '~',
        '[]',
        '{}',
        '-1',
        '1e9',
        'yes',
        '*x',
        '&x',
        '!t',
        '"',
        "'",
        '|',
        '[',
        '{',
        '%',
        '@',
        '1s',
        '/x',
        '0',
        '65536',
        '7:udp',
        'null',
        ': ',
        '- ',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
    );
    fc.assert(
      fc.property(config, fc.nat(), junk, (value, at, instead) => {
        const lines = yamlOf(value).split('\n');
        const index = at % lines.length;
        lines[index] = (lines[index] ?? '').replace(/(:|-) .*$|:$/, (whole) => `${whole[0]} ${instead}`);
        expectJudged(lines.join('\n'));
      }),
      { numRuns: 200 },
    );
  });
});

/** Parsing never throws; faults stand in the text and are one line each. */
function expectJudged(text: string): void {
  const parsed = parseConfig(text, 'f.yaml');
  if (parsed.ok) return;
  expect(parsed.faults.length).toBeGreaterThan(0);
  const lines = text.split('\n');
  for (const fault of parsed.faults) {
    expect(fault.line).toBeGreaterThanOrEqual(1);
    expect(fault.line).toBeLessThanOrEqual(lines.length);
    expect(fault.column).toBeGreaterThanOrEqual(1);
    expect(fault.column).toBeLessThanOrEqual((lines[fault.line - 1] ?? '').length + 1);
    expect(fault.key).not.toBe('');
    expect(formatFault(fault)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
  }
}

describe('Any text at all', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'doors:',
      ' ssh:',
      '  knock: ',
      '[1, 2]',
      '\n',
      ' ',
      '  ',
      '- ',
      ': ',
      '? ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '#',
      '&a ',
      '*a',
      '!!str ',
      '!x ',
      '|',
      '>',
      '"',
      "'",
      '%YAML 1.1',
      '---',
      '...',
      '\t',
      '\r',
      '\r\n',
      '\ufeff',
      '<<',
      '~',
      'null',
      'true',
      '0x10',
      '1e3',
      '\\',
      '@',
      '`',
      'allow',
      'decoys: all',
      'bans: {',
    ),
    fc.string({ unit: 'binary', maxLength: 5 }),
  );
  it('is a configuration or has faults that stand in it', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => expectJudged(pieces.join(''))),
      { numRuns: 2000 },
    );
  });

  it('of any YAML value is a configuration or has faults that stand in it', () => {
    fc.assert(
      fc.property(
        fc.object({
          key: fc.constantFrom('doors', 'a', 'knock', 'opens', 'bans', 'gap', 'max', 'listen', 'log', 'x'),
          maxDepth: 4,
        }),
        (value) => expectJudged(stringify(value)),
      ),
      { numRuns: 1000 },
    );
  });
});

describe('Any time and size', () => {
  it('comes back from its text', () => {
    fc.assert(
      fc.property(time(0, 2_147_483_000), fc.integer({ min: 0, max: 999_999_999 }), (value, bytes) => {
        expect(parseDuration(formatDuration(value))).toBe(value);
        expect(parseSize(formatSize(bytes))).toBe(bytes);
      }),
    );
  });
});
