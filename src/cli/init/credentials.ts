import { formatProfile } from '../../config/client-key.ts';
import { withKey } from '../../config/key-file-edit.ts';
import { isPort, parseKnock, parsePortRange } from '../../packet/port.ts';
import { isKeyName } from '../../spa/key.ts';
import { edited, withRealmIn } from '../keys/change-keys.ts';
import { editKeys } from '../keys/edit-key-file.ts';
import { type Handout, handoutOf } from '../keys/handout.ts';
import { makeKey, takeSshKey } from '../keys/make-key.ts';
import type { Answers } from './answers.ts';

/** A key as its owner takes it along. */
export interface Given {
  readonly name: string;
  readonly handout: Handout;
}

const SPARE = '-spare';
const NAME_MAX = 32 - SPARE.length - 2;

/** Makes the owner's key and a spare one, and puts both into the key file. Rejects with CommandFailure. */
export async function makeKeys(
  { door, opens, method, sshKey, host }: Answers,
  { file, port, owner }: { readonly file: string; readonly port: number; readonly owner: string },
): Promise<readonly Given[]> {
  const made = [
    method === 'ssh' && sshKey !== null ? takeSshKey(sshKey) : makeKey('ed25519'),
    makeKey('ed25519'),
  ];
  const given: Given[] = [];
  await editKeys(file, async (held) => {
    const { text: before, realm } = withRealmIn(held);
    const taken = held.file.keys.map(({ name }) => name);
    let text: string | undefined = before;
    for (const [at, each] of made.entries()) {
      const name = freeName(`${keyName(owner)}${at === 0 ? '' : SPARE}`, taken);
      const handout = handoutOf(each, {
        name,
        person: null,
        host,
        port: isPort(port) ? port : null,
        realm,
        doors: [door],
        opens: opens.flatMap((range) => parsePortRange(range) ?? []),
        codes: [],
      });
      given.push({ name, handout });
      text = withKey(text ?? '', name, { [each.kind]: each.entry, doors: [door] });
    }
    return edited(text, { file, doors: new Map(), codes: new Map(), ports: [] });
  });
  return given;
}

/** What a client keeps to knock a sequence with, as it keeps a key. */
export function sequenceProfile({ host, door }: Answers, sequence: readonly string[]): string {
  const knock = sequence.flatMap((step) => parseKnock(step) ?? []);
  const about = `nfknock at ${host}: anyone who has this opens ${door}; keep it 0600`;
  return formatProfile({ host, knock, key: null, doors: [door] }, about);
}

/** The name of a key, from that of a user. */
export function keyName(user: string): string {
  const name = user
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, NAME_MAX);
  return isKeyName(name) ? name : 'owner';
}

function freeName(wished: string, taken: readonly string[]): string {
  for (let turn = 1; ; turn += 1) {
    const name = turn === 1 ? wished : `${wished.slice(0, 28)}-${turn}`;
    if (!taken.includes(name)) return name;
  }
}
