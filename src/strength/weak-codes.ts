import type { PortSpec } from '../packet/port.ts';
import { takesCode } from '../policy/codes.ts';
import type { Config, Door } from '../policy/config.ts';
import { CODE_DIGITS, digitsOf } from '../spa/code-template.ts';
import type { Key } from '../spa/key.ts';
import { type Warning, warning } from './warning.ts';

/** People of one door, each of whose codes opens it, above which that is worth a word. */
const PEOPLE_MANY = 10;

/** What makes a door that takes a one-time code easier to guess than it need be. */
export function ofCode(door: Door, steps: readonly PortSpec[], config: Config): readonly Warning[] {
  const digits = digitsOf(steps);
  if (digits === 0) return [];
  const key = `doors.${door.name}.knock`;
  const found: Warning[] = [];
  if (digits < CODE_DIGITS.max) {
    const text = `${digits} digits are quickly guessed from many addresses`;
    found.push(
      warning(
        'code-six-digits',
        key,
        text,
        `take ${CODE_DIGITS.max}, as in [7000/tcp, 1????/tcp, 2????/tcp]`,
      ),
    );
  }
  if (config.decoys !== 'all') {
    const text =
      'only some ports are watched, so a scan finds the fixed knocks, and the code alone is left to guess';
    found.push(warning('code-fixed-knocks', 'decoys', text, 'write "decoys: all"'));
  }
  return found;
}

/** The same where it depends on whose codes open it. */
export function ofCodeKeys({ doors }: Config, keys: readonly Key[]): readonly Warning[] {
  return doors.filter(takesCode).flatMap(({ name }) => {
    const own = keys.filter(({ credential, doors: all }) => credential.kind === 'totp' && all.includes(name));
    if (own.length <= PEOPLE_MANY) return [];
    const text = `the codes of ${own.length} keys open it, so that a guesser needs one try where it would be ${own.length}`;
    return [
      warning(
        'totp-many-people',
        `doors.${name}`,
        text,
        'make a door for each few of them, or give them keys',
      ),
    ];
  });
}
