import { describe, expect, it } from 'vitest';
import { door, ports, ranges, settings, type World, world } from '../../unit/engine/world.ts';

const FIRST = ['7000', '8000/udp', '9000'];
const SECOND = ['6100', '6200/udp', '6300'];

/** Every way in which two people behind one address can come between each other's knocks. */
function interleavings(a: readonly string[], b: readonly string[]): string[][] {
  const [first, ...restA] = a;
  const [other, ...restB] = b;
  if (first === undefined) return [[...b]];
  if (other === undefined) return [[...a]];
  return [
    ...interleavings(restA, b).map((rest) => [first, ...rest]),
    ...interleavings(a, restB).map((rest) => [other, ...rest]),
  ];
}

function knocked(order: readonly string[], tolerate: number): World {
  const mail = door({ name: 'mail', knock: ports(...SECOND), opens: ranges('25/tcp'), tolerate });
  const w = world(settings({ doors: [door({ tolerate }), mail] }));
  w.knock(...order);
  return w;
}

describe('two who knock from behind one address', () => {
  // Against: two behind one NAT
  // by: repeats are no offence
  it('at the same door open it and earn no strike, however their knocks interleave', () => {
    for (const order of interleavings(FIRST, FIRST)) {
      const w = knocked(order, 0);
      expect(w.names(), order.join(' ')).toContain('door.opened');
      expect(w.names(), order.join(' ')).not.toContain('knock.wrong');
    }
  });

  it('at two doors each open theirs, however their knocks interleave, where the doors tolerate the other', () => {
    for (const order of interleavings(FIRST, SECOND)) {
      expect(knocked(order, 3).engine.grants(), order.join(' ')).toHaveLength(2);
    }
  });

  it('at two doors with ports of their own each open theirs, also where the doors tolerate nothing', () => {
    for (const order of interleavings(FIRST, SECOND)) {
      const w = knocked(order, 0);
      expect(w.engine.grants(), order.join(' ')).toHaveLength(2);
      expect(w.names(), order.join(' ')).not.toContain('knock.wrong');
    }
  });

  it('where one scans: the scan breaks the other off and bans both, since they are one source', () => {
    const w = world();
    w.knock('7000', '23', '8000/udp', '2323', '2324', '9000');
    expect(w.names()).not.toContain('door.opened');
    expect(w.engine.bans()).toHaveLength(1);
  });
});
