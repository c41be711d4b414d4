import type { Fault } from '../config/fault.ts';
import { quoted } from '../text/plain.ts';

/** A setting of portsentry.conf; `rest` is what stands behind its value. */
interface Line {
  readonly key: string;
  readonly value: string;
  readonly line: number;
  readonly rest: string;
}

/** Settings whose value is a command: quotes inside it, and further lines, belong to it. */
const COMMANDS = /^KILL_(ROUTE|HOSTS_DENY|RUN_CMD)$|^PORT_BANNER$/;
/** Lines that an open quote may go on for: more are a quote that was forgotten. */
const LINES_MAX = 20;

/** Reads the lines as portsentry does: the value lies between quotes, and what is behind them is not looked at. */
export function readPortsentry(text: string, file: string, faults: Fault[]): readonly Line[] {
  const found: Line[] = [];
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at += 1) {
    const content = (lines[at] ?? '').trim();
    const line = at + 1;
    if (content === '' || content.startsWith('#')) continue;
    const [, key = '', after = ''] = /^([A-Z_0-9]+)\s*=\s*(.*)$/.exec(content) ?? [];
    const fault = (problem: string): void => {
      faults.push({
        file,
        line,
        column: 1,
        key: '(file)',
        problem: `${quoted(content)} ${problem}`,
        fix: 'expected NAME="VALUE"',
      });
    };
    if (key === '') {
      fault('is not a setting');
    } else if (COMMANDS.test(key)) {
      const last = endOf(lines, at, after);
      found.push({ key, value: [after, ...lines.slice(at + 1, last + 1)].join(' '), line, rest: '' });
      at = last;
    } else {
      const value = valueIn(after);
      if (value === undefined) fault('has no closing quote');
      else found.push({ key, line, ...value });
    }
  }
  return found;
}

/** The line in which a command's quotes are closed. */
function endOf(lines: readonly string[], first: number, text: string): number {
  if (!isOpen(text)) return first;
  for (let at = first + 1; at < lines.length && at - first <= LINES_MAX; at += 1) {
    const line = lines[at] ?? '';
    if (/^\s*[A-Z_0-9]+\s*=/.test(line) || line.trim().startsWith('#')) return at - 1;
    if (isOpen(line)) return at;
  }
  return first;
}

/** An odd number of quotes: one is open, or was before this line. */
function isOpen(text: string): boolean {
  return (text.split('"').length - 1) % 2 === 1;
}

function valueIn(text: string): { readonly value: string; readonly rest: string } | undefined {
  const quote = text[0];
  if (quote === '"' || quote === "'") {
    const close = text.indexOf(quote, 1);
    if (close < 0) return undefined;
    return { value: text.slice(1, close), rest: behind(text.slice(close + 1)) };
  }
  const [, value = '', rest = ''] = /^([^\s#]*)(.*)$/.exec(text) ?? [];
  return { value, rest: behind(rest) };
}

function behind(text: string): string {
  const rest = text.trim();
  return rest.startsWith('#') ? '' : rest;
}
