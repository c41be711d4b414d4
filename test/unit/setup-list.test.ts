import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Call,
  callingFiles,
  candidatesIn,
  type Debian,
  readDebian,
  startedBy,
} from '../support/programs.ts';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* A program that happens to be at hand hides nothing: what tests and scripts call is in the list of scripts/setup.sh. */

const SETUP = readFileSync(join(ROOT, 'scripts/setup.sh'), 'utf8');
const DOCKERFILE = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const INSTALLED = listsIn(SETUP, /PACKAGES=\(\n([\s\S]*?)\n\)/g);
/** What runs without root. */
const UNIT_TESTS = /^test\/unit\/.*\.ts$/;
/** What the stage `build` begins with and adds. */
const OF_NODE_IMAGE = ['python3', 'make', 'g++'];
/** Programs that a unit test looks for, and says so where they are missing. */
const LOOKED_FOR = ['chromium', 'fish', 'promtool', 'tmux', 'zsh'];
/** Whoever builds brings them along. */
const BROUGHT = ['node', 'npm', 'npx'];
/** Words of sentences and of other programs' command lines that are names of programs too. */
const WORDS = ['zstd', 'xz', 'route', 'time', 'look', 'file', 'write', 'prove', 'expect'];

function listsIn(text: string, pattern: RegExp): readonly string[] {
  return [...text.matchAll(pattern)].flatMap(([, list = '']) => list.split(/\s+/)).filter(Boolean);
}

