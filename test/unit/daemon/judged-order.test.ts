import { expect, it } from 'vitest';
import { inJudgedOrder } from '../../../src/daemon/judged-order.ts';

const row = (at: number, name: string): { at: number; name: string } => ({ at, name });

it('packets are listed in the order in which they were judged, and what was said between them stands between', () => {
  const judged = [row(10, 'knock 1'), row(30, 'knock 3'), row(29, 'knock 2'), row(40, 'knock 4')];
  const said = [row(5, 'expired'), row(30, 'opened'), row(35, 'closed'), row(90, 'later')];
  expect(inJudgedOrder(judged, said).map(({ name }) => name)).toEqual([
    'expired',
    'knock 1',
    'knock 3',
    'opened',
    'knock 2',
    'closed',
    'knock 4',
    'later',
  ]);
});

it('what was said with a packet follows it, though one that was judged before has a later stamp', () => {
  const judged = [row(10, 'knock 1'), row(31, 'knock 2'), row(30, 'decoy'), row(30, 'decoy 2')];
  expect(inJudgedOrder(judged, [row(30, 'banned'), row(30, 'said')]).map(({ name }) => name)).toEqual([
    'knock 1',
    'knock 2',
    'decoy',
    'decoy 2',
    'banned',
    'said',
  ]);
});
