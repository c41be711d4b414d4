import { expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';

/* What sequences that take one-time codes may not be. */

const RANGES = '1????/tcp, 2????/tcp';

function faultsOf(text: string): string {
  const parsed = parseConfig(text, 'f.yaml');
  return parsed.ok ? '' : JSON.stringify(parsed);
}

function doors(...sequences: readonly string[]): string {
  const entries = sequences.map((knock, at) => `d${at}: { knock: [${knock}], opens: [${1022 + at}/tcp] }`);
  return `decoys: all\ndoors: { ${entries.join(', ')} }`;
}

test.each([
  ['a digit first', doors('1????/tcp, 2????/tcp'), 'is a digit of a code'],
  ['four digits', doors('7000/tcp, 1????/tcp'), 'take 4 digits of a code'],
  ['a range twice', doors('7000/tcp, 1????/tcp, 1????/tcp'), 'one port is two of these knocks'],
  ['a service in a range', doors(`7000/tcp, ${RANGES}`).replace('1022/tcp', '10022/tcp'), 'in it, which is'],
  ['the same sequence twice', doors(`7000/tcp, ${RANGES}`, `7000/tcp, ${RANGES}`), 'door \\"d0\\"'],
  [
    'one that begins with another',
    doors(`7000/tcp, ${RANGES}`, `7000/tcp, ${RANGES}, 9000/udp`),
    'door \\"d0\\"',
  ],
  [
    'one that another begins with',
    doors(`7000/tcp, ${RANGES}, 9000/udp`, `7000/tcp, ${RANGES}`),
    'door \\"d0\\"',
  ],
])('%s is refused', (_, text, said) => {
  expect(faultsOf(text)).toContain(said);
});

test('the same ranges after another first knock are taken', () => {
  expect(faultsOf(doors(`7000/tcp, ${RANGES}`, `7001/tcp, ${RANGES}`))).toBe('');
});
