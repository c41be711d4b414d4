import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatNotice } from '../../../src/config/import-notice.ts';
import { importKnockd } from '../../../src/importers/knockd.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { importPortsentry } from '../../../src/importers/portsentry.ts';

const fixtures = join(import.meta.dirname, '../../fixtures');
const ignored = (path: string): string | null => (path === '/etc/portsentry/portsentry.ignore' ? '127.0.0.1\n192.0.2.0/24 # us\n0.0.0.0\n' : null);
const files = ['knockd', 'portsentry'].flatMap((kind) => readdirSync(join(fixtures, kind)).map((name) => [kind, name] as const));

describe('A translated file', () => {
  it.each(files)('%s/%s is what the golden file says, warnings too, and passes our own parser', async (kind, name) => {
    const text = readFileSync(join(fixtures, kind, name), 'utf8');
    const imported = kind === 'knockd' ? importKnockd(text, name) : importPortsentry(text, name, ignored);
    if (!imported.ok) throw new Error(JSON.stringify(imported.faults));
    const golden = join(import.meta.dirname, kind, name.replace('.conf', ''));
    await expect(imported.yaml).toMatchFileSnapshot(`${golden}.yaml`);
    await expect(imported.warnings.map((warning) => `${formatNotice(warning)}\n`).join('')).toMatchFileSnapshot(`${golden}.warnings`);
    expect(parseConfig(imported.yaml, name)).toMatchObject({ ok: true });
  });
});
