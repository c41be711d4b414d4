import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { createFleetKept } from '../../../src/state/fleet-kept.ts';
import { built } from '../cli/built.ts';

/** A Map moves all that it holds in one go when it comes to these many, and before to half of it. */
const DOUBLED = 131_072;
const KEYS = Array.from({ length: DOUBLED + 1_000 }, (_, at) => `strikes ${at * 7_919}`);
const ROUNDS = 5;
/** Looking at the clock of the processor takes longer than putting one in. */
const FEW = 64;

/**
 * In a process of its own, since another test's garbage is collected on the same clock. The most that a few of them took of
 * the processor, in milliseconds: the least of some rounds, for garbage is collected.
 */
const MEASURE = `
  const { createFleetKept } = await import(process.argv[1]);
  const keys = Array.from({ length: ${DOUBLED + 1_000} }, (_, at) => 'strikes ' + at * 7_919);
  const used = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1_000; };
  const longest = (begin) => Math.min(...Array.from({ length: ${ROUNDS} }, () => {
    const put = begin();
    let most = 0;
    for (let at = 0; at < keys.length; at += ${FEW}) {
      const begun = used();
      for (const key of keys.slice(at, at + ${FEW})) put(key);
      most = Math.max(most, used() - begun);
    }
    return most;
  }));
  const plain = longest(() => {
    const map = new Map();
    return (key) => map.set(key, { value: '', untold: true });
  });
  const kept = longest(() => {
    const { apply } = createFleetKept();
    return (key) => apply({ change: 'register', key, value: '', untold: true });
  });
  console.log(JSON.stringify({ plain, kept }));
`;

it('keeps nobody waiting while it grows, as a Map does that doubles', () => {
  const module = pathToFileURL(join(built(), 'state/fleet-kept.js')).href;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', MEASURE, module]);
  const { plain, kept } = JSON.parse(String(said)) as { plain: number; kept: number };
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
