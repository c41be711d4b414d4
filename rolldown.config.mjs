import { licences } from './scripts/licences.mjs';

// The program as it is delivered: what `tsc` has made, with the libraries that are JavaScript alone, in few files. A
// start reads some ten files and not four hundred, which takes half the time. What is native, and what few need, is
// found in node_modules when it runs. The files lie as deep as those that they are made of (dist/<room>/), since some
// look for a file beside the rooms.
export default {
  input: { nfknock: 'dist/cli/main.js' },
  platform: 'node',
  // The last comes with prom-client; the Redis client asks for it where it is told to measure, which it is not.
  external: ['better-sqlite3', '@nfknock/nfqueue', 'prom-client', '@opentelemetry/api'],
  plugins: [licences('LICENCES.txt')],
  output: {
    dir: 'dist/bin',
    cleanDir: true,
    format: 'esm',
    sourcemap: true,
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
  },
};
