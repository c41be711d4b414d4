import { describe, expect, test } from 'vitest';
import { NLM_F, readMessages } from '../../../src/firewall/netlink/attributes.ts';
import {
  digestOf,
  type Expression,
  matchExpression,
  matchInfo,
  matchName,
  readRule,
  replaceMessage,
} from '../../../src/firewall/netlink/nftables-message.ts';

const SET = matchExpression('set', 4, Buffer.from('0700010200000000', 'hex'));
const COUNTER: Expression = { name: 'counter', data: Buffer.from('0c00010000000000000000050c000200', 'hex') };
const OTHER_COUNTER: Expression = { name: 'counter', data: Buffer.alloc(16, 1) };

describe('a match of x_tables', () => {
  test('is read back as it was written', () => {
    expect(matchName(SET)).toBe('set');
    expect(matchInfo(SET).toString('hex')).toBe('0700010200000000');
    expect(matchName(COUNTER)).toBeUndefined();
  });
});

describe('the digest of a rule', () => {
  test('is the same whatever it has counted, and another for another set', () => {
    const other = matchExpression('set', 4, Buffer.from('0800010200000000', 'hex'));
    expect(digestOf([SET, COUNTER])).toBe(digestOf([SET, OTHER_COUNTER]));
    expect(digestOf([other, COUNTER])).not.toBe(digestOf([SET, COUNTER]));
    expect(digestOf([COUNTER])).not.toBe(digestOf([SET, COUNTER]));
  });
});

describe('a chain is replaced', () => {
  const rules = [
    { protocol: 6, expressions: [SET, COUNTER] },
    { protocol: 0, expressions: [COUNTER] },
  ] as const;
  const messages = readMessages(
    replaceMessage({ family: 4, table: 'filter', chain: 'NFKNOCK-BAN', draft: 'NFKNOCK-DRAFT' }, rules),
  );

  test('in one transaction: emptied, written, its draft taken out, and only the last of it acknowledged', () => {
    // NFNL_MSG_BATCH_BEGIN, DELRULE, NEWRULE twice, DELRULE, DELCHAIN, NFNL_MSG_BATCH_END.
    expect(messages.map(({ type }) => type)).toEqual([0x10, 0xa08, 0xa06, 0xa06, 0xa08, 0xa05, 0x11]);
    expect(messages.map(({ flags }) => (flags & NLM_F.ack) !== 0)).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
      false,
    ]);
  });

  test('by its rules in their order', () => {
    const [first, second] = messages.slice(2, 4).map(({ payload }) => readRule(payload));
    expect(first?.chain).toBe('NFKNOCK-BAN');
    expect(first?.expressions.map(({ name }) => name)).toEqual(['match', 'counter']);
    expect(digestOf(first?.expressions ?? [])).toBe(digestOf([SET]));
    expect(second?.expressions.map(({ name }) => name)).toEqual(['counter']);
  });
});
