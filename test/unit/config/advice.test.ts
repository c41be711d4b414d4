import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';

/** A file with one key of the top level or of a door beside what is sound. */
function file(key: string, value: string): string {
  const sound = 'knock: [7000, 8000/udp, 9000]';
  if (key === 'knock')
    return `listen: { spa: [62201/udp] }\ndoors: { a: { knock: ${value}, opens: [22] } }\n`;
  return `doors: { a: { ${sound}, opens: [22] } }\n${key.replace('.', ': { ')}: ${value}${key.includes('.') ? ' }' : ''}\n`;
}

function fixOf(key: string, value: string): string {
  const parsed = parseConfig(file(key, value), 'f.yaml');
  if (parsed.ok || parsed.faults.length !== 1) throw new Error(`${key}: ${value} has not one fault`);
  return parsed.faults[0]?.fix ?? '';
}

/** What a fix says to write. */
function written(fix: string): readonly string[] {
  const text = /; write (?:it in brackets: )?(.*)$/.exec(fix)?.[1];
  return text === undefined ? [] : text.replace(/, and let a proxy.*/, '').split(' or ');
}

describe('What a fault says to write', () => {
  const values: readonly (readonly [key: string, value: string, count: number])[] = [
    ['metrics', '127.0.0.1', 2],
    ['metrics', '"::1"', 2],
    ['metrics', '127.0.0.1:0', 2],
    ['metrics', '127.0.0.1:99999', 2],
    ['metrics', '0.0.0.0:9100', 2],
    ['metrics', '9100', 2],
    ['metrics', '"[::]:9100"', 2],
    ['knock', 'SPA', 1],
    ['knock', '"7000,8000:udp"', 1],
    ['knock', '7000', 1],
    ['listen.interfaces', 'eth0', 1],
    ['listen.interfaces', '"eth0, eth1"', 1],
    ['listen.interfaces', 'eth0/wlan0', 0],
    ['listen.spa', '62201/udp', 1],
    ['listen.spa', '62201', 0],
    ['allow', '80', 1],
    ['allow', '"80/tcp 443"', 1],
    ['allow', 'all', 0],
    ['allow', '70000', 0],
    ['bans.never', '10.0.0.0/8', 1],
    ['bans.never', '10.0.0.1/8', 0],
    ['bans.never', 'localhost', 0],
  ];
  it.each(values)('%s: %s is taken', (key, value, count) => {
    const found = written(fixOf(key, value));
    expect(found).toHaveLength(count);
    for (const each of found)
      expect(parseConfig(file(key, each.includes(':') ? `"${each}"` : each), 'f.yaml')).toMatchObject({
        ok: true,
      });
  });
});

it.each(['127.0.0.1', '"::1"', '127.0.0.1:0'])('metrics: %s has no port of its own', (value) => {
  expect(written(fixOf('metrics', value))[1]).toBe('127.0.0.1:9477');
});
