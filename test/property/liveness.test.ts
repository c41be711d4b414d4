import { env } from 'node:process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/event.ts';
import type { DoorSettings, EngineSettings } from '../../src/engine/settings.ts';
import type { PortSpec } from '../../src/packet/port.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { flags, port, range } from '../reference/arbitrary-settings.ts';
import { enginePacket } from '../reference/packet.ts';

const { LIVENESS_RUNS = '400' } = env;
const RUNS = { numRuns: Number(LIVENESS_RUNS) };

const PORTS = ['7000', '8000', '9000', '7100/udp', '8100/udp', '9100'].map(port);
const SOURCE = '198.51.100.7';

const textOf = ({ port: number, protocol }: PortSpec): string => `${number}/${protocol}`;

/** Sequences of two to six steps out of few ports, so that doors share them, and a sequence has some twice. */
const sequence = fc
  .array(fc.constantFrom(...PORTS), { minLength: 2, maxLength: 6 })
  .map((all) => all.filter((spec, index) => index === 0 || textOf(spec) !== textOf(all[index - 1] ?? spec)))
  .filter((steps) => steps.length > 1);

const doors: fc.Arbitrary<readonly DoorSettings[]> = fc
  .array(fc.record({ knock: sequence, tolerate: fc.constantFrom(0, 0, 1, 2) }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((all) =>
    all.map(({ knock, tolerate }, index) => ({
      name: `door${index}`,
      knock,
      tolerate,
      oneTime: false,
      close: [],
      within: null,
      gap: { min: milliseconds(0), max: milliseconds(8000) },
      flags: flags('syn'),
      opens: [range('22')],
      for: milliseconds(30_000),
      uses: null,
      holders: null,
      grant: 'source' as const,
    })),
  );

const settings = (all: readonly DoorSettings[], strikes: number): EngineSettings => ({
  doors: all,
  decoys: [range('23')],
  allow: [],
  bans: {
    strikes,
    within: milliseconds(60_000),
    for: milliseconds(600_000),
    escalate: 2,
    max: milliseconds(7 * 86_400_000),
    rate: { packets: 1000, per: milliseconds(1000) },
    never: [],
    strikeOnService: false,
    enforce: true,
    limit: 8,
  },
  sources: 64,
});

/** What came before: knocks of any door, as tries of which some packets are lost, repeated or swapped; decoys; pauses. */
const before = fc.array(
  fc.record({
    door: fc.nat(3),
    /** For each step: lost, sent, sent twice, or after the next. */
    steps: fc.array(fc.constantFrom('sent', 'sent', 'sent', 'lost', 'twice', 'late'), {
      minLength: 6,
      maxLength: 6,
    }),
    apart: fc.constantFrom(1, 10, 300, 1000, 3000, 9000),
    pause: fc.constantFrom(1, 300, 5000, 7900, 8100, 20_000, 80_000),
    decoy: fc.nat(9).map((value) => value === 0),
  }),
  { maxLength: 12 },
);

type Try = Parameters<Parameters<(typeof before)['map']>[0]>[0][number];

function portsOf(knock: readonly PortSpec[], { steps, decoy }: Try): readonly PortSpec[] {
  const sent: PortSpec[] = [];
  let held: PortSpec | undefined;
  for (const [index, spec] of knock.entries()) {
    const how = steps[index] ?? 'sent';
    if (how === 'late') {
      held = spec;
      continue;
    }
    if (how !== 'lost') sent.push(spec);
    if (how === 'twice') sent.push(spec);
    if (held !== undefined) sent.push(held);
    held = undefined;
  }
  return decoy ? [...sent, port('23')] : sent;
}

describe('whoever is not banned and knocks a whole sequence, in order and in time, with nothing in between', () => {
  test.each([
    ['however many strikes it takes', 500],
    ['with three strikes', 3],
  ])(
    'has opened or renewed that door at the last knock, whatever came before: %s',
    { timeout: 300_000 },
    (_, strikes) => {
      fc.assert(
        fc.property(
          doors,
          before,
          fc.nat(3),
          fc.constantFrom(1, 100, 1000, 1999),
          (all, tries, which, apart) => {
            const engine = createEngine(settings(all, strikes), [1, 2]);
            let now = 1_000_000;
            let serial = 0;
            const send = (spec: PortSpec): readonly EngineEvent[] => {
              serial += 1;
              const events: EngineEvent[] = [];
              const packet = enginePacket({
                family: 4,
                source: SOURCE,
                destination: '192.0.2.1',
                protocol: spec.protocol,
                sourcePort: 1024 + (serial % 60_000),
                port: spec.port,
                flags: spec.protocol === 'tcp' ? 'S' : '',
                sequence: serial,
                stamped: true,
                body: serial,
              });
              engine.judge(packet, milliseconds(now), (event) => events.push(event));
              return events;
            };
            for (const one of tries) {
              const knock = all[one.door % all.length]?.knock ?? [];
              for (const spec of portsOf(knock, one)) {
                now += one.apart;
                send(spec);
              }
              now += one.pause;
            }
            if (engine.bans().length > 0) return;
            const meant = all[which % all.length];
            let last: readonly EngineEvent[] = [];
            for (const spec of meant?.knock ?? []) {
              now += apart;
              last = send(spec);
            }
            const opened = last.filter(({ event }) => event === 'door.opened' || event === 'door.renewed');
            expect(opened.map((event) => ('door' in event ? event.door : ''))).toContain(meant?.name);
          },
        ),
        RUNS,
      );
    },
  );
});
