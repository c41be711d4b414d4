import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { formatFault } from '../../../src/config/fault.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { settingsOf } from '../../../src/config/settings.ts';
import { isPublished } from '../../../src/policy/published.ts';
import { runScans } from '../../../src/strength/scans.ts';
import { warnings } from '../../../src/strength/warnings.ts';

// Ten thousand scans take their time where many tests run at once.
vi.setConfig({ testTimeout: 60_000 });

const folder = join(import.meta.dirname, '../../../examples');
const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

describe('An example', () => {
  it('is there for a first try, for each system that is replaced, and for what is ours', () => {
    expect(names).toEqual(
      expect.arrayContaining(
        ['nfknock', 'recent', 'portsentry', 'knockd', 'doorman', 'decred', 'appliance', 'chained'].map(
          (name) => `${name}.yaml`,
        ),
      ),
    );
  });

  it.each(names)('%s is sound', (name) => {
    const loaded = loadConfig(join(folder, name));
    expect(loaded.ok ? [] : loaded.faults.map(formatFault)).toEqual([]);
  });

  it.each(['nfknock', 'appliance', 'chained'])(
    '%s.yaml has nothing to warn of, and no scan opens its doors',
    (name) => {
      const loaded = loadConfig(join(folder, `${name}.yaml`));
      if (!loaded.ok) throw new Error('not sound');
      expect(warnings(loaded.config)).toEqual([]);
      for (const scans of runScans(
        settingsOf(loaded.config, () => []),
        2000,
      ).values()) {
        for (const { opened, banned, scans: count } of Object.values(scans))
          expect({ opened, banned }).toEqual({ opened: 0, banned: count });
      }
    },
  );

  it('for a first try explains every line that it has', () => {
    const lines = readFileSync(join(folder, 'nfknock.yaml'), 'utf8').split('\n');
    const unexplained = lines.filter(
      (line, index) => line.trim() !== '' && !line.includes('#') && !(lines[index - 1] ?? '').startsWith('#'),
    );
    expect(unexplained).toEqual(['doors:', 'bans:']);
  });
});

describe('The home server in a container', () => {
  const home = join(import.meta.dirname, '../../../deploy/home');

  it('has doors that are sound, with nothing to warn of', () => {
    const loaded = loadConfig(join(home, 'nfknock.yaml'));
    if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join());
    expect(warnings(loaded.config)).toEqual([]);
    expect(loaded.config.doors.every(({ knock }) => !('oneTime' in knock) && isPublished(knock))).toBe(true);
  });

  it('has the one capability, and the user of the image', () => {
    const composed = parse(readFileSync(join(home, 'compose.yml'), 'utf8')) as {
      services: { nfknock: Record<string, unknown> };
    };
    const dockerfile = readFileSync(join(home, '../../Dockerfile'), 'utf8');
    const id = /useradd --uid (\d+) --gid (\d+)/.exec(dockerfile);
    expect(composed.services.nfknock).toMatchObject({
      network_mode: 'host',
      user: 'nfknock',
      cap_drop: ['ALL'],
      cap_add: ['NET_ADMIN'],
      read_only: true,
      tmpfs: [`/run/nfknock:uid=${id?.[1]},gid=${id?.[2]},mode=0750`],
    });
  });
});
