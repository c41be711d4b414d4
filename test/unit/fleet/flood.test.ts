import { expect, it } from 'vitest';
import { createScatterFleet } from '../../simulation/scatter.ts';
import { packetOf, settings } from '../engine/world.ts';

/* Others' packets, of sources that are forged, and honest clients whose knocks come to several members. */

/** 198.51.100.0 and up. */
const guestOf = (at: number): string => `198.51.100.${at}`;
const GUESTS = 40;

it('a flood of forged later knocks strikes no honest client, and all get in', () => {
  const fleet = createScatterFleet({ settings: settings({ sources: 65_536 }), members: 3, seed: 3 });
  const [one, two] = fleet.machines;
  if (one === undefined || two === undefined) expect.unreachable();
  let serial = 0;
  const packet = (port: string, from: string): ReturnType<typeof packetOf> => {
    serial += 1;
    return packetOf(port, { from, sequence: serial, sourcePort: 1_024 + (serial % 60_000) });
  };
  const begin = fleet.clock.now();
  // 20,000 a second come to one of them.
  for (let at = 0; at < 1_600; at += 1)
    for (let count = 0; count < 20; count += 1) {
      const from = `2001:db8:${(at + 1).toString(16)}:${count.toString(16)}::9`;
      fleet.clock.at(begin + at, () => one.judge(packet('9000', from)));
    }
  for (let guest = 0; guest < GUESTS; guest += 1)
    for (const [at, machine, port] of [
      [500, two, '7000'],
      [550, one, '8000/udp'],
      [600, one, '9000'],
    ] as const)
      fleet.clock.at(begin + at + 13.7 * guest, () => machine.judge(packet(port, guestOf(guest))));
  fleet.pass(2_500);
  const said = (name: string): number =>
    fleet.machines.reduce(
      (sum, { events }) =>
        sum +
        events.filter(
          (each) =>
            each.event === name && !('origin' in each) && 'source' in each && each.source.family === 4,
        ).length,
      0,
    );
  expect([said('knock.wrong'), said('ban.added'), said('door.opened')]).toEqual([0, 0, GUESTS]);
  fleet.stop();
});
