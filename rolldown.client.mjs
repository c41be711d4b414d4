import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { licences } from './scripts/licences.mjs';

// The client, `nfknock knock`, as one file that runs with plain `node` (dist/nfknock-client.mjs), and around it the
// folder of the npm package nfknock-client (dist/nfknock-client/). It is made of the same sources as the program.

const ROOT = import.meta.dirname;
const NAME = 'nfknock-client.mjs';
const { version, license } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** The package's folder: what stands in client/, and what was bundled. */
const packaged = {
  name: 'packaged',
  writeBundle({ dir }) {
    const folder = join(dir, 'nfknock-client');
    mkdirSync(folder, { recursive: true });
    const own = JSON.parse(readFileSync(join(ROOT, 'client/package.json'), 'utf8'));
    const manifest = { ...own, version, license, engines: { node: '>=20' } };
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    for (const name of [NAME, 'nfknock-client.LICENCES.txt']) copyFileSync(join(dir, name), join(folder, name));
    copyFileSync(join(ROOT, 'client/README.md'), join(folder, 'README.md'));
    copyFileSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
  },
};

export default {
  input: { 'nfknock-client': 'dist/cli/client.js' },
  platform: 'node',
  transform: { define: { 'process.env.NFKNOCK_CLIENT_VERSION': JSON.stringify(version) } },
  plugins: [licences('nfknock-client.LICENCES.txt'), packaged],
  output: {
    dir: 'dist',
    format: 'esm',
    sourcemap: true,
    codeSplitting: false,
    entryFileNames: NAME,
  },
};
