import { cpuUsage } from 'node:process';
import { expect, it } from 'vitest';
import { createFleetKept } from '../../../src/state/fleet-kept.ts';

/** A Map moves all that it holds in one go when it comes to these many, and before to half of it. */
const DOUBLED = 131_072;
const KEYS = Array.from({ length: DOUBLED + 1_000 }, (_, at) => `strikes ${at * 7_919}`);
const ROUNDS = 5;
/** Looking at the clock of the processor takes longer than putting one in. */
const FEW = 64;

function used(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1_000;
}

/** The most that a few of them took of the processor, in milliseconds: the least of some rounds, for garbage is collected. */
function longest(begin: () => (key: string) => void): number {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const put = begin();
    let most = 0;
    for (let at = 0; at < KEYS.length; at += FEW) {
      const begun = used();
      for (const key of KEYS.slice(at, at + FEW)) put(key);
      most = Math.max(most, used() - begun);
    }
    return most;
  });
  return Math.min(...rounds);
}

it('keeps nobody waiting while it grows, as a Map does that doubles', () => {
  const plain = longest(() => {
    const map = new Map<string, object>();
    return (key) => void map.set(key, { value: '', untold: true });
  });
  const kept = longest(() => {
    const { apply } = createFleetKept();
    return (key) => void apply({ change: 'register', key, value: '', untold: true });
  });
  expect(kept, `a Map ${plain} ms`).toBeLessThan(plain / 4);
});

it('holds what was put into it, however much that is', () => {
  const kept = createFleetKept();
  for (const key of KEYS) kept.apply({ change: 'register', key, value: key, untold: true });
  for (const key of KEYS.slice(1_000)) kept.apply({ change: 'unregister', key });
  expect([...kept.all().registers].length).toBe(1_000);
  expect(kept.changes().length).toBe(1_000);
  const other = createFleetKept();
  other.absorb(kept.all());
  expect(new Map(other.all().registers)).toEqual(new Map(kept.all().registers));
});
