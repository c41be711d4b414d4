import { door } from '../src/config/door.ts';
import type { Default, Shape } from '../src/config/field.ts';
import { RESTART_KEYS } from '../src/config/restart.ts';
import { root } from '../src/config/schema.ts';
import { example, heading, page, paragraph, term } from './roff.ts';

/** nfknock.yaml(5), from the records of the options. Written and checked in test/unit/docs/man.test.ts. */

const ROOT: Shape = root.shape ?? {};
const DOOR: Shape = door.shape ?? {};

const EXAMPLE = `doors:
  ssh:
    knock: [7000/tcp, 8000/udp, 9000/tcp]
    opens: [22/tcp]
    for: 30s
decoys: all
allow: [80/tcp, 443/tcp]
bans: { strikes: 3, within: 60s, for: 10m }`;

export function configPage(version: string): string {
  return page('nfknock.yaml', 5, `nfknock ${version}`, 'nfknock manual', [
    heading('NAME'),
    'nfknock.yaml \\- the configuration of nfknock',
    heading('DESCRIPTION'),
    paragraph(
      'One YAML file. Durations are `250ms`, `10s`, `5m`, `2h`, `7d`. Ports are `22/tcp`, `53/udp`, ranges `6000-6100/tcp`; a bare number is tcp. Everything but `doors` has a default. `nfknock check` names every error by line and column, and says how strong each door is. It holds the secret: let only root and the daemon read it.',
    ),
    example(EXAMPLE),
    heading('KEYS'),
    ...termsOf(ROOT, ''),
    heading('KEYS OF A DOOR'),
    ...leavesOf(DOOR, ''),
    ...Object.entries(ROOT).flatMap(([name, { shape }]) =>
      shape === undefined ? [] : [heading(`KEYS OF ${name.toUpperCase()}`), ...leavesOf(shape, `${name}.`)],
    ),
    heading('RELOAD'),
    paragraph(
      `A reload takes a change of every key but these, which hold until the daemon is started anew: ${RESTART_KEYS.map((key) => `\`${key}\``).join(', ')}.`,
    ),
    heading('SEE ALSO'),
    '.BR nfknock (1)',
  ]);
}

/** A configuration with every key that has a default set to it: what the manual says, for the parser to judge. */
export function everyDefault(): string {
  const settings = (shape: Shape, indent: string): string[] =>
    Object.entries(shape).flatMap(([key, { fallback, shape: below }]) => {
      // What is not there unless it is written has keys that it must have.
      if (below !== undefined && fallback === null) return [`${indent}${key}: null`];
      if (below !== undefined) return [`${indent}${key}:`, ...settings(below, `${indent}  `)];
      return fallback === undefined ? [] : [`${indent}${key}: ${yamlOf(fallback)}`];
    });
  return [
    ...settings(ROOT, ''),
    'doors:',
    '  ssh:',
    ...settings(DOOR, '    ').filter((line) => !line.startsWith('    knock: ')),
    '    knock: [7000/tcp, 8000/udp, 9000/tcp]',
    '',
  ].join('\n');
}

/** The same with nothing said that has a default. */
export const NOTHING_SAID = 'doors: { ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp] } }\n';

function termsOf(shape: Shape, prefix: string): string[] {
  return Object.entries(shape).map(([key, { means, takes, fallback, shape: below }]) => {
    const sentences = [
      means,
      ...(below === undefined ? [takes] : []),
      ...(fallback === undefined ? [] : [`Default: \`${yamlOf(fallback)}\``]),
    ];
    return term(`${prefix}${key}`, sentences.map(sentence).join(' '));
  });
}

/** A section's keys, and in place of a section among them its own. */
function leavesOf(shape: Shape, prefix: string): string[] {
  return Object.entries(shape).flatMap(([key, option]) =>
    option.shape === undefined
      ? termsOf({ [key]: option }, prefix)
      : [...termsOf({ [key]: option }, prefix), ...leavesOf(option.shape, `${prefix}${key}.`)],
  );
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function yamlOf(fallback: Default): string {
  return typeof fallback === 'object' ? JSON.stringify(fallback) : String(fallback);
}
