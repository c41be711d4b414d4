import { createHash } from 'node:crypto';
import { milliseconds } from '../packet/time.ts';
import {
  type Candidate,
  candidatesOf,
  FWKNOP_KEYS_A_PORT_MAX,
  knocksAt,
  type Rotation,
} from './candidates.ts';
import { hasFwknopForm, hasFwknopMac, openFwknop, withoutMac } from './fwknop.ts';
import { type FwknopFields, parseAccess, parseNat, TYPE } from './fwknop-fields.ts';
import type { FwknopCredential, Key } from './key.ts';
import { type Ask, type Prover, unproven } from './proof.ts';

type FwknopKey = Candidate<FwknopCredential>;

/** Proves fwknop's packets. Its packet names no key, so they are tried, the one that was used last first. */
export function createFwknopProver(
  keys: readonly Key[],
  ports: readonly number[],
  rotation: Rotation,
): Prover {
  const all = candidatesOf(keys, 'fwknop');
  const atPort = new Map<number, readonly FwknopKey[]>(
    ports.map((port) => [port, all.filter((one) => knocksAt(one, port)).slice(0, FWKNOP_KEYS_A_PORT_MAX)]),
  );

  function toFront(found: FwknopKey): void {
    for (const [port, list] of atPort) {
      if (list.includes(found)) atPort.set(port, [found, ...list.filter((one) => one !== found)]);
    }
  }

  return (packet, budget) => {
    const { payload, port, source, now, wall } = packet;
    const candidates = atPort.get(port) ?? [];
    if (candidates.length === 0 || !hasFwknopForm(payload)) return unproven('precheck');
    if (!budget.macs(source, candidates.length, now)) return unproven('budget');
    const found = candidates.find(
      (one) => hasFwknopMac(payload, one.credential) && rotation.takes(one, wall),
    );
    if (found === undefined) return unproven('hmac');
    const proof = openFwknop(withoutMac(payload, found.credential), found.credential);
    if (!proof.ok) return unproven(proof.stage);
    toFront(found);
    rotation.proven(found);
    return {
      outcome: 'proven',
      key: found.key,
      by: found.by,
      ask: askOf(proof.fields),
      id: createHash('sha256').update(payload).digest().toString('hex', 0, 16),
      stamp: milliseconds(proof.fields.time * 1000),
    };
  };
}

/** What the fields ask for. */
function askOf({ type, message, nat, timeout, user }: FwknopFields): Ask {
  const access = type === TYPE.command ? undefined : parseAccess(message);
  const host = nat === null ? null : parseNat(nat);
  const base = { address: access?.address ?? null, seconds: timeout, user };
  if (type === TYPE.command) return { ...base, wants: { by: 'nothing', reason: 'command' } };
  if (access === undefined) return { ...base, wants: { by: 'nothing', reason: 'ports' } };
  if (host === undefined) return { ...base, wants: { by: 'nothing', reason: 'nat' } };
  return { ...base, wants: { by: 'ports', ports: access.ports, nat: host } };
}
