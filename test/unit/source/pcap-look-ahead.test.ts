import { describe, expect, test } from 'vitest';
import { formatAddress } from '../../../src/packet/address.ts';
import { createLookAhead, type LookAhead } from '../../../src/replay/look-ahead.ts';
import { createCaptureReader } from '../../../src/source/pcap.ts';
import { classic, ethernet, tcp, udp } from './capture-bytes.ts';

const HOST = '192.0.2.1';
const ACK = 16;
const SYN_ACK = 18;
const RST = 4;

function lookedAt(...packets: readonly Uint8Array[]): LookAhead {
  const lookAhead = createLookAhead();
  const reader = createCaptureReader(lookAhead.add);
  reader.push(classic(packets.map((packet, index) => ({ bytes: ethernet(packet), micros: 1e15 + index }))));
  return lookAhead;
}
const localOf = (...packets: readonly Uint8Array[]): string[] =>
  lookedAt(...packets)
    .local()
    .map(formatAddress);
const underWayOf = (...packets: readonly Uint8Array[]): number => {
  let count = 0;
  lookedAt(...packets).inProgress(() => {
    count++;
  });
  return count;
};

describe("this machine's addresses", () => {
  test('are those that receive SYNs, of either family', () => {
    const four = tcp({ from: '198.51.100.7', to: HOST, port: 22 });
    const six = tcp({ from: '2001:db8:9::9', to: '2001:db8:1::1', port: 22 });
    expect(localOf(four, six)).toEqual([HOST, '2001:db8:1::1']);
  });

  test('are not those that this machine calls itself', () => {
    const out = tcp({ from: HOST, to: '203.0.113.80', port: 443 });
    const into = tcp({ from: '198.51.100.7', to: HOST, port: 22 });
    expect(localOf(out, into)).toEqual([HOST]);
    expect(localOf(into, out)).toEqual([HOST]);
  });

  test('are both where two machines call each other and nobody else does', () => {
    const out = tcp({ from: HOST, to: '198.51.100.7', port: 113 });
    const into = tcp({ from: '198.51.100.7', to: HOST, port: 22 });
    expect(localOf(into, out)).toEqual([HOST, '198.51.100.7']);
  });

  test('are not those that merely answer', () => {
    expect(
      localOf(
        tcp({ from: HOST, to: '198.51.100.7', port: 40_000, flags: SYN_ACK }),
        tcp({ from: '198.51.100.7', to: HOST, port: 22 }),
      ),
    ).toEqual([HOST]);
  });

  test('are those that are addressed first, where the capture has no SYN', () => {
    const knock = udp('198.51.100.7', HOST, 40_000, 7000);
    const answer = udp(HOST, '198.51.100.7', 7000, 40_000);
    expect(localOf(knock, answer)).toEqual([HOST]);
    expect(localOf(tcp({ from: '203.0.113.9', to: HOST, port: 23, flags: 0 }))).toEqual([HOST]);
  });

  test('leave loopback out, unless there is nothing else', () => {
    const inside = tcp({ from: '127.0.0.1', to: '127.0.0.1', port: 5432 });
    const inside6 = tcp({ from: '::1', to: '::1', port: 5432 });
    expect(localOf(inside, inside6, tcp({ from: '198.51.100.7', to: HOST, port: 22 }))).toEqual([HOST]);
    expect(localOf(inside, inside6)).toEqual(['127.0.0.1', '::1']);
  });
});

describe('a connection was under way before the capture began', () => {
  const data = tcp({ from: '198.51.100.7', to: HOST, sourcePort: 40_000, port: 22, flags: ACK });
  const answer = tcp({ from: HOST, to: '198.51.100.7', sourcePort: 22, port: 40_000, flags: ACK });

  test('if both ends acknowledge and none began it', () => {
    expect(underWayOf(data, answer)).toBe(1);
    expect(underWayOf(answer, data)).toBe(1);
  });

  test('not if its beginning is there', () => {
    const syn = tcp({ from: '198.51.100.7', to: HOST, sourcePort: 40_000, port: 22 });
    const synAck = tcp({ from: HOST, to: '198.51.100.7', sourcePort: 22, port: 40_000, flags: SYN_ACK });
    expect(underWayOf(syn, synAck, data, answer)).toBe(0);
  });

  test('not if only one end was heard, or the other refused: that is a scan', () => {
    expect(underWayOf(data)).toBe(0);
    expect(
      underWayOf(data, tcp({ from: HOST, to: '198.51.100.7', sourcePort: 22, port: 40_000, flags: RST })),
    ).toBe(0);
  });
});
