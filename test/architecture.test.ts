import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { describe, expect, it } from 'vitest';

const SRC = resolve(import.meta.dirname, '../src');

/** What each room may import code from, besides itself and `text`. Types may come from the rooms named in TYPES as well. */
const CODE: Readonly<Record<string, readonly string[]>> = {
  text: [],
  table: [],
  packet: [],
  policy: ['packet'],
  engine: ['packet', 'policy'],
  guard: [],
  source: ['packet', 'guard'],
  process: ['guard'],
  doctor: ['packet', 'policy', 'process', 'firewall', 'rollback', 'machine', 'guard'],
  files: [],
  firewall: ['packet', 'policy', 'process', 'files', 'guard'],
  rollback: ['packet', 'policy', 'process', 'firewall', 'files', 'guard'],
  'one-time': ['packet', 'policy', 'files'],
  spa: ['packet', 'policy'],
  fleet: ['packet', 'policy', 'table'],
  config: ['packet', 'policy', 'spa'],
  machine: ['packet', 'policy', 'files', 'firewall'],
  importers: ['packet', 'policy', 'config', 'spa'],
  strength: ['packet', 'policy', 'engine', 'config', 'spa'],
  state: ['packet', 'policy', 'engine', 'files', 'table'],
  log: ['packet', 'policy', 'files', 'guard'],
  metrics: ['packet', 'policy', 'guard'],
  control: ['packet', 'policy', 'guard'],
  report: ['packet', 'policy'],
};
const TYPES: Readonly<Record<string, readonly string[]>> = {
  policy: ['engine'],
  source: ['policy'],
  config: ['engine', 'strength'],
  fleet: ['engine'],
  log: ['engine'],
  metrics: ['engine'],
  control: ['engine'],
  report: ['engine', 'log'],
};
/** Rooms and files that bring the others together. */
const ANYTHING = ['cli', 'daemon', 'replay', 'clock.ts'];
/** Packages that do I/O or read clocks have no place in the pure rooms. */
const PURE = ['packet', 'engine', 'spa', 'fleet', 'table', 'text'];
/** What the pure rooms may import besides: addresses, and in the room of keys what MACs and ciphers are computed with. */
const PURE_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  spa: ['node:crypto'],
  fleet: ['node:crypto', '@redis/client'],
};
const LINES_MAX = 300;
/** Files that are tables: long, and read by looking things up. */
const TABLES = ['log/catalogue.ts', 'cli/program.ts'];

/** A function over so many lines is a module that wants to be two. */
const FUNCTION_LINES_MAX = 150;
const PARAMETERS_MAX = 4;
/** What runs for every packet: an object made to hold arguments would be garbage for each. */
const HOT = ['source/', 'packet/', 'engine/', 'replay/direction.ts', 'replay/local.ts'];
/** What the daemon asks of a firewall is in these; who opens one is a file of its own. */
const FIREWALL_INTERFACE = ['firewall/firewall.ts', 'firewall/connections.ts'];
const OPENS_FIREWALL = ['daemon/open-dependencies.ts'];

