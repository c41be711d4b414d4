import { expect, it } from 'vitest';
import { replayed } from '../../golden/replay/replayed.ts';
import { configOf } from '../../support/configs.ts';
import { classic, ethernet, tcp, udp } from '../source/capture-bytes.ts';

const HOST = '192.0.2.1';
const DEVICE = '192.0.2.50';
const DOORS = { ssh: { knock: [7000, '50000/udp'], opens: [22] } };

function capture(...ports: readonly number[]): readonly Uint8Array[] {
  const packets = [
    tcp({ from: DEVICE, to: HOST, sourcePort: 1000, port: 80, flags: 2, sequence: 1 }),
    ...ports.map((port) => udp(DEVICE, HOST, 1900, port)),
  ];
  return [
    classic(
      packets.map((packet, index) => ({
        micros: 1_795_243_200_000_000 + index * 100_000_000,
        bytes: ethernet(packet),
      })),
    ),
  ];
}

it.each([
  ['all', [32_768, 40_000, 60_999], '3 UDP packets to ports from 32768 to 60999 counted as decoys'],
  ['all', [40_000], '1 UDP packet to a port from 32768 to 60999 counted as decoys'],
  ['all', [32_767, 61_000, 33_434, 50_000], undefined],
  [[40_000], [40_000], undefined],
])('with decoys %j, UDP to %j is said to be perhaps answers', async (decoys, ports, wanted) => {
  const { end } = await replayed(capture(...ports), configOf({ doors: DOORS, decoys, allow: [80] }));
  const found = end.warnings.filter((text) => text.includes('counted as decoys'));
  expect(found).toHaveLength(wanted === undefined ? 0 : 1);
  if (wanted !== undefined) expect(found[0]).toContain(wanted);
});
