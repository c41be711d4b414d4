import type { BanRow, ExplainRow, Explanation, GrantRow, Moment, SourceRow } from '../control/answers.ts';
import type { Ban } from '../engine/ban.ts';
import type { NfknockEvent } from '../engine/event.ts';
import type { GrantView } from '../engine/views.ts';
import { type Address, formatAddress } from '../packet/address.ts';
import { formatCidr } from '../packet/cidr.ts';
import { formatPort, type Port } from '../packet/port.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { saidPort } from '../policy/codes.ts';
import type { Running } from './dependencies.ts';
import { doubtWords } from './fleet-doubts.ts';
import { granteeText } from './hook-subject.ts';
import { inTurns } from './in-turns.ts';
import { inJudgedOrder } from './judged-order.ts';

/** Sources listed at once, and packets told of one source: what a person can read. */
const SOURCES_MAX = 1000;
const PACKETS_MAX = 500;

/** What the control socket answers with, in the words of `answers.ts`. */
interface Rows {
  readonly grantRow: (grant: GrantView) => GrantRow;
  readonly banRow: (ban: Ban) => BanRow;
  readonly sources: (limit?: number) => Promise<readonly SourceRow[]>;
  readonly explain: (host: Address) => Explanation;
}

export function rowsOf(core: Running): Rows {
  const { engine, clock } = core;

  function grantRow(each: GrantView): GrantRow {
    const { door, grantee, source, since, until, usesLeft, reason, holder, from = null } = each;
    return {
      door,
      grantee: granteeText(grantee),
      source: formatAddress(source),
      since: moment(since),
      until: moment(until),
      uses_left: usesLeft,
      reason,
      ...byKey(holder ?? {}),
      from,
    };
  }

  function banRow({ target, since, until, count, from }: Ban): BanRow {
    const moments = { since: moment(since), until: moment(until) };
    return { target: formatCidr(target), ...moments, count, shadow: false, from: from ?? null };
  }

  async function sources(limit: number = SOURCES_MAX): Promise<readonly SourceRow[]> {
    const found = await inTurns(engine.sources(clock.now(), Math.min(limit, SOURCES_MAX)), clock);
    return found.map(({ source, strikes, attempts, bannedUntil }) => ({
      source: formatAddress(source),
      strikes,
      attempts,
      banned: bannedUntil === null ? null : moment(bannedUntil),
    }));
  }

  function explain(host: Address): Explanation {
    const state = engine.source(host, clock.now());
    const ban = engine.ban(host);
    return {
      source: formatAddress(host),
      grants: engine.grantsOf(host).map(grantRow),
      ban: ban === undefined ? null : banRow(ban),
      strikes: state.strikes,
      attempts: state.attempts,
      packets: packets(host),
      forgotten: core.history.forgotten(),
    };
  }

  /** Each packet with what was said of it; ends and commands stand between them on rows of their own. */
  function packets(host: Address): readonly ExplainRow[] {
    const said = core.announcer.recent(host);
    const byPacket = new Map<string, NfknockEvent>();
    const rest: NfknockEvent[] = [];
    const remembered = core.history.of(host, PACKETS_MAX);
    // The packet's own row already says that it opened the door; who was let in by hand sent none.
    const opening = new Set(
      remembered.filter(({ outcome }) => outcome === 'opened' || outcome === 'proven').map(({ at }) => at),
    );
    for (const event of said) {
      if ('port' in event) byPacket.set(`${event.at} ${formatPort(event.port)}`, event);
      else if (event.event !== 'door.opened' || !opening.has(event.at)) rest.push(event);
    }
    const rows = remembered.map(({ at, protocol, port, outcome }) => {
      const name = formatPort(saidPort(core.config().doors, { protocol, port: port as Port }));
      const event = byPacket.get(`${at} ${name}`);
      // A code is looked at once its last knock has been accepted.
      const isRefused = event?.event === 'knock.wrong' && outcome === 'accepted';
      return { at, row: row(at, name, isRefused ? 'wrong' : outcome, event) };
    });
    const doubts = (core.life?.doubts(host) ?? []).map((doubt) => {
      const { at, door } = doubt;
      const told = { reason: doubtWords(doubt), ...(door === undefined ? {} : { door }) };
      return { at, row: row(at, null, 'fleet.refused', told) };
    });
    const between = rest
      .slice(-PACKETS_MAX)
      .map((event) => ({ at: event.at, row: row(event.at, null, event.event, event) }));
    if (doubts.length > 0) {
      between.push(...doubts.slice(-PACKETS_MAX));
      between.sort((one, other) => one.at - other.at);
    }
    return inJudgedOrder(rows, between).map((each) => each.row);
  }

  function row(
    at: Milliseconds,
    port: string | null,
    outcome: string,
    event: NfknockEvent | EventFields | undefined,
  ): ExplainRow {
    const fields: EventFields = (event ?? {}) as EventFields;
    return {
      time: moment(at),
      port,
      outcome,
      door: fields.door ?? null,
      step: fields.step ?? null,
      of: fields.of ?? null,
      strikes: fields.strikes ?? null,
      exempt: fields.exempt ?? null,
      reason: reasonOf(fields),
      ...byKey(fields),
    };
  }

  function moment(at: number): Moment {
    return new Date(clock.wallOf(milliseconds(at))).toISOString();
  }

  return { grantRow, banRow, sources, explain };
}

/** What an event may tell of a packet. */
interface EventFields {
  readonly exempt?: string;
  readonly door?: string;
  readonly step?: number;
  readonly of?: number;
  readonly strikes?: number;
  readonly reason?: string;
  readonly detail?: string;
  readonly origin?: string;
  readonly key?: string;
  readonly person?: string | null;
}

/** What another member of the fleet said is believed as its word. */
function reasonOf({ detail, reason, origin }: EventFields): string | null {
  const why = detail ?? reason ?? null;
  if (origin === undefined) return why;
  return why === null || why === 'fleet' ? `member ${origin} says so` : `${why}, as member ${origin} says`;
}

const byKey = ({ key = null, person = null }: { key?: string | null; person?: string | null }) => ({
  key,
  person,
});
