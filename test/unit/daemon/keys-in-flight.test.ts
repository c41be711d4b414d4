import { expect, it } from 'vitest';
import { settingsOf } from '../../../src/config/settings.ts';
import { createKeys } from '../../../src/daemon/keys.ts';
import { createEngine } from '../../../src/engine/engine.ts';
import type { EngineEvent } from '../../../src/engine/event.ts';
import { decode } from '../../../src/packet/decode.ts';
import { emptyPacket } from '../../../src/packet/packet.ts';
import type { Credential, Key } from '../../../src/spa/key.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import { datagram } from '../../support/keys-machine.ts';
import { configOf, settled } from '../../support/memory-machine.ts';
import { testClock } from '../../support/test-clock.ts';
import { fileOf, keyOf, SECRET, v1Packet } from '../spa/spa-world.ts';

/* The key file is read anew while it is asked whether a packet was used already, which a fleet may take a while to say. */

const ADA = '198.51.100.7';
const CONFIG = configOf(
  '{ listen: { spa: [62201/udp] }, doors: { ssh: { knock: spa, opens: [22] } }, memory: { sources: 1024 } }',
);
const secret = (byte: number): Extract<Credential, { kind: 'secret' }> => ({
  kind: 'secret',
  secret: Buffer.alloc(32, byte),
});
const BEN: Key = keyOf('ben', SECRET);
/** Equal, and none of its objects the same. */
const copied = (): Credential =>
  SECRET.kind === 'secret' ? { kind: 'secret', secret: Buffer.from(SECRET.secret) } : expect.unreachable();
const reread = (): Key => keyOf('ben', copied());

/** What comes of a packet of ben's that is on its way while the keys become these. */
async function become(next: readonly Key[], before: Key = BEN): Promise<readonly string[]> {
  const clock = testClock();
  const events: EngineEvent[] = [];
  const engine = createEngine(
    settingsOf(CONFIG, () => []),
    [1, 2],
  );
  let answer = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const keys = createKeys({
    ...{ clock, engine, store: openMemoryStore({}, clock.wall()), config: () => CONFIG },
    announcer: { announce: () => undefined },
    inFleet: (own) => ({
      async claim(use, time) {
        await asked;
        return own.claim(use, time);
      },
    }),
    collect: (event) => events.push(event),
    carryOut: () => undefined,
    overBudget: () => undefined,
    settle: () => undefined,
  });
  keys.begin(fileOf(before), false);
  const packet = emptyPacket();
  const bytes = datagram(ADA, v1Packet(SECRET, { time: Math.floor(clock.wall()), nonce: 1 }));
  decode(bytes, 0, bytes.length, packet);
  expect(keys.prove(packet, clock.now())).toBe(true);
  keys.replace(fileOf(...next));
  answer();
  await keys.drained();
  await settled();
  return events.map((event) => ('reason' in event ? `${event.event} ${event.reason}` : event.event));
}

it.each<[string, Key[]]>([
  ['the same file, read anew', [reread()]],
  ['a file with one more', [reread(), keyOf('eve', secret(3))]],
  [
    'one that was rotated, whose old secret is still taken',
    [keyOf('ben', secret(4), { previous: { credential: SECRET, until: 4_000_000_000_000 } })],
  ],
])('a packet on its way opens under %s', async (_, next) => {
  expect(await become(next)).toEqual(['door.opened']);
});

it.each<[string, Key[], string]>([
  ['no such key', [], 'expired'],
  ['another secret', [keyOf('ben', secret(4))], 'expired'],
  [
    'one that was rotated, and whose old secret has had its time',
    [keyOf('ben', secret(4), { previous: { credential: SECRET, until: 1 } })],
    'expired',
  ],
  ['a key with another name', [keyOf('eve', SECRET)], 'expired'],
  ['the key without the door', [keyOf('ben', SECRET, { doors: ['web'] })], 'door'],
  ['the key of another day', [keyOf('ben', SECRET, { expires: 1 })], 'expired'],
  ['the key with an address to be named', [keyOf('ben', SECRET, { address: 'required' })], 'address'],
])('and nothing under %s', async (_, next, reason) => {
  expect(await become(next)).toEqual([`spa.rejected ${reason}`]);
});

it('one of the secret before opens while that is still taken, and not once it is gone', async () => {
  const rotated = keyOf('ben', secret(4), { previous: { credential: SECRET, until: 4_000_000_000_000 } });
  const again = keyOf('ben', secret(4), { previous: { credential: copied(), until: 4_000_000_000_000 } });
  expect(await become([again], rotated)).toEqual(['door.opened']);
  expect(await become([keyOf('ben', secret(4))], rotated)).toEqual(['spa.rejected expired']);
});
