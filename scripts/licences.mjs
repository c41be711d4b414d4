import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Files in which a package says what may be done with it. */
const SAYS = /^(licen[cs]e|copying|notice|copyright)/i;

/** Whose the packages are that name the MIT licence and bring no text of it, as the LICENSE in their repository says. */
const HOLDERS = {
  // https://github.com/redis/node-redis
  '@redis/client': 'Copyright (c) 2022-2025, Redis, inc.',
};

/**
 * For rolldown: beside a bundle, a file with the licences of the packages in it. A package that has none fails the
 * build, since what is passed on has to name its terms.
 */
export function licences(fileName) {
  return {
    name: 'licences',
    generateBundle(_, bundle) {
      const folders = new Set();
      for (const chunk of Object.values(bundle)) {
        for (const id of Object.keys(chunk.modules ?? {})) {
          if (id.includes('/node_modules/')) folders.add(packageOf(id));
        }
      }
      // Tests build the program inside node_modules.
      const others = [...folders].filter((folder) => manifestOf(folder).name !== 'nfknock').sort();
      const texts = others.map(licenceOf);
      this.emitFile({ type: 'asset', fileName, source: `${texts.join('\n\n')}\n` });
    },
  };
}

/** The folder of the package that a module belongs to. */
function packageOf(module) {
  for (let at = dirname(module); at !== dirname(at); at = dirname(at)) {
    if (existsSync(join(at, 'package.json')) && manifestOf(at).version !== undefined) return at;
  }
  throw new Error(`${module} belongs to no package`);
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

/** What a package says of its terms, under its name. */
function licenceOf(folder) {
  const { name, version, license } = manifestOf(folder);
  const texts = textsIn(folder);
  const holder = HOLDERS[name];
  // Our own terms are the same.
  if (texts.length === 0 && license === 'MIT' && holder !== undefined)
    texts.push(
      readFileSync(join(import.meta.dirname, '../LICENSE'), 'utf8')
        .trim()
        .replace(/^Copyright .*$/m, holder),
    );
  // Some packages name well-known terms and add no text of their own.
  if (texts.length === 0 && license === undefined) throw new Error(`${name} has no licence`);
  const head = `${name} ${version}: ${typeof license === 'string' ? license : 'see below'}`;
  return [head, '='.repeat(head.length), ...texts].join('\n');
}

function textsIn(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => SAYS.test(name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? textsIn(path) : [readFileSync(path, 'utf8').trim()];
    });
}

// As a program: those of the folders that are named.
if (process.argv[1] === import.meta.filename)
  for (const folder of process.argv.slice(2)) console.log(`\n\n${licenceOf(folder)}`);
