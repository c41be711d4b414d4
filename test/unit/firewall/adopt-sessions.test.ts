import { expect, it } from 'vitest';
import { rowsIn, type Session, servedBy, sessionsOf } from '../../../src/firewall/netlink/adopt-sessions.ts';
import { formatAddress } from '../../../src/packet/address.ts';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const FOUR = `${HEAD}
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 010200C0:0016 020200C0:D431 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0100007F:0019 0100007F:D432 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 010200C0:B001 090200C0:0016 08 00000000:00000000 00:00000000 00000000     0        0 4
   4: 010200C0:B002 090200C0:0016 06 00000000:00000000 00:00000000 00000000     0        0 5
`;
const SIX = `${HEAD}
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 6
   1: 0000000000000000FFFF0000010200C0:0050 0000000000000000FFFF0000070200C0:C001 01 0:0 0:0 0 0 0 7
   2: B80D0120000000000000000001000000:0050 B80D0120000000000000000002000000:C002 01 0:0 0:0 0 0 0 8
   3: 00000000000000000000000001000000:0050 00000000000000000000000001000000:C003 01 0:0 0:0 0 0 0 9
   4: torn
`;

function sessionsIn(tables: readonly string[]): readonly Session[] {
  const rows = rowsIn(tables.flatMap((table) => table.split('\n')));
  return sessionsOf(rows, servedBy(rows));
}

it('finds what this machine’s own sockets have open, and who began it', () => {
  const found = sessionsIn([FOUR, SIX]).map(
    ({ source, sourcePort, host, port }) =>
      `${formatAddress(source)} ${sourcePort} > ${formatAddress(host)} ${port}`,
  );
  expect(found).toEqual([
    '192.0.2.2 54321 > 192.0.2.1 22',
    '192.0.2.1 45057 > 192.0.2.9 22',
    '192.0.2.7 49153 > 192.0.2.1 80',
    '2001:db8::2 49154 > 2001:db8::1 80',
  ]);
  expect(sessionsIn(['', HEAD])).toEqual([]);
});
