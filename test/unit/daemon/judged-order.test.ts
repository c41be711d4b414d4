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
