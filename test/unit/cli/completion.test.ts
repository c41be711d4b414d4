import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { built } from './built.ts';
import { cannedDaemon, folder, nfknock } from './canned.ts';

/** Milliseconds: each case starts a shell and the program more than once. */
const TIMEOUT = 30_000;
let script = '';

beforeAll(async () => {
  script = (await nfknock(['completion', 'bash'])).out;
}, 60_000);

const { PATH = '' } = process.env;
const hasFish = spawnSync('fish', ['--version']).status === 0;
const hasZsh = spawnSync('zsh', ['--version']).status === 0;

/** A folder for PATH in which `nfknock` is the compiled program. */
function programFolder(): string {
  const place = join(folder(), 'bin');
  mkdirSync(place);
  writeFileSync(
    join(place, 'nfknock'),
    `#!/bin/sh\nexec ${process.execPath} ${built()}/bin/nfknock.js "$@"\n`,
  );
  chmodSync(join(place, 'nfknock'), 0o755);
  return place;
}

async function run(
  shell: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  const child = spawn(shell, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  return (await child.stdout.setEncoding('utf8').toArray()).join('');
}

describe('the completion of bash', { timeout: TIMEOUT }, () => {
  it.each([
    ['gr', 'grant grants'],
    ['grant ', 'ssh web'],
    ['grant --for 1h ', 'ssh web'],
    ['grant ssh ', ''],
    ['grant --r', '--reason'],
    ['unban ', '203.0.113.9 2001:db8:0:1::/64'],
    ['revoke 198', '198.51.100.7'],
    ['knock --door ', 'ssh web'],
    ['completion ', 'bash zsh fish'],
    ['rules ', 'print install confirm roll-back remove'],
    ['status -', '--json -c --config -h --help'],
    ['check -c /etc/hostn', '/etc/hostname'],
    ['check --config=/etc/hostn', '/etc/hostname'],
    ['-', '-c --config -h --help -V --version'],
    ['-c /etc/hostn', '/etc/hostname'],
    ['-c /etc/hostname gr', 'grant grants'],
    ['-c /etc/hostname grant --for 1h ', 'ssh web'],
    // The shell keeps what stands before the last colon.
    ['unban 2001:db8:', '0:1::/64'],
    ['ban 2001:db8::1 --f', '--for'],
    ['revoke 2001:db8::1 ', 'ssh web'],
  ])('of "nfknock %s" is: %s', async (line, expected) => {
    const { path } = await cannedDaemon();
    const typed = `nfknock ${line}`;
    const ask = `${script}\nCOMP_WORDBREAKS=' =:'; COMP_LINE='${typed}'; COMP_POINT=${typed.length}; compopt() { :; }; _nfknock; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const said = await run('bash', ['--norc', '-c', ask], {
      PATH: `${programFolder()}:${PATH}`,
      NFKNOCK_CONTROL: path,
    });
    expect(said.trim().split('\n').sort()).toEqual(expected.split(' ').sort());
  });
});

/** What answers as nfknock would, and is none: it has doors, sources and bans that a shell would run. */
function hostileFolder(mark: string): string {
  const place = join(folder(), 'hostile');
  mkdirSync(place);
  const texts = [
    `$(touch ${mark}.1)`,
    `\`touch ${mark}.2\``,
    `x;touch ${mark}.3`,
    `a$(touch ${mark}.4)`,
    '~root',
    '*',
    '-rf',
  ];
  const fields = ['name', 'source', 'target'].flatMap((field) =>
    texts.map((text) => `      ${JSON.stringify(field)}: ${JSON.stringify(text)},`),
  );
  const good = ['      "name": "good",', '      "source": "192.0.2.1",', '      "target": "2001:db8::/64"'];
  writeFileSync(join(place, 'answer'), [...fields, ...good, ''].join('\n'));
  writeFileSync(join(place, 'nfknock'), `#!/bin/sh\nexec cat ${join(place, 'answer')}\n`);
  chmodSync(join(place, 'nfknock'), 0o755);
  return place;
}

/** Whether anything that a completed text says was run. */
function ran(mark: string): readonly string[] {
  return readdirSync(dirname(mark)).filter((name) => name.startsWith(basename(mark)));
}

describe('what completes a line', { timeout: TIMEOUT }, () => {
  // Against: a daemon, or what stands in its place, that answers with names a shell would run when TAB is pressed
  // by: completion expands nothing and offers only what can be a name
  it.each([
    ['grant ', 'good'],
    ['grant g', 'good'],
    ['knock --door ', 'good'],
    ['unban ', '2001:db8::/64'],
    ['revoke ', '192.0.2.1'],
    ['grant $(touch MARK.5', ''],
    ['check -c $(touch MARK.6)/', ''],
    ['$(touch MARK.7', ''],
  ])('runs nothing in bash and offers no more than a name: "nfknock %s"', async (line, expected) => {
    const mark = join(folder(), 'mark');
    const typed = `nfknock ${line.replace('MARK', mark)}`;
    const ask = `${script}\nCOMP_WORDBREAKS=' ='; COMP_LINE="$TYPED"; COMP_POINT=\${#COMP_LINE}; compopt() { :; }; _nfknock; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const said = await run('bash', ['--norc', '-c', ask], {
      PATH: `${hostileFolder(mark)}:${PATH}`,
      TYPED: typed,
    });
    expect(said.trim()).toBe(expected);
    expect(ran(mark)).toEqual([]);
  });

  it('completes a file whose name has a space or a star as that one file', async () => {
    const place = folder();
    for (const name of ['one two.yaml', 'o*.yaml', 'other.yaml']) writeFileSync(join(place, name), '');
    const ask = `${script}\nCOMP_LINE="nfknock check -c ${place}/o"; COMP_POINT=\${#COMP_LINE}; compopt() { :; }; _nfknock; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const said = await run('bash', ['--norc', '-c', ask], {});
    expect(said.trim().split('\n').sort()).toEqual(
      ['o*.yaml', 'one two.yaml', 'other.yaml'].map((name) => join(place, name)),
    );
  });
});

describe.skipIf(!hasZsh)('the completion of zsh', { timeout: TIMEOUT }, () => {
  it('is a script that zsh takes, and names every command', async () => {
    const { out: zsh } = await nfknock(['completion', 'zsh']);
    const ask = `autoload -Uz compinit; compinit -D -u; ${zsh}\necho $_comps[nfknock]`;
    expect(await run('zsh', ['-f', '-c', ask], {})).toBe('_nfknock\n');
    for (const name of ['run', 'grant', 'watch', 'completion']) expect(zsh).toContain(`'${name}:`);
    // With a space or with =.
    expect(zsh).toContain("'--for=[how long");
  });

  it.each([
    ['doors', 'good'],
    ['granted', '192.0.2.1'],
    ['banned', '2001:db8::/64'],
  ])('runs nothing and offers no more than what can be a name: %s', async (kind, expected) => {
    const { out: zsh } = await nfknock(['completion', 'zsh']);
    const mark = join(folder(), 'mark');
    // What is offered is in `found`, whoever reads it; zsh itself quotes what it puts on the line.
    const ask = `compdef() { :; }; ${zsh}\ncompadd() { print -rl -- $found }; config=(); _nfknock_${kind}`;
    const said = await run('zsh', ['-f', '-c', ask], { PATH: `${hostileFolder(mark)}:${PATH}` });
    expect(said).toBe(`${expected}\n`);
    expect(ran(mark)).toEqual([]);
  });
});

describe.skipIf(!hasFish)('the completion of fish', { timeout: TIMEOUT }, () => {
  async function offered(line: string, environment: Readonly<Record<string, string>>): Promise<string> {
    const { out } = await nfknock(['completion', 'fish']);
    const file = join(folder(), 'nfknock.fish');
    writeFileSync(file, out);
    const said = await run('fish', ['-N', '-c', `source ${file}; complete -C "$TYPED"`], {
      ...environment,
      TYPED: `nfknock ${line}`,
    });
    // After a tab stands what it is. Since fish 4 worse matches are listed too, which it does not put on the line beside
    // words that begin with what is typed.
    const words = said.split('\n').map((each) => each.split('\t')[0] ?? '');
    const typed = line.split(' ').at(-1) ?? '';
    const best = words.filter((word) => word.startsWith(typed));
    return (best.length > 0 ? best : words).filter(Boolean).sort().join(' ');
  }

  it.each([
    ['gr', 'grant grants'],
    ['grant ', 'ssh web'],
    ['grant --for 1h ', 'ssh web'],
    ['grant ssh ', ''],
    ['grant --r', '--reason'],
    ['unban ', '2001:db8:0:1::/64 203.0.113.9'],
    ['revoke 198', '198.51.100.7'],
    ['knock --door ', 'ssh web'],
    ['completion ', 'bash fish zsh'],
    ['check -c /etc/hostn', '/etc/hostname'],
    ['-c /etc/hostname gr', 'grant grants'],
    ['-c /etc/hostname grant --for 1h ', 'ssh web'],
  ])('of "nfknock %s" is: %s', async (line, expected) => {
    const { path } = await cannedDaemon();
    const environment = { PATH: `${programFolder()}:${PATH}`, NFKNOCK_CONTROL: path };
    expect(await offered(line, environment)).toBe(expected);
  });

  it.each([
    ['grant ', 'good'],
    ['knock --door ', 'good'],
    ['unban ', '2001:db8::/64'],
    ['revoke ', '192.0.2.1'],
    ['grant (touch MARK.5', ''],
  ])('runs nothing and offers no more than a name: "nfknock %s"', async (line, expected) => {
    const mark = join(folder(), 'mark');
    const environment = { PATH: `${hostileFolder(mark)}:${PATH}` };
    expect(await offered(line.replace('MARK', mark), environment)).toBe(expected);
    expect(ran(mark)).toEqual([]);
  });
});
