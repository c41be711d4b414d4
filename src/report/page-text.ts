import type { BarData, MarkData, ReportData } from './data.ts';
import type { TextTools } from './page-dom.ts';

/*
 * Part of the page's own program, which runs in a browser: `html.ts` writes this function's text into the report.
 * So it may use nothing of this file but itself, and nothing that is imported but types.
 */

/** Words, numbers and colours. */
export function textTools(): TextTools {
  function kindNames(): readonly string[] {
    const marks = ['knock', 'wrong', 'too fast', 'expired', 'decoy', 'scan', 'key accepted', 'key refused'];
    return [...marks, 'grant', 'ban', 'shadow ban'];
  }

  /** One colour a kind, told apart also by shape; the same in light and dark. */
  function kindColour(kind: number): string {
    const colours = [
      '#3b82f6',
      '#f59e0b',
      '#c026d3',
      '#8b95a5',
      '#ef4444',
      '#b4540a',
      '#0d9488',
      '#7c3aed',
      '#16a34a',
      '#dc2626',
      '#94a3b8',
    ];
    return colours[kind] ?? '#888888';
  }

  /** UTC, to the millisecond. */
  function clockText(at: number): string {
    return new Date(at).toISOString().slice(0, 23).replace('T', ' ');
  }

  function numberText(value: number): string {
    return String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f');
  }

  function markText(data: ReportData, mark: MarkData): string {
    const [at, , kind, door, port, step, of, reason, n] = mark;
    const parts = [`${clockText(at)}  ${kindNames()[kind] ?? ''} on ${port}`];
    const name = data.doors[door]?.name;
    if (name !== undefined) parts.push(`door ${name}${step > 0 ? `, step ${step} of ${of}` : ''}`);
    if (reason !== '') parts.push(reason);
    if (n > 1) parts.push(`stands for ${numberText(n)} events near it`);
    return parts.join('\n');
  }

  function barText(data: ReportData, bar: BarData): string {
    const [from, to, , kind, door, ended, grantee, key] = bar;
    const what =
      kind === 0
        ? `door ${data.doors[door]?.name ?? ''} open for ${grantee}${key === '' ? '' : ` by ${key}`}`
        : `${kindNames()[kind + 8]} of ${grantee}`;
    const how = ended === '' ? 'still in force when the capture ends' : `ended: ${ended}`;
    return `${what}\n${clockText(from)} – ${clockText(to)}\n${how}`;
  }

  return { kindNames, kindColour, clockText, numberText, markText, barText };
}
