// Prints the folders of the npm packages that the program needs at run time, one a line, relative to node_modules.
// What only installs other packages (downloads binaries, brings headers) is left out.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const MODULES = join(ROOT, 'node_modules');
const INSTALL_ONLY = new Set(['prebuild-install', 'node-addon-api', 'node-gyp']);

const manifest = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** Where Node would find `name` from inside `folder`. */
function find(name, folder) {
  for (let at = folder; at.startsWith(ROOT); at = dirname(at)) {
    const found = join(at, 'node_modules', name);
    if (existsSync(join(found, 'package.json'))) return found;
  }
  throw new Error(`${name} is not installed: run npm ci`);
}

const found = new Set();
const queue = [ROOT];
for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
  for (const name of Object.keys(manifest(folder).dependencies ?? {})) {
    if (INSTALL_ONLY.has(name)) continue;
    const place = find(name, folder);
    if (!found.has(place)) queue.push(place);
    found.add(place);
  }
}
// A package inside another's folder comes with it.
const outermost = [...found].filter((place) => ![...found].some((other) => place.startsWith(`${other}/`)));
for (const place of outermost.sort()) console.log(relative(MODULES, place));
