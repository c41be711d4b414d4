import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { ROOT } from './root.ts';

/* Which programs tests and scripts call, and which of Debian's packages bring them. */

/** A program's name, and a place that calls it. */
export interface Call {
  readonly program: string;
  readonly file: string;
}

const PLACES = ['test', 'scripts', 'native/test', '.ci'];
const LEFT_OUT = /^(fixtures|corpus|node_modules|build|guest)$/;
/** What starts a program, by its first argument or by the first word of an array of them. */
const STARTS = /^(exec\w*|spawn\w*|start\w*|run\w*)$/i;
const WORD = /^[a-z][a-z0-9_.+-]*$/;
/** A command's beginning, in the text of a shell. */
const BEGINNING =
  /(?:^|[\n;&|(`]|\$\(|(?:^|[\s;])(?:then|do|else|exec|env|if|while|until|sudo|nohup|xargs|!)[ \t])[ \t]*(?:[A-Z_]+=[^\s]{0,80} ){0,3}(?!(?:then|do|else|exec|env|if|while|until|sudo|nohup|xargs)\s)([a-z][a-z0-9_.+-]*)(?=[\s;|&)'"`]|$)/g;

/** Every file of tests and scripts that may call programs. */
export function callingFiles(): readonly string[] {
  return PLACES.flatMap((place) => filesOf(join(ROOT, place)));
}

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return LEFT_OUT.test(entry.name) ? [] : filesOf(path);
    return /\.(ts|mjs|sh)$/.test(entry.name) || !entry.name.includes('.') ? [path] : [];
  });
}

