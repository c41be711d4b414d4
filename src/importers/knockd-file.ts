import type { Fault } from '../config/fault.ts';
import { oneLine, quoted } from '../text/plain.ts';
import { asTyped } from './copied.ts';
import type { Directive } from './directive.ts';

export interface Section {
  readonly name: string;
  readonly line: number;
  /** In the order of the file. */
  readonly directives: readonly Directive[];
}

export interface KnockdFile {
  readonly sections: readonly Section[];
  readonly faults: readonly Fault[];
}

/** Bytes of a foreign configuration. */
export const FOREIGN_BYTES_MAX = 524_288;

/** Control characters but the tab: nothing that a path, a name or a word of a command is meant to hold. */
const UNPRINTABLE = /(?!\t)[\p{Cc}\p{Zl}\p{Zp}]/u;

/** Directives of [options], so that they are known where their header was lost in copying. */
const OPTIONS = ['usesyslog', 'logfile', 'pidfile', 'interface'];
/** Directives that a comment behind their value is cut from: knockd reads these up to the first stranger. */
const PLAIN = ['sequence', 'seq_timeout', 'timeout', 'cmd_timeout', 'tcpflags', 'interface', 'target'];
/** Directives whose value is a path, which may hold the sign of a comment, but none behind a blank. */
const PATHS = ['logfile', 'pidfile', 'one_time_sequences'];

/**
 * Reads the lines as knockd does: `#` only begins a comment in column one after blanks, names end at the first `=`.
 * What is lost or added in copying is put right and told: a bracket, a header, a line that goes on in the next.
 */
export function readKnockd(
  text: string,
  file: string,
  warn: (line: number, key: string, what: string) => void,
): KnockdFile {
  const sections: Section[] = [];
  const faults: Fault[] = [];
  let directives: Directive[] | undefined;
  const begin = (name: string, line: number): Directive[] => {
    directives = [];
    sections.push({ name: /^options$/i.test(name) ? 'options' : name, line, directives });
    return directives;
  };
  const lines = partedLines(joinedLines(text));
  for (const [index, { raw, line, joined, shown }] of lines.entries()) {
    const content = raw.trim();
    if (content === '' || content.startsWith('#')) continue;
    if (shown !== undefined)
      warn(line, sections.at(-1)?.name ?? '(file)', `${quoted(shown)} is taken as ${quoted(content)}`);
    if (joined)
      warn(
        line,
        sections.at(-1)?.name ?? '(file)',
        'goes on in the next line, which knockd would not read; joined',
      );
    const fault = (problem: string, fix: string): void => {
      faults.push({
        file,
        line,
        column: raw.length - raw.trimStart().length + 1,
        key: sections.at(-1)?.name ?? '(file)',
        problem,
        fix,
      });
    };
    if (UNPRINTABLE.test(content)) {
      fault(`${quoted(content)} has a control character`, 'remove it');
      continue;
    }
    const header = headerOf(content) ?? nakedHeaderOf(content, lines, index);
    if (header !== undefined) {
      const name = oneLine(header);
      if (name === '') fault('the section has no name', 'write the name of the door, for example [ssh]');
      else if (content !== `[${header}]`) warn(line, name, `${quoted(content)} is taken as [${name}]`);
      begin(name, line);
      continue;
    }
    const equals = content.indexOf('=');
    const name = nameOf(equals < 0 ? content : content.slice(0, equals));
    const known = OPTIONS.includes(name) ? 'options' : Object.hasOwn(DOOR_DIRECTIVES, name) ? 'door' : null;
    if (directives === undefined && (equals < 0 ? name !== 'usesyslog' : known === null)) {
      fault(`${quoted(content)} is not in a section`, 'begin with [options] or a door');
    } else if (equals < 0 && name !== 'usesyslog') {
      fault(`${quoted(content)} has no value`, 'expected NAME = VALUE');
    } else {
      if (directives === undefined || (sections.at(-1)?.name === 'options' && known === 'door')) {
        warn(
          line,
          known ?? 'options',
          `stands under no header of its own; taken as one of [${known ?? 'options'}]`,
        );
        begin(known ?? 'options', line);
      }
      const value = equals < 0 ? '' : content.slice(equals + 1).trim();
      (directives ?? []).push({ name, value: uncommented(name, value), line });
    }
  }
  return { sections, faults };
}

