import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { ofFiles } from '../../../src/doctor/files.ts';
import { parseUnit } from '../../../src/doctor/unit.ts';

const UNIT = readFileSync(new URL('../../../deploy/systemd/nfknock.service', import.meta.url), 'utf8');

/** What is found of a command that a door runs, by the unit's user or by root. */
function found(program: string, user: string): readonly string[] {
  const parsed = parseConfig(
    `doors: { ssh: { knock: [7311/tcp, 4711/tcp], opens: [22/tcp], on_open: [${program}] } }\n`,
    'x',
  );
  if (!parsed.ok) return expect.unreachable();
  return ofFiles(parsed.config, parseUnit(UNIT.replace(/^User=.*$/m, `User=${user}`)))
    .filter(({ code }) => code === 'hook-unrunnable')
    .map(({ problem }) => problem);
}

it.each(['/bin/su', '/bin/mount'])(
  '%s may be run by everybody, and does nothing for who is not root',
  (program) => {
    expect(found(program, 'nobody')).toEqual([expect.stringContaining(`${program} needs root`)]);
    expect(found(program, 'root')).toEqual([]);
    expect(found('/bin/cat', 'nobody')).toEqual([]);
  },
);
