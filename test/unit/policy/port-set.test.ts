import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PORT_MAX, type PortRange, parsePortRange } from '../../../src/packet/port.ts';
import { common, dports, type Ports, portsOf, union, without } from '../../../src/policy/port-set.ts';

const range = fc
  .tuple(fc.integer({ min: 1, max: PORT_MAX }), fc.integer({ min: 0, max: 40 }), fc.boolean())
  .map(([first, more, udp]): PortRange => {
    const parsed = parsePortRange(`${first}-${Math.min(PORT_MAX, first + more)}/${udp ? 'udp' : 'tcp'}`);
    if (parsed === undefined) throw new Error('the generator makes ranges only');
    return parsed;
  });
const ranges = fc.array(range, { maxLength: 30 });

function members(ports: Ports): Set<string> {
  const found = new Set<string>();
  for (const protocol of ['tcp', 'udp'] as const) {
    for (const { first, last } of ports[protocol]) {
      for (let port = first; port <= last; port += 1) found.add(`${port}/${protocol}`);
    }
  }
  return found;
}

/** What a match such as `-p tcp -m multiport --dports 1,3:5` matches. */
function matched(match: string): readonly string[] {
  const [, protocol = '', list = ''] = /^-p (tcp|udp) -m multiport --dports (\S+)$/.exec(match) ?? [];
  return list.split(',').flatMap((entry) => {
    const [first = 0, last = first] = entry.split(':').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
  });
}

describe('sets of ports', () => {
  it('unite, subtract and intersect as sets do', () => {
    fc.assert(
      fc.property(ranges, ranges, (x, y) => {
        const [a, b] = [portsOf(x), portsOf(y)];
        const [inA, inB] = [members(a), members(b)];
        expect(members(union(a, b))).toEqual(new Set([...inA, ...inB]));
        expect(members(without(a, b))).toEqual(new Set([...inA].filter((port) => !inB.has(port))));
        expect(members(common(a, b))).toEqual(new Set([...inA].filter((port) => inB.has(port))));
      }),
    );
  });

  it('are matched by as many rules as it takes, each of at most 15 entries, each port once', () => {
    fc.assert(
      fc.property(ranges, (given) => {
        const ports = portsOf(given);
        const matches = dports(ports);
        const all = matches.flatMap(matched);
        expect(new Set(all)).toEqual(members(ports));
        expect(all).toHaveLength(new Set(all).size);
        for (const match of matches) {
          const entries = match.slice(match.lastIndexOf(' ') + 1).split(/[,:]/);
          expect(entries.length).toBeLessThanOrEqual(15);
        }
      }),
    );
  });

  it('have no rule where they are empty', () => {
    expect(dports(portsOf([]))).toEqual([]);
  });
});
