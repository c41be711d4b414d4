import { formatCidr, parseCidr } from '../packet/cidr.ts';

const HEAD = [
  '# Written by "nfknock doctor --drop-in", which writes all of it anew: what the configuration talks to, and no more.',
  '# What you let through yourself goes to a file of its own: systemctl edit nfknock.',
  '[Service]',
];
const OURS = /^(IPAddressAllow|RestrictAddressFamilies)=\S/;

/** The text of nfknock's drop-in with these lines. */
export function dropInText(lines: readonly string[]): string {
  return [...HEAD, ...lines, ''].join('\n');
}

/** What stands in a drop-in and is not needed. */
export function staleLines(text: string, needed: readonly string[]): readonly string[] {
  return settingsOf(text)
    .filter((line) => OURS.test(line))
    .flatMap(wordsOf)
    .filter((line) => !needed.includes(line));
}

/** What of a drop-in nfknock has not written and would lose. */
export function foreignLines(text: string): readonly string[] {
  return settingsOf(text).filter((line) => !OURS.test(line) && line !== '[Service]');
}

function settingsOf(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^[#;]/.test(line));
}

/** One line for each word, as nfknock writes it. */
function wordsOf(line: string): readonly string[] {
  const [key = '', values = ''] = line.split('=');
  return values.split(/\s+/).map((word) => {
    const network = parseCidr(word);
    return `${key}=${network === undefined ? word : formatCidr(network)}`;
  });
}
