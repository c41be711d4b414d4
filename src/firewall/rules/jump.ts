import { CHAIN, TABLES, type Table } from './names.ts';
import { insertions, type Jump } from './rules.ts';

/** The tables as `iptables-save` prints them: of each chain its rules, without `-A CHAIN`. */
export type Saved = ReadonlyMap<Table, ReadonlyMap<string, readonly string[]>>;

const OWN: ReadonlySet<string> = new Set(Object.values(CHAIN));

/** True for the name of a chain that nfknock makes. */
export function isOwnChain(name: string): boolean {
  return OWN.has(name);
}

/** Reads what `iptables-save` prints; tables that nfknock never touches are left out. */
export function parseSaved(text: string): Saved {
  const tables = new Map<Table, Map<string, string[]>>();
  let chains: Map<string, string[]> | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      const name = line.slice(1).trim();
      const table = TABLES.find((each) => each === name);
      chains = table === undefined ? undefined : new Map();
      if (table !== undefined && chains !== undefined) tables.set(table, chains);
    } else if (line.startsWith(':')) {
      chains?.set(line.slice(1).split(' ')[0] ?? '', []);
    } else if (line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3);
      if (end > 0) chains?.get(line.slice(3, end))?.push(line.slice(end + 1));
    }
  }
  return tables;
}

/** The names of nfknock's chains in a table. */
export function ownChains(saved: Saved, table: Table): readonly string[] {
  return [...(saved.get(table)?.keys() ?? [])].filter((name) => OWN.has(name));
}

/** The jumps to nfknock's chains in a table, from chains that are not its own. */
export function ownJumps(saved: Saved, table: Table): readonly { from: string; rule: string }[] {
  const found: { from: string; rule: string }[] = [];
  for (const [from, rules] of saved.get(table) ?? []) {
    if (OWN.has(from)) continue;
    for (const rule of rules) if (isOwnJump(rule)) found.push({ from, rule });
  }
  return found;
}

/** Those of the wanted jumps that have a chain to stand in. */
export function possibleJumps(saved: Saved, wanted: readonly Jump[]): readonly Jump[] {
  return wanted.filter((jump) => !jump.optional || saved.get(jump.table)?.has(jump.from) === true);
}

/** True where the wanted jumps, and no other of ours, stand in their chains; first, unless anywhere will do. */
export function jumpsInPlace(saved: Saved, table: Table, wanted: readonly Jump[]): boolean {
  const possible = possibleJumps(saved, wanted).filter((jump) => jump.table === table);
  const froms = new Set(possible.map((jump) => jump.from));
  for (const from of froms) {
    const mine = possible.filter((jump) => jump.from === from && jump.place === undefined);
    const first = (saved.get(table)?.get(from) ?? []).slice(0, mine.length).map(plain);
    if (mine.some((jump, index) => plain(jump.rule) !== first[index])) return false;
  }
  const somewhere = possible.filter(({ place }) => place === 'anywhere');
  return (
    ownJumps(saved, table).length === possible.length && somewhere.every((jump) => stands(saved, table, jump))
  );
}

/**
 * The lines that bring the jumps of a table to where they belong; none where they stand there already. To be
 * put into the block that writes the chains, after the rules.
 */
export function jumpEdits(saved: Saved, table: Table, wanted: readonly Jump[]): readonly string[] {
  if (jumpsInPlace(saved, table, wanted)) return [];
  const possible = possibleJumps(saved, wanted).filter((jump) => jump.table === table);
  const kept = possible.filter((jump) => jump.place === 'anywhere' && stands(saved, table, jump));
  const isKept = (from: string, rule: string): boolean =>
    kept.some((jump) => jump.from === from && plain(jump.rule) === plain(rule));
  return [
    ...jumpRemovals(saved, table, isKept),
    ...insertions(possible.filter((jump) => !kept.includes(jump))),
  ];
}

/** True where a jump is in its chain, once. */
function stands(saved: Saved, table: Table, { from, rule }: Jump): boolean {
  return (saved.get(table)?.get(from) ?? []).filter((each) => plain(each) === plain(rule)).length === 1;
}

export function jumpRemovals(
  saved: Saved,
  table: Table,
  isKept: (from: string, rule: string) => boolean = () => false,
): readonly string[] {
  return ownJumps(saved, table)
    .filter(({ from, rule }) => !isKept(from, rule))
    .map(({ from, rule }) => `-D ${from} ${rule}`);
}

function isOwnJump(rule: string): boolean {
  const target = / -[jg] (\S+)/.exec(` ${rule}`)?.[1];
  return target !== undefined && OWN.has(target);
}

/** Versions differ in whether they quote a comment of one word. */
function plain(rule: string): string {
  return rule.replaceAll('"', '');
}
