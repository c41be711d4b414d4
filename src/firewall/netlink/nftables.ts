import type { Family } from '../../packet/address.ts';
import { FirewallError } from '../firewall.ts';
import type { Table } from '../rules/names.ts';
import type { Message } from './attributes.ts';
import {
  type Expression,
  listChainsMessage,
  listRulesMessage,
  type NftChain,
  type NftRule,
  type ProtocolNumber,
  readChain,
  readRule,
  replaceMessage,
} from './nftables-message.ts';
import { type Answer, type NetfilterSocket, openNetfilter } from './socket.ts';

/**
 * One family's tables as nf_tables holds them, asked over netlink: all of it with CAP_NET_ADMIN alone, where
 * iptables can neither print nor write a rule that names a set. Errors are FirewallErrors.
 */
export interface Nftables {
  chains(table: Table): Promise<readonly NftChain[]>;
  /** Of one chain, or of all in the order of their chains; none where there is no such table or chain. */
  rules(table: Table, chain?: string): Promise<readonly NftRule[]>;
  /**
   * The same, with undefined for each rule in which these words don't occur: of twenty thousand rules of others those
   * that lead to us are found without reading the rest. With `most` the kernel is asked for no more than about so many,
   * and the answer holds the first of them.
   */
  rulesWith(
    words: string,
    table: Table,
    chain: string,
    most?: number,
  ): Promise<readonly (NftRule | undefined)[]>;
  /** In one transaction: the chain, which is there, holds these rules and no other, and the draft is gone. */
  replace(
    table: Table,
    chain: string,
    rules: readonly { readonly expressions: readonly Expression[]; readonly protocol: ProtocolNumber }[],
    draft: string,
  ): Promise<void>;
}

/** Linux's errno. */
const EPERM = 1;
const ENOENT = 2;

export function openNftables(socket: NetfilterSocket, family: Family): Nftables {
  return {
    async chains(table) {
      const answer = await socket.request(listChainsMessage(family));
      return listed(answer, 'list the chains').flatMap(({ payload }) => readChain(payload, table) ?? []);
    },
    async rules(table, chain) {
      const answer = await socket.request(listRulesMessage(family, table, chain));
      return listed(answer, 'list the rules').map(({ payload }) => readRule(payload));
    },
    async rulesWith(words, table, chain, most) {
      const message = listRulesMessage(family, table, chain);
      const answer = await (most === undefined ? socket.request(message) : firstOf(message, most));
      const bytes = Buffer.from(words);
      return listed(answer, 'list the rules').map(({ payload }) =>
        payload.includes(bytes) ? readRule(payload) : undefined,
      );
    },
    async replace(table, chain, rules, draft) {
      const answer = await socket.request(replaceMessage({ family, table, chain, draft }, rules));
      if (!answer.ok) throw errorOf(`write the chain ${chain}`, answer.refusal.errno);
    },
  };
}

/**
 * The kernel goes on listing as long as somebody reads, and the list costs it more than us: it is read from a socket of
 * its own, which is closed once there is enough.
 */
async function firstOf(message: Buffer, most: number): Promise<Answer> {
  const socket = openNetfilter();
  const messages: Message[] = [];
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const whole = socket.request(message, (each) => {
        if (messages.length < most) messages.push({ ...each, payload: Buffer.from(each.payload) });
        if (messages.length === most) resolve({ ok: true, messages });
      });
      whole.then((answer) => resolve(answer.ok ? { ok: true, messages } : answer), reject);
    });
  } finally {
    socket.close();
  }
}

function listed(answer: Answer, operation: string): Extract<Answer, { ok: true }>['messages'] {
  if (answer.ok) return answer.messages;
  if (answer.refusal.errno === ENOENT) return [];
  throw errorOf(operation, answer.refusal.errno);
}

function errorOf(operation: string, errno: number): FirewallError {
  if (errno === EPERM)
    return new FirewallError(operation, 'NOT_PERMITTED', 'run as root or with CAP_NET_ADMIN');
  return new FirewallError(
    operation,
    `ERRNO_${errno}`,
    'see errno(3); load the modules nf_tables, nft_compat and xt_set',
  );
}