/** Rooms that run inside the daemon, and their files that do not. */
const DAEMON = [
  ...['daemon', 'firewall', 'control', 'metrics', 'log', 'source', 'process', 'state', 'one-time'],
  ...['fleet', 'machine'],
];
const NOT_DAEMON = [
  // What it tells of is owned by who has asked to be told: fleet/redis-life.ts.
  'fleet/redis-connect.ts',
  'control/client.ts',
  'log/follow.ts',
  'source/pcap-input.ts',
  // The owner of what nobody owns.
  'daemon/last-words.ts',
];
/** Timers, and listeners of emitters. */
const RUNS_BY_ITSELF =
  /(?<![\w.])(?:(?:setInterval|setTimeout|setImmediate|queueMicrotask)\(|\.(?:on|once|addListener)\(\s*'|process\.nextTick\()|\.(?:on|once|addListener)\(\s*'/g;
/** `src/guard` owns it, or there is nothing in it that could throw. */
const HARMLESS =
  /^\.?\w+\(\s*(?:'\w+',\s*)?(?:guarded\(|resolve\b|reject\b|ignore\b|done\)|[A-Z_]+\)|\(\) => (?:\{\}|undefined|resolve\(\)))/;

/** What is done with a promise that nobody waits for can't throw, or is owned. */
const HARMLESS_ENDS =
  /^(?:guarded\(|(?:resolve|reject|ignore)$|\(\w*\) => (?:resolve\(|(?:\{\}|undefined)$))/;
/** Who comes to a server is told of by a listener, too. */
const SERVERS = /createServer\((?![^>]*guarded\()/g;

/** Chains of `then`, `catch` and `finally` that stand alone, with something in them that could throw. */
function leftAlone(file: string): readonly string[] {
  const text = sourceOf(file);
  const found: string[] = [];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const each of node) visit(each);
    if (typeof node !== 'object' || node === null || Array.isArray(node)) return;
    const { type, expression } = node as Readonly<Record<string, unknown>>;
    if (type === 'ExpressionStatement') {
      const [chain, ends] = endsOf(expression, text);
      if (ends.some((each) => !HARMLESS_ENDS.test(each)))
        found.push(chain.replace(/\s+/g, ' ').slice(0, 120));
    }
    for (const each of Object.values(node)) visit(each);
  };
  visit(treeOf(file).body);
  return found;
}

/** The text of such a chain, and of what is done at the end of each of its links. */
function endsOf(node: unknown, text: string): readonly [string, readonly string[]] {
  const at = (of: unknown, key: string): unknown =>
    typeof of === 'object' && of !== null ? (of as Readonly<Record<string, unknown>>)[key] : undefined;
  const written = (of: unknown): string => text.slice(Number(at(of, 'start')), Number(at(of, 'end')));
  const ends: string[] = [];
  let here = at(node, 'type') === 'ChainExpression' ? at(node, 'expression') : node;
  while (at(here, 'type') === 'CallExpression') {
    const callee = at(here, 'callee');
    const name = nameOf(at(callee, 'property')) ?? '';
    if (!/^(then|catch|finally)$/.test(name)) break;
    ends.push(...(at(here, 'arguments') as readonly unknown[]).map(written));
    here = at(callee, 'object');
  }
  return [written(node), ends];
}

interface Import {
  readonly from: string;
  readonly type: boolean;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

const texts = new Map(files.map((file) => [file, readFileSync(join(SRC, file), 'utf8')]));
const trees = new Map<string, ReturnType<typeof parseAst>>();

function sourceOf(file: string): string {
  return texts.get(file) ?? '';
}

/** Read once: several questions are asked of each. */
function treeOf(file: string): ReturnType<typeof parseAst> {
  const tree = trees.get(file) ?? parseAst(sourceOf(file), { lang: 'ts' }, file);
  trees.set(file, tree);
  return tree;
}

function importsOf(file: string): readonly Import[] {
  return [
    ...sourceOf(file).matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm),
  ].map((match) => ({
    type: match[1] !== undefined || onlyTypes(match[0]),
    from: match[2] ?? '',
  }));
}

/** `import { type A, type B } from …` brings no code either. */
function onlyTypes(statement: string): boolean {
  const names = /\{([^}]*)\}/
    .exec(statement)?.[1]
    ?.split(',')
    .filter((name) => name.trim() !== '');
  return names !== undefined && names.length > 0 && names.every((name) => name.trim().startsWith('type '));
}

/** The text without comments that stand alone and without imports of types. */
function textOf(file: string): { readonly code: string } {
  const code = sourceOf(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/^import type [^;]*;/gm, '');
  return { code };
}

interface Shape {
  readonly name: string;
  readonly lines: number;
  readonly parameters: number;
}

/** Every function of a file, however it is written. */
function functionsOf(file: string): readonly Shape[] {
  const text = sourceOf(file);
  const found: Shape[] = [];
  const visit = (node: unknown, name: string): void => {
    if (Array.isArray(node)) for (const each of node) visit(each, name);
    if (typeof node !== 'object' || node === null || Array.isArray(node)) return;
    const { type, start, end, params, id, key } = node as Readonly<Record<string, unknown>>;
    const named = nameOf(id) ?? nameOf(key) ?? name;
    if (/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(String(type))) {
      const lines = text.slice(Number(start), Number(end)).split('\n').length;
      found.push({ name: named, lines, parameters: Array.isArray(params) ? params.length : 0 });
    }
    for (const each of Object.values(node)) visit(each, named);
  };
  visit(treeOf(file).body, '');
  return found;
}

interface NamedType {
  readonly file: string;
  readonly name: string;
  readonly kind: 'union' | 'fields';
  /** The members of a union, or the fields, as they are written. */
  readonly parts: readonly string[];
}

/** The types that a file exports under a name of its own. */
function exportedTypes(file: string): readonly NamedType[] {
  const text = sourceOf(file);
  return treeOf(file).body.flatMap((node): readonly NamedType[] => {
    if (node.type !== 'ExportNamedDeclaration') return [];
    const { declaration } = node;
    const written = (each: { start: number; end: number }): string =>
      text
        .slice(each.start, each.end)
        .replace(/\/\*[\s\S]*?\*\/|\/\/.*$|\breadonly\b/gm, '')
        .replace(/[\s;]+/g, ' ')
        .trim();
    if (declaration?.type === 'TSInterfaceDeclaration') {
      const parts = [...declaration.extends, ...declaration.body.body].map(written);
      return [{ file, name: declaration.id.name, kind: 'fields', parts }];
    }
    if (declaration?.type !== 'TSTypeAliasDeclaration') return [];
    const { typeAnnotation: type } = declaration;
    const parts = type.type === 'TSUnionType' ? type.types.map(written) : [written(type)];
    return [{ file, name: declaration.id.name, kind: 'union', parts }];
  });
}

/** Words that two unions must have in common, of those of the shorter, to be taken for one. */
const SAME_WORDS = 0.75;
const SAME_WORDS_MIN = 4;

/** The same fields; or nearly the same words, so that each room would have to be told of a new one. */
function saysTheSame(one: NamedType, other: NamedType): boolean {
  if (one.kind !== other.kind) return false;
  if (one.kind === 'fields' && one.parts.length !== other.parts.length) return false;
  const [shorter = [], longer = []] = [one.parts, other.parts].sort((a, b) => a.length - b.length);
  const common = shorter.filter((part) => longer.includes(part)).length;
  if (one.kind === 'fields') return shorter.length > 1 && common === longer.length;
  if (shorter.length > 1 && common === longer.length) return true;
  // A few words may be in both by chance.
  const words = shorter.filter((part) => part.startsWith("'"));
  const shared = words.filter((word) => longer.includes(word)).length;
  return words.length >= SAME_WORDS_MIN && shared >= SAME_WORDS * words.length;
}

function nameOf(node: unknown): string | undefined {
  const name: unknown = typeof node === 'object' && node !== null && 'name' in node ? node.name : undefined;
  return typeof name === 'string' ? name : undefined;
}

function roomOf(file: string): string {
  return file.split('/')[0] ?? '';
}

describe('the house', () => {
  it.each(files)('%s imports only what its room may', (file) => {
    const room = roomOf(file);
    if (ANYTHING.includes(room)) return;
    const allowed = CODE[room] ?? [];
    for (const { from, type } of importsOf(file)) {
      if (from.startsWith('.')) {
        const target = roomOf(relative(SRC, resolve(SRC, dirname(file), from)));
        const fits = target === room || target === 'text' || allowed.includes(target);
        const fitsAsType = type && (TYPES[room] ?? []).includes(target);
        expect(fits || fitsAsType, `${file} imports ${from}`).toBe(true);
      } else if (PURE.includes(room)) {
        const packages = ['ipaddr.js', ...(PURE_PACKAGES[room] ?? [])];
        expect(packages, `${file} imports ${from}`).toContain(from);
      }
    }
  });

  it.each(files)('%s is short enough to be read at once', (file) => {
    const lines = sourceOf(file).split('\n').length;
    if (!TABLES.includes(file)) expect(lines).toBeLessThanOrEqual(LINES_MAX);
  });

  it('has a row for every file', () => {
    const rooms = [...Object.keys(CODE), ...ANYTHING];
    expect(files.filter((file) => !rooms.includes(roomOf(file)))).toEqual([]);
    const empty = rooms.filter((room) => !files.some((file) => roomOf(file) === room));
    expect(empty).toEqual([]);
  });

  it('has no function that is two, and none with too many parameters', () => {
    const found = files.flatMap((file) =>
      functionsOf(file).flatMap(({ name, lines, parameters }) => [
        ...(lines > FUNCTION_LINES_MAX ? [`${file} ${name}: long`] : []),
        ...(parameters > PARAMETERS_MAX && !HOT.some((hot) => file.startsWith(hot))
          ? [`${file} ${name}: parameters`]
          : []),
      ]),
    );
    expect(found, 'split these').toEqual([]);
  });

  it('has one interface to a firewall for the daemon', () => {
    const beyond = files
      .filter((file) => roomOf(file) === 'daemon' && !OPENS_FIREWALL.includes(file))
      .flatMap((file) =>
        importsOf(file)
          .filter(({ from }) => from.startsWith('.'))
          .map(({ from }) => relative(SRC, resolve(SRC, dirname(file), from)))
          .filter((to) => roomOf(to) === 'firewall' && !FIREWALL_INTERFACE.includes(to))
          .map((to) => `${file} imports ${to}`),
      );
    expect(beyond).toEqual([]);
  });

  it('has one name for one thing: no two exported types say the same', () => {
    const types = files.flatMap(exportedTypes);
    expect(types.length).toBeGreaterThan(300);
    const twice = types.flatMap((one, index) =>
      types
        .slice(index + 1)
        .filter((other) => saysTheSame(one, other))
        .map((other) => `${one.file} ${one.name} = ${other.file} ${other.name}`),
    );
    expect(twice).toEqual([]);
  });

  it('finds two names for one thing where there are', () => {
    const as = (name: string, parts: readonly string[], kind: 'union' | 'fields' = 'union'): NamedType => ({
      file: `${name}.ts`,
      name,
      kind,
      parts,
    });
    const words = ["'stale'", "'replayed'", "'door'", "'full'"];
    expect(saysTheSame(as('A', words), as('B', [...words, "'banned'"]))).toBe(true);
    expect(saysTheSame(as('A', words), as('B', ["'stale'", "'own'", "'other'", "'last'"]))).toBe(false);
    const fields = ['line: number', 'name: string'];
    expect(saysTheSame(as('A', fields, 'fields'), as('B', [...fields].reverse(), 'fields'))).toBe(true);
    expect(saysTheSame(as('A', fields, 'fields'), as('B', [...fields, 'x: 1'], 'fields'))).toBe(false);
  });

  it('has no room for what belongs nowhere', () => {
    expect(files.filter((file) => /\b(utils?|helpers?|common|misc|index)\b/.test(file))).toEqual([]);
  });

  it('starts programs in one file', () => {
    const starters = files.filter((file) => {
      const { code } = textOf(file);
      return /child_process|\bexecFile|\bfork\(/.test(code);
    });
    expect(starters).toEqual(['process/start.ts']);
  });

  it('escapes text, and puts what was thrown into words, in one room', () => {
    const own = files.filter((file) =>
      /\\p\{C[cfs]\}|'&lt;'|instanceof Error \? \w+\.message : String\(/.test(textOf(file).code),
    );
    // What knockd refuses to read is refused here too: a rule for input, not an escape.
    expect(own.filter((file) => file !== 'importers/knockd-file.ts').sort()).toEqual([
      'text/html.ts',
      'text/plain.ts',
    ]);
  });

  it('writes files in one room, which writes all or fails', () => {
    const writers = files.filter((file) => {
      const { code } = textOf(file);
      const written =
        /\b(writeSync|writevSync|writeFileSync|writeFile|appendFileSync|appendFile|createWriteStream)\b/;
      const single = /import \{[^}]*\bwritev?\b[^}]*\} from '(node:)?fs/;
      return written.test(code) || single.test(code) || /\bhandle\.(write|append)/.test(code);
    });
    expect(writers).toEqual(['files/write.ts']);
  });

  it('has an owner for whatever a timer, a listener or a promise of the daemon throws', () => {
    const unowned = files
      .filter((file) => DAEMON.includes(roomOf(file)) && !NOT_DAEMON.includes(file))
      .flatMap((file) => {
        const { code } = textOf(file);
        const calls = [...code.matchAll(RUNS_BY_ITSELF)]
          .map((match) => code.slice(match.index, match.index + 120).replace(/\s+/g, ' '))
          .filter((call) => !HARMLESS.test(call));
        const promises = [...code.matchAll(/^\s*void \w[^;\n]*/gm)].map((match) => match[0].trim());
        const servers = [...code.matchAll(SERVERS)].map((match) => match[0]);
        return [...calls, ...promises, ...servers, ...leftAlone(file)].map((each) => `${file}: ${each}`);
      });
    expect(unowned).toEqual([]);
  });

  it('reads time in one file', () => {
    const readers = files.filter((file) => {
      const text = readFileSync(join(SRC, file), 'utf8');
      return /\b(Date\.now|performance\.now|process\.hrtime)\b/.test(text);
    });
    expect(
      readers.filter((file) => [...PURE, 'state', 'firewall', 'config', 'policy'].includes(roomOf(file))),
    ).toEqual([]);
  });
});

describe('the tests', () => {
  const TEST = import.meta.dirname;

  it('that are named among the long, the slow and the measuring are there', () => {
    const config = readFileSync(join(TEST, '../vitest.config.ts'), 'utf8');
    const named = [...config.matchAll(/'test\/([\w/-]+\.test\.ts)'/g)].map(([, file = '']) => file);
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter((file) => !existsSync(join(TEST, file)))).toEqual([]);
  });

  const WITHOUT_KERNEL = ['unit', 'golden', 'property', 'reference', 'fuzz', 'attacks/engine'];

  it('that need no root import nothing of those that do', () => {
    const tests = readdirSync(TEST, { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && WITHOUT_KERNEL.some((folder) => file.startsWith(`${folder}/`)),
    );
    expect(tests.length).toBeGreaterThan(100);
    const across = tests.flatMap((file) =>
      importsOf(join(TEST, file))
        .map(({ from }) => from)
        .filter((from) => relative(TEST, resolve(TEST, dirname(file), from)).startsWith('kernel/'))
        .map((from) => `${file} imports ${from}`),
    );
    expect(across).toEqual([]);
  });

  it('take what they share from test/support, which takes nothing from them', () => {
    const files = readdirSync(TEST, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    const across = files.flatMap((file) =>
      importsOf(join(TEST, file))
        .map(({ from }) => (from.startsWith('.') ? relative(TEST, resolve(TEST, dirname(file), from)) : from))
        .filter((to) => to.startsWith('kernel/') && !file.startsWith('kernel/'))
        .map((to) => `${file} imports ${to}`),
    );
    expect(across).toEqual([]);
    expect(readdirSync(join(TEST, 'kernel')).filter((file) => !file.endsWith('.test.ts'))).toEqual([]);
  });
});