/** What a script installs itself before it goes on, or looks for and does without. */
function ownOf(text: string): readonly string[] {
  return listsIn(text, /(?:NEEDED=|wanted\+=)\(([^)]*)\)/g).concat(
    listsIn(text, /\bapt-get\b[^\n]*\binstall ([^\n>"]*)/g),
    listsIn(text, /\bcommand -v ([\w-]+)/g),
  );
}

const FILES = callingFiles().map((path) => ({ path, calls: candidatesIn(path) }));

/** Calls of programs that are here, but that none of these packages brings. */
function unexplained(calls: readonly Call[], wanted: readonly string[], debian: Debian): readonly string[] {
  const brought = debian.closure(wanted);
  return calls
    .filter(({ program }) => !BROUGHT.includes(program) && !WORDS.includes(program))
    .filter(({ program }) => debian.programs.get(program)?.some((each) => brought.has(each)) === false)
    .filter(({ program }) => !wanted.includes(program))
    .map(({ program, file }) => `${program}: called by ${file}`);
}

describe('the list of scripts/setup.sh', () => {
  it('brings every program that tests and scripts call', () => {
    const debian = readDebian();
    // Other scripts are parts of these.
    const ofGuest = ['guest', 'appliance'].flatMap((name) =>
      ownOf(readFileSync(join(ROOT, `scripts/${name}.sh`), 'utf8')),
    );
    const missing = FILES.flatMap(({ path, calls }) => {
      const script = !/\.(ts|mjs)$/.test(path);
      const own = script ? [...ownOf(readFileSync(path, 'utf8')), ...ofGuest] : [];
      return unexplained(calls, [...INSTALLED, ...own], debian);
    });
    expect(missing).toEqual([]);
  });

  it('has its like in the image that runs the unit tests', () => {
    const stage = /^FROM build AS unit\n([\s\S]*?)(?=^FROM |(?![\s\S]))/m.exec(DOCKERFILE)?.[1] ?? '';
    const brought = [...ownOf(stage.replaceAll('\\\n', '')), ...OF_NODE_IMAGE];
    expect(brought).toContain('openssh-client');
    const units = callingFiles().filter((path) => UNIT_TESTS.test(relative(ROOT, path)));
    const calls = [...units.flatMap(startedBy), ...candidatesIn(join(ROOT, 'deploy/nfknock-knock.sh'))];
    expect(calls.map(({ program }) => program)).toEqual(expect.arrayContaining(['fwknop', 'openssl', 'nc']));
    const missing = unexplained(calls, brought, readDebian());
    expect(missing.filter((line) => !LOOKED_FOR.includes(line.replace(/:.*/, '')))).toEqual([]);
  });

  it('has its like in the image that builds the program: what `npm run build` names is copied there', () => {
    const stage = /^FROM \S+ AS build\n([\s\S]*?)(?=^FROM )/m.exec(DOCKERFILE)?.[1] ?? '';
    const copied = [...stage.matchAll(/^COPY (.*) \S+$/gm)].flatMap(([, names = '']) => names.split(' '));
    const { build } = (
      JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { build: string } }
    ).scripts;
    const configurations = ['rolldown.config.mjs', ...(build.match(/[\w.-]+\.(?:mjs|json)\b/g) ?? [])];
    expect(configurations).toContain('rolldown.client.mjs');
    // And what those read beside them.
    const read = configurations
      .filter((name) => name.endsWith('.mjs'))
      .flatMap((name) => [...readFileSync(join(ROOT, name), 'utf8').matchAll(/(?:join\(ROOT, ')([^']+)'/g)])
      .map(([, name = '']) => name);
    for (const name of [...configurations, ...read])
      expect(
        copied.some((each) => name === each || name.startsWith(`${each}/`)),
        name,
      ).toBe(true);
  });

  it('has its like in the images: what a script imports is copied there with it', () => {
    const copied = [...DOCKERFILE.matchAll(/^COPY (?!--from)(.*) \S+$/gm)]
      .flatMap(([, names = '']) => names.split(' '))
      .filter((name) => /^scripts\/.*\.mjs$/.test(name));
    expect(copied).toContain('scripts/production.mjs');
    const imported = copied.flatMap((name) =>
      [...readFileSync(join(ROOT, name), 'utf8').matchAll(/ from '\.\/([\w-]+\.mjs)'/g)].map(
        ([, other]) => `scripts/${other}`,
      ),
    );
    for (const name of imported) expect(copied, name).toContain(name);
  });

  it('is read, and so are the calls', () => {
    expect(INSTALLED).toEqual(expect.arrayContaining(['nftables', 'knockd', 'fail2ban', 'dbus-daemon']));
    const called = FILES.flatMap(({ calls }) => calls.map(({ program }) => program));
    expect(called).toEqual(
      expect.arrayContaining([
        'nft',
        'knock',
        'nmap',
        'tcpdump',
        'tcpreplay',
        'socat',
        'zsh',
        'firewalld',
        'ssh',
      ]),
    );
  });

  it.each([
    ['test.ts', "await net.server.exec(['nft', 'list', 'ruleset']);"],
    ['test.ts', "spawnSync('nft', ['list', 'ruleset']);"],
    ['test.ts', 'await sh(place, `ip link; nft list ruleset`);'],
    ['run.sh', 'if [ -n "$x" ]; then LC_ALL=C nft list ruleset; fi'],
    ['run.sh', 'rules="$(nft list ruleset | wc -l)"'],
  ])('is said not to bring what only happens to be there (%s: %s)', (name, text) => {
    const folder = temporaryFolder();
    const file = join(folder, name);
    writeFileSync(file, text);
    const debian = machineWith(folder);
    const missing = (...wanted: readonly string[]): readonly string[] =>
      unexplained(candidatesIn(file), wanted, debian).map((line) => line.replace(/:.*/, ''));
    expect(missing()).toEqual(['nft']);
    expect(missing('iptables')).toEqual(['nft']);
    expect(missing('nftables')).toEqual([]);
    // By a dependency, by the second of two, by what stands in for a name.
    for (const other of ['needs-it', 'needs-one', 'needs-name']) expect(missing(other)).toEqual([]);
  });
});

/** A machine that has nft, by a link as Debian's alternatives make them, and iptables. */
function machineWith(folder: string): Debian {
  const bin = join(folder, 'bin');
  mkdirSync(join(folder, 'info'), { recursive: true });
  mkdirSync(bin);
  const entry = (name: string, rest = ''): string =>
    `Package: ${name}\nStatus: install ok installed\nPriority: optional\n${rest}`;
  writeFileSync(
    join(folder, 'status'),
    [
      entry('nftables', 'Provides: firewall (= 1)\n'),
      entry('iptables'),
      entry('needs-it', 'Depends: nftables (>= 1.0), libc6\n'),
      entry('needs-one', 'Pre-Depends: nowhere | nftables:any\n'),
      entry('needs-name', 'Depends: firewall\n'),
    ].join('\n'),
  );
  for (const [name, program] of [
    ['nftables', 'nft.real'],
    ['iptables', 'iptables'],
  ] as const) {
    writeFileSync(join(bin, program), '');
    writeFileSync(join(folder, 'info', `${name}.list`), `/.\n${bin}/${program}\n`);
  }
  symlinkSync(join(bin, 'nft.real'), join(bin, 'nft'));
  return readDebian(folder, [bin]);
}
