import type { Imported, Notice } from '../config/import-notice.ts';
import { parseConfig } from '../config/parse.ts';
import { oneLine } from '../text/plain.ts';

/** A door of a translated file: its name, where it came from, and its keys as lines of YAML. */
export interface YamlDoor {
  readonly name: string;
  readonly comment: string;
  readonly lines: readonly string[];
}

/** What a translated file holds. Lines are YAML already; comments are one line each. */
export interface ForeignYaml {
  readonly from: string;
  readonly notes: readonly string[];
  readonly interfaces: readonly string[];
  /** Further lines of `listen`. */
  readonly listen?: readonly string[];
  readonly doors: readonly YamlDoor[];
  readonly decoys: readonly string[];
  readonly bans: readonly (readonly [line: string, comment: string])[];
  readonly log: string | null;
}

/** The text of the file, ready for `parseConfig`. */
export function foreignYaml(foreign: ForeignYaml): string {
  const { from, notes, interfaces, listen = [], doors, decoys, bans, log } = foreign;
  const lines = [
    `# Translated from ${oneLine(from)} by nfknock import.`,
    ...notes.map((note) => `# ${note}`),
  ];
  const watched =
    interfaces.length === 0 ? [] : [`interfaces: [${interfaces.map((name) => yamlText(name)).join(', ')}]`];
  if (watched.length + listen.length > 0)
    lines.push('listen:', ...[...watched, ...listen].map((line) => `  ${line}`));
  if (doors.length === 0) lines.push('doors: {}');
  else lines.push('doors:');
  for (const door of doors) {
    const name =
      /^[a-z]/.test(door.name) && !/^(null|true|false)$/.test(door.name) ? door.name : yamlText(door.name);
    lines.push(`  ${name}: # ${oneLine(door.comment)}`, ...door.lines.map((line) => `    ${line}`));
  }
  if (decoys.length > 0) lines.push(...wrapped('decoys', decoys));
  if (bans.length > 0)
    lines.push(
      'bans:',
      ...bans.map(([line, comment]) => `  ${line}${comment === '' ? '' : ` # ${oneLine(comment)}`}`),
    );
  if (log !== null) lines.push('log:', `  file: ${yamlText(log)}`);
  return `${lines.join('\n')}\n`;
}

/** A translation that our own parser takes, or what it says against it. */
export function checked(yaml: string, warnings: readonly Notice[], file: string): Imported {
  const parsed = parseConfig(yaml, `${file} (translated)`);
  if (!parsed.ok) return parsed;
  return { ok: true, yaml, warnings: warnings.toSorted((a, b) => a.line - b.line) };
}

/** A text in quotes; JSON's are YAML's, but for characters that YAML wants escaped. */
export function yamlText(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffd-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Items in one line of a list. */
const ITEMS_IN_A_LINE = 10;

function wrapped(key: string, items: readonly string[]): string[] {
  if (items.length <= ITEMS_IN_A_LINE) return [`${key}: [${items.join(', ')}]`];
  const lines = [`${key}:`, '  ['];
  for (let at = 0; at < items.length; at += ITEMS_IN_A_LINE)
    lines.push(`    ${items.slice(at, at + ITEMS_IN_A_LINE).join(', ')},`);
  lines.push('  ]');
  return lines;
}
