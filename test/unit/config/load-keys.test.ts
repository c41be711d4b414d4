import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { editKeys, readKeys } from '../../../src/cli/keys/edit-key-file.ts';
import { formatFault } from '../../../src/config/fault.ts';
import { withKey, withoutKey } from '../../../src/config/key-file-edit.ts';
import { loadKeys } from '../../../src/config/load-keys.ts';
import { configOf } from '../../support/configs.ts';
import { temporaryFolder } from '../../support/scratch.ts';

const SECRET = `base64:${Buffer.alloc(32, 7).toString('base64')}`;
const FILE = `realm: "${SECRET}"\nkeys:\n  ada: { secret: "${SECRET}", doors: [ssh], address: required }\n`;

let path: string;
beforeEach(() => {
  path = join(temporaryFolder(), 'keys.yaml');
});

/** What is wrong with the file, or how many keys it has and what is to be known of them. */
function said(at = path): string {
  const config = configOf({
    listen: { spa: ['62210/udp'] },
    keys: at,
    doors: { ssh: { knock: 'spa', opens: [22] } },
  });
  const loaded = loadKeys(config);
  if (!loaded.ok) return loaded.faults.map(formatFault).join('\n');
  return [`${loaded.file.keys.length} keys`, ...loaded.warnings.map(({ code }) => code)].join(' ');
}
const write = (text: string | Uint8Array, mode = 0o600): void => {
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
};

describe('The key file', () => {
  it('is read where only its owner can, also by another name', () => {
    write(FILE);
    expect(said()).toBe('1 keys');
    symlinkSync(path, `${path}.link`);
    expect(said(`${path}.link`)).toBe('1 keys');
  });

  it.each([0o604, 0o602, 0o666])('is refused where others can do anything with it (%o)', (mode) => {
    write(FILE, mode);
    expect(said()).toContain('it can be read or changed by others');
    symlinkSync(path, `${path}.link`);
    expect(said(`${path}.link`)).toContain('it can be read or changed by others');
  });

  it('is warned of where a group can', () => {
    write(FILE, 0o640);
    expect(said()).toBe('1 keys key-file-group');
  });

  it('that is a pipe, a folder or a device is refused at once', () => {
    execFileSync('mkfifo', ['-m', '600', path]);
    expect(said()).toContain('it is not a regular file; name the file with the secrets');
    mkdirSync(`${path}.d`, { mode: 0o700 });
    expect(said(`${path}.d`)).toContain('it is not a regular file');
    symlinkSync('/dev/zero', `${path}.zero`);
    expect(said(`${path}.zero`)).toMatch(/not a regular file|by others/);
  });

  it('that is not there, is huge, is no text or no YAML is refused, and nothing of it is repeated', () => {
    expect(said()).toContain('nfknock key new');
    write('');
    truncateSync(path, 2 ** 34);
    expect(said()).toMatch(/bytes/);
    for (const text of [
      `${FILE}\0`,
      Buffer.from([0xff, 0xfe, 0x00, 0x80]),
      'keys: [',
      FILE.replace('ada', 'Ada!'),
    ]) {
      write(text);
      expect(said()).toMatch(/keys\.yaml:/);
      expect(said()).not.toContain(SECRET.slice(7, 20));
    }
  });

  it('that can’t be read says what helps: each reason has its own', () => {
    symlinkSync(path, `${path}.loop`);
    symlinkSync(`${path}.loop`, path);
    expect(said()).toContain('the symbolic link leads to itself; name the file itself with "keys"');
    rmSync(path);
    expect(said()).toContain('there is no such file; make it: nfknock key new');
    write(FILE);
    expect(said(`${path}/x`)).toContain('a part of its path is not a directory');
    expect(said(join(path, '..', 'x'.repeat(300)))).toMatch(/ENAMETOOLONG.*name another with "keys"/);
    truncateSync(path, 30 * 1024 * 1024);
    expect(said()).toMatch(
      /31457280 bytes; write at most 524288 bytes, if it is the file that "keys" is to name/,
    );
    expect(said()).not.toContain('read it');
  });

  it('that an editor has begun with its mark is read all the same, and edited', async () => {
    write(`\ufeff${FILE}`);
    expect(said()).toBe('1 keys');
    const held = readKeys(path);
    expect(held.file.keys.map(({ name }) => name)).toEqual(['ada']);
    await editKeys(path, async ({ text }) => ({ text: withoutKey(text, 'ada') ?? expect.unreachable() }));
    expect(readKeys(path).file).toMatchObject({ keys: [], realms: [{ until: null }] });
    write(`\ufeffkeys:\n  ada: { fwknop: { key: "${SECRET}", hmac: "${SECRET}" }, doors: [ssh] }\n`);
    expect(readKeys(path).file.keys).toHaveLength(1);
  });

  it.each(['__proto__', 'constructor', 'prototype', 'hasownproperty', '__definegetter__'])(
    'may have a key of the name %s: it is a name like others, in the file and out of it',
    (name) => {
      write(FILE.replace('ada', name));
      expect(said()).toBe('1 keys');
      const text = withKey(FILE, name, {
        secret: `base64:${Buffer.alloc(32, 9).toString('base64')}`,
        doors: ['ssh'],
      });
      write(text ?? '');
      expect(said()).toBe('2 keys');
      expect(withoutKey(text ?? '', name)).toBe(withoutKey(withKey(FILE, 'x', { doors: [] }) ?? '', 'x'));
      // As an option or a door it is unknown like any other word.
      write(FILE.replace('doors:', `${name}: 1, doors:`));
      expect(said()).toContain('this is not a known key');
      write(FILE.replace('[ssh]', `[${name}]`));
      expect(said()).toBe('1 keys door-without-key key-without-door');
    },
  );

  it('in which a name stands twice is refused', () => {
    write(`${FILE}  ada: { secret: "${SECRET}", doors: [ssh] }\n`);
    expect(said()).toMatch(/keys\.yaml:4/);
  });

  it('in which two keys are the same secret is refused: which of them opens could not be said', () => {
    write(`${FILE}  ben: { secret: "${SECRET}", doors: [ssh] }\n`);
    expect(said()).toMatch(/keys\.yaml:\d+.*(same|twice|too)/);
  });
});
