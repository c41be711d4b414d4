import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
    ['completion ', 'bash zsh'],
    ['rules ', 'print install remove confirm'],
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

describe.skipIf(!hasZsh)('the completion of zsh', { timeout: TIMEOUT }, () => {
  it('is a script that zsh takes, and names every command', async () => {
    const { out: zsh } = await nfknock(['completion', 'zsh']);
    const ask = `autoload -Uz compinit; compinit -D -u; ${zsh}\necho $_comps[nfknock]`;
    expect(await run('zsh', ['-f', '-c', ask], {})).toBe('_nfknock\n');
    for (const name of ['run', 'grant', 'watch', 'completion']) expect(zsh).toContain(`'${name}:`);
    // With a space or with =.
    expect(zsh).toContain("'--for=[how long");
  });
});
