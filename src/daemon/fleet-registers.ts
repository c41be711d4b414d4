import type { FleetBan, FleetGrant, FleetLift } from '../engine/command.ts';
import type { Engine } from '../engine/engine.ts';
import type { Unsettled } from '../fleet/early.ts';
import type { Heard } from '../fleet/host.ts';
import type { BusClock } from '../fleet/offset.ts';
import { isTomb, type Register, registerKey } from '../fleet/register.ts';
import type { KeptWords } from '../fleet/resume.ts';
import { registerOf, rowOf } from '../fleet/row.ts';
import { formatCidr } from '../packet/cidr.ts';
import { milliseconds } from '../packet/time.ts';
import type { FleetChange, KeptFleet } from '../state/store.ts';

/* Registers as the state file, the engine's commands and what was kept have them. */

/** A register as text for the state file; one that was said before the time was known, with what it was made of. */
export function registerText(register: Register, unsettled?: Unsettled): string {
  const { table, field } = rowOf(register, 'keep');
  const text = `${table} ${base64(field)} ${valueText(register)}`;
  if (unsettled === undefined) return text;
  const { before, made, isProvisional } = unsettled;
  const [was, gen] = [
    before === undefined ? '-' : valueText(before),
    isProvisional ? 'unstamped' : 'stamped',
  ];
  return [text, 'early', was, valueText(made), gen].join(' ');
}

function valueText(register: Register): string {
  return base64(rowOf(register, 'keep').value ?? new Uint8Array(0));
}

/** The row of a register that this member says, not told yet. */
export function rowOfRegister(register: Register, unsettled?: Unsettled): FleetChange {
  return {
    change: 'register',
    key: registerKey(register),
    value: registerText(register, unsettled),
    untold: true,
  };
}

/** The rows of registers that this member has decided. */
export function rowsOfDecided(
  registers: readonly Register[],
  { unsettled }: { unsettled(register: Register): Unsettled | undefined },
): readonly FleetChange[] {
  return registers.map((register) => rowOfRegister(register, unsettled(register)));
}

/** Undefined where the file is damaged. */
export function registerFrom(text: string): Register | undefined {
  const [table = '', field = '', value = ''] = text.split(' ');
  if (table !== 'bans' && table !== 'grants') return undefined;
  const register = registerOf({ table, field: bytes(field), value: bytes(value) });
  return 'kind' in register ? register : undefined;
}

/** What it was made of, where it was said before the time was known. */
function unsettledFrom(text: string): Unsettled | undefined {
  const [table = '', field = '', , word, was = '', value = '', gen] = text.split(' ');
  if (word !== 'early') return undefined;
  const made = registerFrom(`${table} ${field} ${value}`);
  if (made === undefined) return undefined;
  return { before: registerFrom(`${table} ${field} ${was}`), made, isProvisional: gen === 'unstamped' };
}

/** What this machine has said, as its state file says. */
export function keptOf({ registers }: Pick<KeptFleet, 'registers'>): Omit<KeptWords, 'known'> {
  const kept = { own: [] as Register[], untold: [] as Register[], early: [] as Unsettled[] };
  for (const { value, untold } of registers.values()) {
    const [register, unsettled] = [registerFrom(value), unsettledFrom(value)];
    if (unsettled !== undefined) kept.early.push(unsettled);
    else if (register !== undefined) (untold ? kept.untold : kept.own).push(register);
  }
  return kept;
}

function base64(of: Uint8Array): string {
  return Buffer.from(of).toString('base64');
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}

/** Whom this machine itself has lifted, as its state file says. */
export function liftedHere({ registers }: Pick<KeptFleet, 'registers'>): ReadonlySet<string> {
  const bans = [...registers.values()].flatMap(({ value }) => {
    const register = registerFrom(value);
    return register?.kind === 'ban' ? [register] : [];
  });
  const targets = new Set(bans.filter(isTomb).map(({ target }) => formatCidr(target)));
  for (const ban of bans) if (!isTomb(ban)) targets.delete(formatCidr(ban.target));
  return targets;
}

/** As the engine is told of it, on its own clock. The lifting of all bans is carried out apart. */
export function commandOf(
  heard: Heard,
  clock: BusClock,
): {
  readonly lifts: readonly FleetLift[];
  readonly grants: readonly FleetGrant[];
  readonly bans: readonly FleetBan[];
} {
  const local = (at: number): ReturnType<typeof milliseconds> => milliseconds(clock.toLocal(at));
  return {
    lifts: heard.lifts.flatMap((lift): readonly FleetLift[] => {
      // A target is banned once, whatever the causes: what is left of either comes after.
      if (lift.kind === 'ban') return [{ lift: 'ban', target: lift.target, only: 'any' }];
      if (lift.kind === 'grant') return [{ lift: 'grant', door: lift.door, grantee: lift.grantee }];
      return [];
    }),
    grants: heard.grants.map(({ door, grantee, source, opened, until, uses }) => ({
      ...{ door, grantee, source, opened: local(opened), until: local(until), usesLeft: uses },
    })),
    bans: heard.bans.map(({ target, cause, since, until, count }) => ({
      ...{ target, origin: cause, since: local(since), until: local(until), count },
    })),
  };
}

/** What others said before a restart, and is in force here. Lifts that it knew of are not known any more. */
export function* knownOf(engine: Pick<Engine, 'eachBan' | 'eachGrant'>, bus: BusClock): Iterable<Register> {
  for (const ban of engine.eachBan()) {
    if (ban.from === undefined) continue;
    const { target, origin: cause, since, until, count } = ban;
    const moments = { since: bus.toBus(since), until: bus.toBus(until) };
    yield { kind: 'ban', target, cause, gen: 0, ...moments, count };
  }
  for (const grant of engine.eachGrant()) {
    if (grant.from === undefined) continue;
    const { door, grantee, source, opened, until, usesLeft } = grant;
    const moments = { opened: bus.toBus(opened), until: bus.toBus(until) };
    yield { kind: 'grant', door, grantee, gen: 0, ...moments, source, uses: usesLeft };
  }
}
