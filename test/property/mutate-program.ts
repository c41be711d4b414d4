import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compileFunction } from 'node:vm';

/** Compiled modules of the tree, held so that one of them can be changed and only what depends on it is run again. */
export interface Program {
  /** A module by its path below the folder, `src/engine/engine.js`; the same one each time. */
  module(path: string): object;
  /** The same program with one file's code changed. What does not depend on the file is shared. */
  changed(file: string, code: string): Program;
  /** Whether a module, by what it imports, depends on another. */
  depends(path: string, on: string): boolean;
}

type Body = (load: (name: string) => object, exported: object) => void;

interface Module {
  readonly body: Body;
  readonly imports: readonly string[];
}

const IMPORT = /^import (?:(\w+)|\{ ([^}]*) \}|\* as (\w+)) from '([^']+)';$/gm;
const PASSED_ON = /^export \{ ([^}]*) \} from '([^']+)';$/gm;
const EXPORTED = /^export (?:async )?(function\*?|class) (\w+)/gm;

/** Reads all modules below the folder. `given` stands in for packages by name; others are imported as they are. */
export async function openProgram(folder: string, given: ReadonlyMap<string, object>): Promise<Program> {
  const modules = new Map<string, Module>();
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.js'))
      modules.set(path, moduleOf(path, readFileSync(join(folder, path), 'utf8'), folder));
  }
  const packages = new Map(given);
  const near = createRequire(join(folder, 'index.js'));
  for (const name of new Set([...modules.values()].flatMap(({ imports }) => imports))) {
    if (modules.has(name) || packages.has(name)) continue;
    const at = name.startsWith('node:') ? name : pathToFileURL(near.resolve(name)).href;
    packages.set(name, (await import(at)) as object);
  }
  return programOf(folder, modules, packages, new Map());
}

function programOf(
  folder: string,
  modules: ReadonlyMap<string, Module>,
  packages: ReadonlyMap<string, object>,
  loaded: Map<string, object>,
): Program {
  function module(name: string): object {
    const there = packages.get(name) ?? loaded.get(name);
    if (there !== undefined) return there;
    const found = modules.get(name);
    if (found === undefined) throw new Error(`no module ${name} below ${folder}`);
    const exported = {};
    loaded.set(name, exported);
    found.body(module, exported);
    return exported;
  }

  function depends(path: string, on: string, seen: Set<string> = new Set()): boolean {
    if (path === on) return true;
    if (seen.has(path)) return false;
    seen.add(path);
    return (modules.get(path)?.imports ?? []).some((name) => depends(name, on, seen));
  }

  return {
    module,
    depends: (path, on) => depends(path, on),
    changed(file, code) {
      const others = [...loaded].filter(([path]) => !depends(path, file));
      const changes = new Map(modules).set(file, moduleOf(file, code, folder));
      return programOf(folder, changes, packages, new Map(others));
    },
  };
}

/** The compiler's own way of writing imports and exports, reversed into calls. */
function moduleOf(path: string, code: string, folder: string): Module {
  const imports: string[] = [];
  const place = (specifier: string): string => {
    const name = specifier.startsWith('.')
      ? relative(folder, join(folder, dirname(path), specifier))
      : specifier;
    imports.push(name);
    return name;
  };
  const exportsOf = (wanted: RegExp): string =>
    [...code.matchAll(EXPORTED)]
      .filter(([, kind = '']) => wanted.test(kind))
      .map(([, , name]) => `$exported.${name} = ${name};`)
      .join('');
  const called = code
    .replace(IMPORT, (_, one?: string, list?: string, all?: string, specifier = '') => {
      const from = `$load('${place(specifier)}')`;
      if (one !== undefined) return `const { default: ${one} } = ${from};`;
      return `const ${all ?? `{ ${list?.replaceAll(' as ', ': ')} }`} = ${from};`;
    })
    .replace(PASSED_ON, (_, list: string, specifier: string) => {
      const from = `$load('${place(specifier)}')`;
      return list
        .split(', ')
        .map((each) => each.split(' as '))
        .map(([name = '', as = name]) => `$exported.${as} = ${from}.${name};`)
        .join('');
    })
    .replace(/^export const (\w+) =/gm, 'const $1 = $$exported.$1 =')
    .replace(/^export \{\};$/gm, '')
    .replace(/^export /gm, '');
  // Functions are there before the module has run, as in a circle of imports they must be; classes are not.
  const whole = `'use strict';${exportsOf(/function/)}${called}\n${exportsOf(/class/)}`;
  const body = compileFunction(whole, ['$load', '$exported'], { filename: path });
  return { body: body as Body, imports };
}
