import { type Fault, quoted } from '../config/fault.ts';

/** A directive of knockd.conf. */
export interface Directive {
  /** In small letters, as none of them depends on case. */
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

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

/** Reads the lines as knockd does: `#` only begins a comment in column one after blanks; names end at the first `=`. */
export function readKnockd(text: string, file: string): KnockdFile {
  const sections: Section[] = [];
  const faults: Fault[] = [];
  let directives: Directive[] | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const content = raw.trim();
    const line = index + 1;
    if (content === '' || content.startsWith('#')) continue;
    const fault = (found: string, allowed: string, mend: string): void => {
      faults.push({
        file,
        line,
        column: raw.length - raw.trimStart().length + 1,
        key: sections.at(-1)?.name ?? '(file)',
        found,
        allowed,
        mend,
      });
    };
    if (UNPRINTABLE.test(content)) {
      fault(quoted(content), 'printable text', 'remove the control character');
      continue;
    }
    if (content.startsWith('[') && content.endsWith(']')) {
      const name = content
        .slice(1, -1)
        .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ')
        .trim();
      if (name === '') fault('a section without a name', '[name]', 'name the door');
      directives = [];
      sections.push({ name: /^options$/i.test(name) ? 'options' : name, line, directives });
      continue;
    }
    const equals = content.indexOf('=');
    const name = nameOf(equals < 0 ? content : content.slice(0, equals));
    if (directives === undefined) {
      fault(quoted(content), 'directives in a section', 'begin with [options] or a door');
    } else if (equals < 0 && name !== 'usesyslog') {
      fault(quoted(content), 'NAME = VALUE', 'add the value');
    } else {
      directives.push({ name, value: equals < 0 ? '' : content.slice(equals + 1).trim(), line });
    }
  }
  return { sections, faults };
}

/** The directive's name in small letters; what is no name at all is shown in quotes, as it is found nowhere. */
function nameOf(text: string): string {
  const name = text.trim().toLowerCase();
  return /^[a-z0-9_-]{1,40}$/.test(name) ? name : quoted(name);
}
