import { existsSync, readFileSync } from 'node:fs';

/** What the package makes a first configuration from, with a knock that it draws. */
const TEMPLATE = '/usr/share/nfknock/nfknock.yaml';
const KNOCK = '@KNOCK@';

/** Whether a configuration is as the package has drawn it, and nobody has edited it. */
export function isDrawnByPackage(text: string, template: string = templateText()): boolean {
  const [before, after] = template.split(KNOCK);
  if (before === undefined || after === undefined) return false;
  if (!text.startsWith(before) || !text.endsWith(after)) return false;
  const knock = text.slice(before.length, text.length - after.length);
  return /^\d+\/(tcp|udp)(, \d+\/(tcp|udp)){3}$/.test(knock);
}

/** A name beside a file that nothing has yet. */
export function keepBeside(path: string): string {
  for (let turn = 1; ; turn += 1) {
    const name = turn === 1 ? `${path}.before-init` : `${path}.before-init-${turn}`;
    if (!existsSync(name)) return name;
  }
}

function templateText(): string {
  try {
    return readFileSync(TEMPLATE, 'utf8');
  } catch {
    return '';
  }
}
