import type { Command } from '../../src/engine/command.ts';
import { type Bits, bitsOfAddress, networkOf, networkText, textOf } from './address.ts';
import { granteeOf, holderFields, holdsAny, makeGrant } from './grant.ts';
import { ban, forgive, isExempt, offenderOf, strike, whyExempt } from './offence.ts';
import { type Fields, lacking, type Result, type State } from './state.ts';

type Authorize = Extract<Command, { command: 'authorize' }>;

/** Why an authenticated packet does not open; undefined where it does. */
export function whyNotAuthorized(
  state: State,
  { door, address }: Authorize,
): 'unknown door' | 'everybody' | 'banned' | undefined {
  const settings = state.settings.doors.find(({ name }) => name === door);
  if (settings === undefined) return 'unknown door';
  const host = bitsOfAddress(address);
  const isEverybody = state.everybody.some((network) => host.startsWith(network));
  if (settings.grant === 'source' && isEverybody) return 'everybody';
  return bansOver(state, host).some((target) => state.bans.get(target)?.origin === 'order')
    ? 'banned'
    : undefined;
}

/** All of it is about the address that is let in: no ban that strikes brought about stands, nothing is held against it. */
export function authorize(state: State, command: Authorize, now: number): Result {
  const host = bitsOfAddress(command.address);
  const door = state.settings.doors.find(({ name }) => name === command.door);
  const why = whyNotAuthorized(state, command);
  if (why === 'everybody') {
    const refused = { event: 'door.refused', at: now, source: textOf(host), door: command.door };
    const said = { ...refused, reason: 'gateway or name server', ...holderFields(command.holder) };
    return { state, events: [said] };
  }
  if (why !== undefined || door === undefined) return { state, events: [] };
  const over = bansOver(state, host);
  const lifted = over.map((target) => ({
    event: 'ban.lifted',
    at: now,
    target: networkText(target),
    reason: 'key',
  }));
  const free: State = { ...state, bans: lacking(state.bans, (target) => over.includes(target)) };
  const { state: forgiven, pardoned } = forgive(free, host);
  const { holder } = command;
  const wanted = { grantee: granteeOf(door, host), source: host, until: now + command.for, pardoned, holder };
  const made = makeGrant(forgiven, door, wanted, now);
  return { state: made.state, events: [...lifted, ...made.events] };
}

/** An authenticated packet that opens nothing is an offence where its source sends what another had used. */
export function reject(state: State, command: Extract<Command, { command: 'reject' }>, now: number): Result {
  const source = bitsOfAddress(command.source);
  const said: Fields = {
    ...{
      source: textOf(source),
      port: `${command.port.port}/${command.port.protocol}`,
      reason: command.reason,
    },
    ...holderFields(command.holder),
    ...(command.detail === undefined ? {} : { detail: command.detail }),
  };
  const event = { event: 'spa.rejected', at: now, ...said };
  if (!command.offence || bansOver(state, source).length > 0 || holdsAny(state, source))
    return { state, events: [event] };
  const struck = strike(state, source, 'light', now);
  return { state: struck.state, events: [{ ...event, ...struck.said }, ...struck.events] };
}

/** A code that opens nothing is no strike; one wrong one too many is a ban at once, of the longest there is. */
export function refuseCode(
  before: State,
  command: Extract<Command, { command: 'refuse_code' }>,
  now: number,
): Result {
  const source = bitsOfAddress(command.source);
  const { port, digits = 0, protocol } = command.port;
  const number = String(port).slice(0, String(port).length - digits);
  const said: Fields = {
    ...{ source: textOf(source), port: `${number}${'?'.repeat(digits)}/${protocol}`, door: command.door },
    ...{ step: command.of, of: command.of, reason: command.reason },
    ...holderFields(command.holder),
    ...(command.detail === undefined ? {} : { detail: command.detail }),
  };
  const event = { event: 'knock.wrong', at: now, ...said };
  if (!command.tooMany || bansOver(before, source).length > 0) return { state: before, events: [event] };
  if (isExempt(before, source))
    return { state: before, events: [{ ...event, ...whyExempt(before, source) }] };
  const offender = offenderOf(before, source, 'knock');
  const banned = ban(before, offender, now, before.settings.bans.max, source);
  const added = { ...banned.added, strikes: 0, reason: 'code' };
  return { state: banned.state, events: [event, ...banned.events, added] };
}

function bansOver(state: State, host: Bits): readonly Bits[] {
  return [...new Set([host, networkOf(host)])].filter((target) => state.bans.has(target));
}
