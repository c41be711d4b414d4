import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { rulesFor } from '../../../src/firewall/rules/rules.ts';
import { parseCidr } from '../../../src/packet/cidr.ts';
import { configOf } from '../../support/configs.ts';
import { CASES } from './cases.ts';

const ANSWERS = {
  networks: ['192.0.2.0/24', '198.51.100.64/26', '2001:db8:a::/64', 'fe80::/64'].flatMap(
    (text) => parseCidr(text) ?? [],
  ),
  ports: { first: 32_768, last: 60_999 },
};

/** Set, the files are written instead of compared; to be read before they are kept. */
const WRITE = process.env['GOLDEN_WRITE'] === '1';

describe.each(Object.entries(CASES))('the rules of the configuration "%s"', (name, given) => {
  it.each([4, 6] as const)('are, for IPv%i, those that were agreed on', (family) => {
    const file = join(import.meta.dirname, `${name}.v${family}`);
    const { text, sets } = rulesFor(configOf(given), family, undefined, ANSWERS);
    const lines = sets.map((set) => `# ${set.type} ${set.name} family=${set.family} limit=${set.limit}\n`);
    const whole = `${lines.join('')}${text}`;
    if (WRITE) writeFileSync(file, whole);
    expect(whole).toBe(readFileSync(file, 'utf8'));
  });
});
