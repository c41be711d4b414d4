import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
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

function bom(...options: string[]): Bom {
  const text = execFileSync(process.execPath, [join(ROOT, 'scripts/bom.mjs'), ...options], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
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

/** What scripts/image.sh asks of an image, as it is told. */
function told(...lines: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-bom-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'inside');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
const IMAGE_ID = 'a1'.repeat(32);
const INSIDE = [`image sha256:${IMAGE_ID}`, 'os debian 12', 'node 24.19.0'];

test('the image names the system and the Node.js inside it, and the program with its parts', {
  timeout: LONG,
}, () => {
  const file = told(
    ...INSIDE,
    'deb libstdc++6 12.2.0-14+deb12u1 amd64 gcc-12',
    'deb ipset 1:7.17-1 amd64 ipset',
  );
  const made = bom('--image', file);
  expectSound(made);
  expect(made.metadata.component).toMatchObject({
    type: 'container',
    version: manifest.version,
    hashes: [{ alg: 'SHA-256', content: IMAGE_ID }],
  });
  const named = made.components.map(({ name, version }) => `${name}@${version}`);
  expect(named).toEqual(
    expect.arrayContaining([`nfknock@${manifest.version}`, 'debian@12', 'libstdc++6@12.2.0-14+deb12u1']),
  );
  expect(named.filter((each) => each.startsWith('nodejs@'))).toEqual(['nodejs@24.19.0']);
  expect(made.components).toContainEqual(
    expect.objectContaining({
      // Holes are told by the name of the source.
      purl: 'pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12',
    }),
  );
  expect(made.components).toContainEqual(
    expect.objectContaining({ purl: 'pkg:deb/debian/ipset@1:7.17-1?arch=amd64&distro=debian-12' }),
  );
  const reached = new Set([made.metadata.component['bom-ref']]);
  for (const ref of reached)
    for (const next of made.dependencies.find((each) => each.ref === ref)?.dependsOn ?? []) reached.add(next);
  expect([...reached].sort()).toEqual(
    [made.metadata.component, ...made.components].map((each) => each['bom-ref']).sort(),
  );
});

test.each([
  ['no package of the system', INSIDE],
  ['no system', [...INSIDE.filter((line) => !line.startsWith('os')), 'deb ipset 7.17-1 amd64 ipset']],
  ['no Node.js', [...INSIDE.slice(0, 2), 'deb ipset 7.17-1 amd64 ipset']],
])('an image that tells of %s has no list of its parts', { timeout: LONG }, (_what, lines) => {
  expect(() => bom('--image', told(...lines))).toThrow(/names no package|has 0 lines/);
});
