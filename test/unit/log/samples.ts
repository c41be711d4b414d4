import fc from 'fast-check';
import type { EventName, NfknockEvent } from '../../../src/engine/event.ts';
import { CATALOGUE, EVENT_NAMES } from '../../../src/log/catalogue.ts';
import { ipv4, ipv6 } from '../../../src/packet/address.ts';
import { hostCidr, offenderOf } from '../../../src/packet/cidr.ts';

const address = fc.oneof(
  fc.integer().map(ipv4),
  fc.tuple(fc.integer(), fc.integer(), fc.integer(), fc.integer()).map((words) => ipv6(...words)),
);
const port = fc.record({
  protocol: fc.constantFrom('tcp', 'udp'),
  port: fc.integer({ min: 1, max: 65_535 }),
});
const ports = fc.array(
  port.map(({ protocol, port: first }) => ({ protocol, first, last: Math.min(first + 3, 65_535) })),
  { minLength: 1, maxLength: 3 },
);
const text = fc.string({ unit: 'binary', maxLength: 40 });
const count = fc.nat({ max: 1_000_000 });
const moment = fc.double({ min: 0, max: 1e9, noNaN: true });

const VALUES: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  door: fc.constantFrom('ssh', 'web', 'Tür'),
  port,
  ports,
  until: moment,
  strikes: count,
  step: count,
  of: count,
  count,
  shadow: fc.constant(true),
  of_event: fc.constantFrom(...EVENT_NAMES, '*'),
  origin: fc.constantFrom('edge1', 'e-2'),
  member: fc.constantFrom('edge1', 'e-2'),
  members: fc.constantFrom([], ['edge1', 'e-2']),
  detail: fc.constantFrom('it was used already', "its clock is 4 h 5 min behind this machine's"),
  key: fc.constantFrom('ada-laptop', '0'),
  person: fc.constantFrom('ada', "Jürgen O'Neil"),
};

/** Any event called `name`, with and without what it may lack. Text is as hostile as text can be. */
export function anyNamed(name: EventName): fc.Arbitrary<NfknockEvent> {
  const entry = CATALOGUE[name];
  const isBan = name.startsWith('ban.');
  const shape: Record<string, fc.Arbitrary<unknown>> = { event: fc.constant(name), at: moment };
  for (const field of Object.keys(entry.fields)) {
    if (field === 'source') shape[isBan ? 'target' : 'source'] = isBan ? address.map(offenderOf) : address;
    else if (field === 'reason')
      shape['reason'] =
        typeof entry.reasons === 'object' ? fc.constantFrom(...Object.keys(entry.reasons)) : text;
    else if (field === 'grantee') shape['grantee'] = fc.oneof(fc.constant('any'), address.map(hostCidr));
    else shape[field] = VALUES[field] ?? fc.constant(undefined);
  }
  const always = Object.entries(entry.fields).flatMap(([field, presence]) =>
    presence === 'always' || field === 'grantee' ? [field] : [],
  );
  const requiredKeys = [
    'event',
    'at',
    ...always.map((field) => (field === 'source' && isBan ? 'target' : field)),
  ];
  return fc.record(shape, { requiredKeys }) as unknown as fc.Arbitrary<NfknockEvent>;
}

export const anyEvent: fc.Arbitrary<NfknockEvent> = fc.oneof(...EVENT_NAMES.map(anyNamed));