/** What could be a call in a file: more words than programs, since not every string is a command. */
export function candidatesIn(path: string): readonly Call[] {
  const text = readFileSync(path, 'utf8');
  const file = relative(ROOT, path);
  const words = /\.(ts|mjs)$/.test(path) ? wordsOfScript(text, file) : wordsOfShell(text);
  const own = new Set([...text.matchAll(/^(\w+)\(\) [{(]/gm)].map(([, name]) => name));
  return [...new Set(words)].filter((each) => !own.has(each)).map((program) => ({ program, file }));
}

function wordsOfShell(text: string): readonly string[] {
  const code = text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n');
  return [...code.matchAll(BEGINNING)].map(([, word = '']) => word);
}

/** What a TypeScript file starts by name, and nothing that only looks like a command. */
export function startedBy(path: string): readonly Call[] {
  const file = relative(ROOT, path);
  const found: string[] = [];
  visitCalls(parseAst(readFileSync(path, 'utf8'), { lang: 'ts' }), (callee, [first]) => {
    if (STARTS.test(callee)) found.push(...wordOf(first));
  });
  return [...new Set(found)].map((program) => ({ program, file }));
}

function visitCalls(node: unknown, said: (callee: string, args: readonly unknown[]) => void): void {
  if (typeof node !== 'object' || node === null) return;
  const at = node as Record<string, unknown>;
  if (at['type'] === 'CallExpression') said(nameOf(at['callee']), at['arguments'] as unknown[]);
  for (const value of Object.values(at)) visitCalls(value, said);
}

function wordsOfScript(text: string, file: string): readonly string[] {
  const found: string[] = [];
  const visit = (node: unknown): void => {
    // Arrays too: what they hold is their values.
    if (typeof node !== 'object' || node === null) return;
    const at = node as Record<string, unknown>;
    if (at['type'] === 'ArrayExpression') found.push(...wordOf((at['elements'] as unknown[])[0]));
    if (at['type'] === 'CallExpression' && STARTS.test(nameOf(at['callee'])))
      for (const argument of (at['arguments'] as unknown[]).slice(0, 2)) found.push(...wordOf(argument));
    if (at['type'] === 'Literal' && typeof at['value'] === 'string') found.push(...inText(at['value']));
    if (at['type'] === 'TemplateElement') found.push(...inText((at['value'] as { raw: string }).raw));
    for (const value of Object.values(at)) visit(value);
  };
  visit(parseAst(text, { lang: file.endsWith('.ts') ? 'ts' : 'js' }));
  return found;
}

function wordOf(node: unknown): readonly string[] {
  const { type, value } = (node ?? {}) as { readonly type?: string; readonly value?: unknown };
  return type === 'Literal' && typeof value === 'string' && WORD.test(value) ? [value] : [];
}

function nameOf(node: unknown): string {
  const { type, name, property } = node as {
    readonly type: string;
    readonly name?: string;
    readonly property?: { readonly name?: string };
  };
  return (type === 'MemberExpression' ? property?.name : name) ?? '';
}

/** A line for a shell has more than one word; what has one is a name of something. */
function inText(text: string): readonly string[] {
  return /\s/.test(text.trim()) ? wordsOfShell(text) : [];
}

interface Package {
  readonly base: boolean;
  readonly needs: readonly (readonly string[])[];
}

/** The packages of this machine, from dpkg's own files. */
export interface Debian {
  /** Those given and what they need, with what every Debian has. */
  closure(wanted: readonly string[]): ReadonlySet<string>;
  /** Programs that can be called here, each with the packages that bring it; none: it was put there by hand. */
  readonly programs: ReadonlyMap<string, readonly string[]>;
}

const PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

export function readDebian(admin = '/var/lib/dpkg', path: readonly string[] = PATH): Debian {
  const packages = new Map<string, Package>();
  const provided = new Map<string, string[]>();
  for (const entry of readFileSync(join(admin, 'status'), 'utf8').split('\n\n')) {
    if (!entry.includes('\nStatus: install ok installed')) continue;
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(entry)?.[1] ?? '';
    const name = field('Package');
    const base = field('Priority') === 'required' || field('Essential') === 'yes' || name === 'apt';
    packages.set(name, { base, needs: [...needsOf(field('Depends')), ...needsOf(field('Pre-Depends'))] });
    for (const other of needsOf(field('Provides')).flat())
      provided.set(other, [...(provided.get(other) ?? []), name]);
  }
  return {
    programs: programsIn(path, ownersIn(join(admin, 'info'))),
    closure(wanted) {
      const reached = new Set<string>();
      const add = (name: string): void => {
        if (reached.has(name)) return;
        reached.add(name);
        for (const choice of packages.get(name)?.needs ?? []) {
          const chosen = choice.find((each) => packages.has(each));
          for (const each of chosen === undefined
            ? choice.flatMap((one) => provided.get(one) ?? [])
            : [chosen])
            add(each);
        }
      };
      for (const [name, { base }] of packages) if (base) add(name);
      for (const name of wanted) add(name);
      return reached;
    },
  };
}

/** "a | b (>= 1), c:any" as [[a, b], [c]]. */
function needsOf(field: string): readonly (readonly string[])[] {
  const names = (choice: string): readonly string[] =>
    choice.split('|').map((each) => each.trim().replace(/[\s(:].*$/, ''));
  return field === '' ? [] : field.split(',').map(names);
}

function ownersIn(info: string): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  for (const list of readdirSync(info).filter((name) => name.endsWith('.list'))) {
    const owner = list.replace(/(:\w+)?\.list$/, '');
    for (const path of readFileSync(join(info, list), 'utf8').split('\n')) owners.set(merged(path), owner);
  }
  return owners;
}

function programsIn(
  folders: readonly string[],
  owners: ReadonlyMap<string, string>,
): ReadonlyMap<string, readonly string[]> {
  const programs = new Map<string, string[]>();
  for (const path of folders.flatMap((folder) => namesIn(folder).map((name) => join(folder, name)))) {
    // What one of two lists names is a link to what the other does.
    const owner = owners.get(merged(path)) ?? owners.get(merged(targetOf(path)));
    programs.set(basename(path), [
      ...(programs.get(basename(path)) ?? []),
      ...(owner === undefined ? [] : [owner]),
    ]);
  }
  return programs;
}

/** /bin is /usr/bin. */
function merged(path: string): string {
  return path.replace(/^\/(bin|sbin|lib\w*)\//, '/usr/$1/');
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
