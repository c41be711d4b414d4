import type { EngineEvent } from '../../src/engine/event.ts';
import type { Address } from '../../src/packet/address.ts';
import type { Cidr } from '../../src/packet/cidr.ts';
import { bitsOfAddress, bitsOfCidr, networkText, textOf } from './address.ts';
import type { EventLike, Fields } from './state.ts';

/** The engine's event in the model's words. */
export function plain(event: EngineEvent): EventLike {
  const fields: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(event)) {
    if (value !== undefined) fields[name] = plainValue(name, value);
  }
  return { ...fields, event: event.event, at: event.at };
}

/** One line for one event, the same for the same event whoever said it. Moments to the microsecond. */
export function eventText(event: EventLike): string {
  const names = Object.keys(event).filter((name) => name !== 'event' && name !== 'at');
  const fields = names.sort().map((name) => ` ${name}=${valueText(event[name])}`);
  return `${event.event} at=${valueText(event.at)}${fields.join('')}`;
}

function valueText(value: Fields[string] | undefined): string {
  return typeof value === 'number' ? String(Math.round(value * 1000) / 1000) : String(value);
}

function plainValue(name: string, value: unknown): string | number | boolean {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (isAddress(value)) return textOf(bitsOfAddress(value));
  if (isCidr(value)) return networkText(bitsOfCidr(value));
  if (isPort(value)) {
    const { port, digits = 0, protocol } = value;
    return `${String(port).slice(0, String(port).length - digits)}${'?'.repeat(digits)}/${protocol}`;
  }
  if (Array.isArray(value) && value.every(isRange)) {
    return value.map(({ first, last, protocol }) => `${first}-${last}/${protocol}`).join(' ');
  }
  if (Array.isArray(value) && value.every(isCidr))
    return value.map((network) => networkText(bitsOfCidr(network))).join(' ');
  throw new Error(
    `the field ${name} has a form that the comparison does not know; teach it in test/reference/event.ts`,
  );
}

function isAddress(value: unknown): value is Address {
  return has(value, 'family') && has(value, 'd');
}

function isCidr(value: unknown): value is Cidr {
  return has(value, 'bits') && has(value, 'address');
}

function isPort(value: unknown): value is { port: number; digits?: number; protocol: string } {
  return has(value, 'port') && has(value, 'protocol');
}

function isRange(value: unknown): value is { first: number; last: number; protocol: string } {
  return has(value, 'first') && has(value, 'last') && has(value, 'protocol');
}

function has(value: unknown, field: string): boolean {
  return typeof value === 'object' && value !== null && field in value;
}
