import type { EventName, Grantee, NfknockEvent } from '../engine/event.ts';
import { formatAddress } from '../packet/address.ts';
import { formatCidr } from '../packet/cidr.ts';
import { formatPort, formatPortRange } from '../packet/port.ts';
import { type Milliseconds, writableMoment } from '../packet/time.ts';
import { printableJson } from '../text/plain.ts';
import { CATALOGUE, type Level } from './catalogue.ts';

/** Turns a moment of the engine's clock into wall time, milliseconds since 1970. */
export type WallOf = (at: Milliseconds) => number;

/** An event as its line of the log has it. The order of the fields here is their order on the line. */
export interface Line {
  /** ISO 8601 in UTC with milliseconds. */
  readonly time: string;
  readonly level: Level;
  readonly event: EventName;
  /** A host, or the network that a ban is for. */
  readonly source?: string;
  readonly door?: string;
  readonly port?: string;
  readonly ports?: readonly string[];
  readonly reason?: string;
  /** The reason in words of this packet. */
  readonly detail?: string;
  /** The key that it is about, and whose that is. */
  readonly key?: string;
  readonly person?: string;
  readonly until?: string;
  readonly strikes?: number;
  /** Why the source is not banned for its strikes, or not struck. */
  readonly exempt?: string;
  readonly step?: number;
  readonly of?: number;
  readonly count?: number;
  readonly shadow?: true;
  /** The member of the fleet that said it. */
  readonly origin?: string;
  /** Another member of the fleet, and all of them. */
  readonly member?: string;
  readonly members?: readonly string[];
  /** Who is let in, where it is not the source itself: `any` or a CIDR. */
  readonly grantee?: string;
  /** The event that `log.suppressed` counts; `*` for lines of any kind. */
  readonly of_event?: string;
}

/** A reason longer than this many UTF-16 units is cut, so that no command's output makes an endless line. */
export const REASON_LENGTH_MAX = 1000;

/** The event as one line of JSON, without the newline. It is printable on any terminal. */
export function formatLine(event: NfknockEvent, wallOf: WallOf): string {
  return stringifyLine(lineOf(event, wallOf));
}

/** A line as text: JSON with every character escaped that is not plainly printable. */
function stringifyLine(line: Line): string {
  return printableJson(JSON.stringify(line));
}

/** The event as the object that its line holds. */
export function lineOf(event: NfknockEvent, wallOf: WallOf): Line {
  const all: Everything = event;
  const source = sourceOf(all);
  // One look at the clock for both moments: by two, a minute could last a millisecond more or less.
  const time = Math.floor(wallOf(all.at));
  return {
    time: isoOf(time),
    level: CATALOGUE[all.event].level,
    event: all.event,
    ...(source === undefined ? {} : { source }),
    ...(all.door === undefined ? {} : { door: all.door }),
    ...(all.port === undefined ? {} : { port: formatPort(all.port) }),
    ...(all.ports === undefined ? {} : { ports: all.ports.map(formatPortRange) }),
    ...(all.reason === undefined ? {} : { reason: cut(all.reason) }),
    ...(all.detail === undefined ? {} : { detail: all.detail }),
    ...(all.key === undefined ? {} : { key: all.key }),
    ...(all.person === undefined ? {} : { person: all.person }),
    ...(all.until === undefined ? {} : { until: isoOf(time + Math.round(all.until - all.at)) }),
    ...(all.strikes === undefined ? {} : { strikes: all.strikes }),
    ...(all.exempt === undefined ? {} : { exempt: all.exempt }),
    ...(all.step === undefined ? {} : { step: all.step }),
    ...(all.of === undefined ? {} : { of: all.of }),
    ...(all.count === undefined ? {} : { count: all.count }),
    ...(all.shadow === undefined ? {} : { shadow: all.shadow }),
    ...(all.origin === undefined ? {} : { origin: all.origin }),
    ...(all.member === undefined ? {} : { member: all.member }),
    ...(all.members === undefined ? {} : { members: all.members }),
    ...granteeOf(all.grantee, source),
    ...(all.of_event === undefined ? {} : { of_event: all.of_event }),
  };
}

type KeyOf<Shape> = Shape extends unknown ? keyof Shape : never;
type ValueOf<Shape, Key extends PropertyKey> = Shape extends { readonly [K in Key]?: infer Value }
  ? Value
  : never;
/** Every property that some event has. */
type Everything = Pick<NfknockEvent, 'at' | 'event'> & {
  readonly [Key in Exclude<KeyOf<NfknockEvent>, 'at' | 'event'>]?: ValueOf<NfknockEvent, Key>;
};

function sourceOf(event: Everything): string | undefined {
  if (event.source !== undefined) return formatAddress(event.source);
  return event.target === undefined ? undefined : formatCidr(event.target);
}

function granteeOf(grantee: Grantee | undefined, source: string | undefined): { grantee?: string } {
  if (grantee === undefined) return {};
  const text = grantee === 'any' ? grantee : formatCidr(grantee);
  return text === source ? {} : { grantee: text };
}

function isoOf(wall: number): string {
  return new Date(writableMoment(wall)).toISOString();
}

function cut(reason: string): string {
  return reason.length <= REASON_LENGTH_MAX ? reason : `${reason.slice(0, REASON_LENGTH_MAX - 1)}…`;
}
