import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../support/root.ts';

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
}
interface Bom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

const LONG = 240_000;
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
  config: { node: string };
  dependencies: Record<string, string>;
};

function bom(): Bom {
  const text = execFileSync(process.execPath, [join(ROOT, 'scripts/bom.mjs')], { encoding: 'utf8' });
  return JSON.parse(text) as Bom;
}

/** What every reader of such a file takes for granted. */
function expectSound({ metadata, components, dependencies }: Bom): void {
  const refs = [metadata.component, ...components].map((each) => each['bom-ref']);
  expect(new Set(refs).size).toBe(refs.length);
  for (const { ref, dependsOn } of dependencies)
    expect(refs).toEqual(expect.arrayContaining([ref, ...dependsOn]));
}

test('the parts of a package are named with their versions, and the Node.js that it carries', {
  timeout: LONG,
}, () => {
  const made = bom();
  expectSound(made);
  expect(made.metadata.component).toMatchObject({ name: 'nfknock', version: manifest.version });
  const named = made.components.map(({ name, version }) => `${name}@${version}`);
  const wanted = Object.entries(manifest.dependencies).map((each) => each.join('@'));
  expect(named).toEqual(expect.arrayContaining([...wanted, `nodejs@${manifest.config.node}`]));
  const beside = execFileSync(process.execPath, [join(ROOT, 'scripts/production.mjs')], { encoding: 'utf8' });
  const names = made.components.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([...beside.trim().split('\n'), 'echarts', 'zrender', 'tslib']),
  );
  expect(names).not.toContain('vitest');
});
