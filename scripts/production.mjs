// Prints the folders of the npm packages that the program finds in node_modules when it runs, one a line, relative to
// node_modules: those that rolldown.config.mjs leaves out of its bundle, and what they need. What only installs other
// packages (downloads binaries, brings headers) is left out.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import program from '../rolldown.config.mjs';
import { INSTALL_ONLY } from './install-only.mjs';

const ROOT = join(import.meta.dirname, '..');
const MODULES = join(ROOT, 'node_modules');

const manifest = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** Where Node would find `name` from inside `folder`. */
function find(name, folder) {
  for (let at = folder; at.startsWith(ROOT); at = dirname(at)) {
    const found = join(at, 'node_modules', name);
    if (existsSync(join(found, 'package.json'))) return found;
  }
  throw new Error(`${name} is not installed: run npm ci`);
}

const found = new Set(program.external.map((name) => find(name, ROOT)));
for (const folder of found) {
  for (const name of Object.keys(manifest(folder).dependencies ?? {})) {
    if (!INSTALL_ONLY.has(name)) found.add(find(name, folder));
  }
}
// A package inside another's folder comes with it.
const outermost = [...found].filter((place) => ![...found].some((other) => place.startsWith(`${other}/`)));
for (const place of outermost.sort()) console.log(relative(MODULES, place));
