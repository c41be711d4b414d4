import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { isPort, type PortSpec } from '../packet/port.ts';
import { candidatesOf, knocksAt, type Rotation } from './candidates.ts';
import type { Key } from './key.ts';
import { type Prover, unproven } from './proof.ts';

/*
 * The packet of doorman 0.81: "<port> <group> <tag> <HMAC-MD5 of what stands before>", to 1001/udp. It says neither when
 * it was made nor for whom, so it opens for anyone who sends it first, and is remembered for ever.
 */

/** What a packet says. */
export interface DoormanKnock {
  readonly port: PortSpec;
  readonly group: string;
  /** What the HMAC is of. */
  readonly text: string;
  readonly mac: string;
}

/** Its client cuts its line at 79 bytes. */
const BYTES_MAX = 79;

export function parseDoorman(payload: Uint8Array): DoormanKnock | undefined {
  if (payload.length > BYTES_MAX) return undefined;
  const line = Buffer.from(payload).toString('latin1');
  const match = /^((\d{1,5}) ([!-~]{1,32}) +\d{1,10}) ([0-9a-f]{32})$/.exec(line);
  const port = Number(match?.[2]);
  if (match === null || !isPort(port)) return undefined;
  const [, text = '', , group = '', mac = ''] = match;
  return { port: { protocol: 'tcp', port }, group, text, mac };
}

/** Whether a knock was made with this secret. */
export function isDoormanKnock({ text, mac }: DoormanKnock, secret: Uint8Array): boolean {
  const wanted = createHmac('md5', secret).update(text, 'latin1').digest('hex');
  return timingSafeEqual(Buffer.from(mac, 'latin1'), Buffer.from(wanted, 'latin1'));
}

export function createDoormanProver(keys: readonly Key[], rotation: Rotation): Prover {
  const candidates = candidatesOf(keys, 'doorman');

  return ({ payload, source, port, now, wall }, budget) => {
    const knock = candidates.length === 0 ? undefined : parseDoorman(payload);
    if (knock === undefined) return unproven('precheck');
    const named = candidates.filter(
      (one) => one.credential.group === knock.group && knocksAt(one, port) && rotation.takes(one, wall),
    );
    if (named.length === 0) return unproven('key');
    if (!budget.macs(source, named.length, now)) return unproven('budget');
    const found = named.find(({ credential }) => isDoormanKnock(knock, credential.secret));
    if (found === undefined) return unproven('hmac');
    rotation.proven(found);
    // Of all that was sent, and not by its key's name: that may be another one day, and it is remembered for ever.
    const id = createHash('sha256').update(payload).digest().toString('hex', 0, 16);
    const wants = { by: 'ports', ports: [knock.port], nat: null } as const;
    return {
      outcome: 'proven',
      key: found.key,
      by: found.by,
      ask: { wants, address: null, seconds: 0, user: null },
      id,
      stamp: null,
    };
  };
}
