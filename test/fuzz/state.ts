import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../src/state/sqlite.ts';
import { ban, grant, NOW } from '../unit/state/example.ts';
import { mutate } from './random.ts';
import { check, type Target } from './target.ts';

const OPTIONS = { now: NOW, history: 86_400_000 };

export const state: Target = {
  name: 'state files',
  short: 25,
  long: 5_000,
  start(random) {
    const folder = mkdtempSync(join(tmpdir(), 'nfknock-fuzz-'));
    const path = join(folder, 'state.db');
    const clear = (): void => {
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
    };
    const first = openStore(path, OPTIONS).store;
    const hosts = Array.from({ length: 200 }, (_, host) => host + 1);
    first.write(
      [...hosts.map((host) => ban(`203.0.113.${host}`, NOW + 9_000)), grant('ssh', '198.51.100.7')],
      NOW,
    );
    first.close();
    const sound = readFileSync(path);
    return {
      next() {
        clear();
        let bytes: Buffer = Buffer.from(sound);
        for (let times = 1 + random(8); times > 0; times -= 1) bytes = Buffer.from(mutate(bytes, random));
        if (random(8) === 0) bytes.fill(random(256), random(bytes.length + 1));
        writeFileSync(path, bytes);
        const { store, notice } = openStore(path, OPTIONS);
        const { grants, bans } = store.load(NOW);
        check(
          grants.every(({ until }) => until > NOW),
          'nothing that is over comes back',
        );
        check(
          bans.every(({ until }) => until > NOW),
          'no ban that is over comes back',
        );
        store.write([grant('mail', '198.51.100.8')], NOW);
        const { ok } = store.health();
        store.close();
        const kept = openStore(path, OPTIONS).store;
        const mail = kept.load(NOW).grants.some(({ door }) => door === 'mail');
        kept.close();
        check(!ok || mail, 'what is written to a store that says it is well is there again');
        return notice === null ? (bans.length === hosts.length ? 'whole' : 'in part') : 'set aside';
      },
      close: () => rmSync(folder, { recursive: true, force: true }),
    };
  },
};
