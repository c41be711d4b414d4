import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { built } from '../cli/built.ts';

const ROOT = join(import.meta.dirname, '../../..');
let bin = '';
let bundled: readonly string[] = [];

beforeAll(() => {
  bin = join(built(), 'bin');
  const maps = readdirSync(bin).filter((name) => name.endsWith('.map'));
  const sources = maps.flatMap(
    (name) => (JSON.parse(readFileSync(join(bin, name), 'utf8')) as { sources: string[] }).sources,
  );
  const names = sources.flatMap((source) => {
    const inside = relative(join(ROOT, 'node_modules'), resolve(bin, source));
    return /^(?:.*\bnode_modules\/)?((?:@[^/.]+\/)?[^/.@][^/]*)\//.exec(inside)?.[1] ?? [];
  });
  bundled = [...new Set(names)].sort();
}, 120_000);

test('the program brings the licence of every package that is in its bundle', () => {
  expect(bundled.length).toBeGreaterThan(10);
  const text = readFileSync(join(bin, 'LICENCES.txt'), 'utf8');
  const said = [...text.matchAll(/^(\S+) \S+: .*\n=+\n([\s\S]*?)(?=\n\n\S+ \S+: .*\n=+\n|$(?![\s\S]))/gm)];
  expect(said.map(([, name]) => name).sort()).toEqual(bundled);
  for (const [, name, terms = ''] of said) expect(terms.length, name).toBeGreaterThan(400);
});

test('what is in the bundle is not shipped beside it again', () => {
  const shipped = execFileSync(process.execPath, [join(ROOT, 'scripts/production.mjs')], {
    encoding: 'utf8',
  }).trim();
  expect(shipped.split('\n').filter((name) => bundled.includes(name))).toEqual([]);
  expect(shipped.split('\n')).toEqual(
    expect.arrayContaining(['@nfknock/nfqueue', 'better-sqlite3', 'prom-client']),
  );
});

test('the SBOM names every package that is in its bundle', () => {
  const bom = JSON.parse(
    execFileSync(process.execPath, [join(ROOT, 'scripts/bom.mjs')], { encoding: 'utf8' }),
  ) as {
    components: { name: string }[];
  };
  expect(bom.components.map(({ name }) => name)).toEqual(expect.arrayContaining([...bundled]));
}, 240_000);
