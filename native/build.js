#!/usr/bin/env node
// Builds build/Release/nfqueue.node with node-gyp, unless it is newer than everything it is made of.
// With --if-possible (npm's install script) a machine without a compiler is told so, and is no error.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const here = import.meta.dirname;
const built = join(here, 'build/Release/nfqueue.node');
const sources = join(here, 'src');

/** The directory above include/node, where the running node's own headers lie beside it; else node-gyp fetches them. */
function headersBesideNode() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  return existsSync(join(prefix, 'include/node/node_api.h')) ? prefix : undefined;
}

/** The directory of node_api.h: beside node, or where node-gyp has put what it fetched. */
export function headersDirectory() {
  const prefix = headersBesideNode() ?? join(homedir(), '.cache/node-gyp', process.versions.node);
  return join(prefix, 'include/node');
}

function isUpToDate() {
  if (!existsSync(built)) return false;
  const made = statSync(built).mtimeMs;
  const parts = readdirSync(sources).map((name) => join(sources, name));
  return [join(here, 'binding.gyp'), ...parts].every((part) => statSync(part).mtimeMs <= made);
}

/** node-gyp as npm tells it to its scripts, as a dependency, or as it lies inside npm. */
function findNodeGyp() {
  const require = createRequire(import.meta.url);
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const candidates = [
    process.env.npm_config_node_gyp,
    resolveOrNothing(require, 'node-gyp/bin/node-gyp.js'),
    join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'),
    join(prefix, 'share/nodejs/node-gyp/bin/node-gyp.js'),
  ];
  return candidates.find((path) => path !== undefined && existsSync(path));
}

function resolveOrNothing(require, name) {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

function has(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

function missing(nodeGyp) {
  const absent = [];
  if (!has(process.env.CC ?? 'cc')) absent.push('a C compiler (Debian: apt-get install build-essential)');
  if (!has('make')) absent.push('make (Debian: apt-get install build-essential)');
  if (!has(process.env.PYTHON ?? 'python3')) absent.push('Python (Debian: apt-get install python3)');
  if (nodeGyp === undefined) absent.push('node-gyp (npm brings it; run this through npm run build)');
  return absent;
}

function build() {
  if (isUpToDate()) return 0;
  const nodeGyp = findNodeGyp();
  const absent = missing(nodeGyp);
  if (absent.length > 0) {
    console.error(`@nfknock/nfqueue cannot be built; missing: ${absent.join('; ')}. Then: npm run build`);
    return process.argv.includes('--if-possible') ? 0 : 1;
  }
  const headers = headersBesideNode();
  const options = headers === undefined ? [] : [`--nodedir=${headers}`];
  console.log('@nfknock/nfqueue: compiling the native binding');
  const command = [nodeGyp, 'configure', 'build', '--silent', ...options];
  // There is no C++ here, so that a C compiler also links.
  const env = { LINK: process.env.CC ?? 'cc', ...process.env };
  const run = spawnSync(process.execPath, command, { cwd: here, encoding: 'utf8', env });
  if (run.status !== 0) console.error(`${run.stdout}${run.stderr}`);
  return run.status ?? 1;
}

if (process.argv[1] === import.meta.filename) process.exitCode = build();
