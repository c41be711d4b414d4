/** Writes manual pages in the language of man(7), so that text can hold anything. */

/** Text as roff prints it: a backslash, a minus and a dot at a line's beginning would mean something else. */
function escapeRoff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^(['.])/gm, '\\&$1');
}

/** Prose: what stands between backquotes is bold. */
function prose(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? escapeRoff(part) : `\\fB${escapeRoff(part)}\\fR`))
    .join('');
}

export function heading(title: string): string {
  return `.SH ${title.includes(' ') ? `"${title}"` : title}`;
}

export function paragraph(text: string): string {
  return `.PP\n${prose(text)}`;
}

/** A term, and indented below it what it means. */
export function term(name: string, text: string): string {
  return `.TP\n\\fB${escapeRoff(name)}\\fR\n${prose(text)}`;
}

/** Lines as they are, indented. */
export function example(text: string): string {
  return `.PP\n.RS 4\n.nf\n${escapeRoff(text)}\n.fi\n.RE`;
}

export function page(
  name: string,
  section: number,
  source: string,
  manual: string,
  parts: readonly string[],
): string {
  return [
    `.TH ${name.toUpperCase()} ${section} "" "${source}" "${manual}"`,
    '.nh',
    '.ad l',
    ...parts,
    '',
  ].join('\n');
}