const DOOR_DIRECTIVES: Readonly<Record<string, true>> = {
  sequence: true,
  one_time_sequences: true,
  seq_timeout: true,
  tcpflags: true,
  command: true,
  start_command: true,
  stop_command: true,
  cmd_timeout: true,
};

interface Line {
  readonly raw: string;
  readonly line: number;
  readonly joined: boolean;
  /** What stood there, where it is taken as something else. */
  readonly shown?: string;
}

/** Lines as they were typed, and parted from a header that has lost the end of the line before it. */
function partedLines(lines: readonly Line[]): readonly Line[] {
  return lines.flatMap((each, index) => {
    if (each.raw.trim().startsWith('#')) return [each];
    const raw = each.raw.includes('=') ? asTyped(each.raw) : each.raw;
    const typed: Line = raw === each.raw ? each : { ...each, raw, shown: each.raw.trim() };
    const [, before, header] = /^(.*[^\s[\]].*?)(\[[A-Za-z][\w -]{0,39}\])\s*$/.exec(raw) ?? [];
    if (before === undefined || header === undefined || !begins(header, lines, index)) return [typed];
    return [
      { ...typed, raw: before, shown: each.raw.trim() },
      { ...each, raw: header },
    ];
  });
}

/** Lines, those that end in a backslash together with the next. */
function joinedLines(text: string): readonly Line[] {
  const lines: { raw: string; line: number; joined: boolean }[] = [];
  let open: { raw: string; line: number; joined: boolean } | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const goesOn = /(^|[^\\])\\\s*$/.test(raw) && !raw.trim().startsWith('#');
    const part = goesOn ? raw.replace(/\\\s*$/, ' ') : raw;
    if (open === undefined) {
      open = { raw: part, line: index + 1, joined: goesOn };
      lines.push(open);
    } else open.raw += part.trim();
    if (!goesOn) open = undefined;
  }
  return lines;
}

/** The name in a header, also where one of its brackets is missing or a comment follows. */
function headerOf(content: string): string | undefined {
  if (content.startsWith('[') && content.endsWith(']')) return content.slice(1, -1);
  if (content.includes('=')) return undefined;
  const [, name] = /^\[([^\]]*)(?:\]\s*(?:#.*)?)?$/.exec(content) ?? /^([^[\]]+)\]$/.exec(content) ?? [];
  return name;
}

/** The name in a header that has lost both brackets: a word by itself, before what only begins a section. */
function nakedHeaderOf(
  content: string,
  lines: readonly { readonly raw: string }[],
  at: number,
): string | undefined {
  if (!/^(?!usesyslog$)[a-z][\w-]{0,39}$/i.test(content)) return undefined;
  return begins(content, lines, at) ? content : undefined;
}

/** Whether the next line that says anything is one that only begins a section of that name. */
function begins(name: string, lines: readonly { readonly raw: string }[], at: number): boolean {
  let next = at + 1;
  while (next < lines.length && /^\s*(?:#|$)/.test(lines[next]?.raw ?? '')) next += 1;
  const first = /^\[?options\]?$/i.test(name)
    ? new RegExp(`^(?:${OPTIONS.join('|')})\\b`, 'i')
    : /^(?:one_time_)?sequences?\s*=/i;
  return first.test(lines[next]?.raw.trim() ?? '');
}

function uncommented(name: string, value: string): string {
  if (PATHS.includes(name)) return value.replace(/\s+#.*$/, '').trim();
  return PLAIN.includes(name) ? value.replace(/\s*#.*$/, '').trim() : value;
}

/** The directive's name in small letters; what is no name at all is shown in quotes, as it is found nowhere. */
function nameOf(text: string): string {
  const name = text.trim().toLowerCase();
  return /^[a-z0-9_-]{1,40}$/.test(name) ? name : quoted(name);
}
