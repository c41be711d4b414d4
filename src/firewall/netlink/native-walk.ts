import { setImmediate as nextTurn } from 'node:timers/promises';
import { NLM_F, writeMessage } from './attributes.ts';
import type { BaseChain } from './base-chains.ts';
import type { NativePacket } from './native-packet.ts';
import { atRule, type ElementsOf, type NativeRule, nativeRule } from './native-rule.ts';
import { type NativeElement, readElements } from './native-set.ts';
import { readRule } from './nftables-message.ts';
import { type NetfilterSocket, openNetfilter } from './socket.ts';

/**
 * Looks at what chains of others accept. Reads each chain and set once, when it is first come by. However many rules
 * there are, packets that wait come first every few milliseconds.
 */
export interface NativeWalk {
  /** True where the chain is known to accept such a packet, anyone who sends it. */
  accepts(chain: BaseChain, packet: NativePacket): Promise<boolean>;
  close(): void;
}

/** NFNL_SUBSYS_NFTABLES << 8, enum nf_tables_msg_types, NFPROTO_* and NFTA_* of the kernel's headers. */
const SUBSYSTEM: number = 10 << 8;
const MESSAGE = { getRule: 7, getSetElements: 13 } as const;
const FAMILY = { inet: 1, ip: 2, ip6: 10 } as const;
const RULE = { table: 1, chain: 2 } as const;
const ELEMENTS = { table: 1, set: 2 } as const;
/** Rules and elements beyond which nobody knows what is meant, and chains that lead to each other. */
const ELEMENTS_MAX = 4096;
const RULES_MAX = 100_000;
const DEPTH_MAX = 16;
/** Rules that are looked at before packets that wait come first, and how many elements of a set count as one. */
const RULES_AT_ONCE = 256;
const ELEMENTS_A_RULE = 8;

type Fate = 'accept' | 'drop' | 'on';

/** A chain's rules, as the kernel lists them, and those that were looked at so far. */
interface Rules {
  readonly listed: readonly Buffer[];
  readonly read: NativeRule[];
}

export function openNativeWalk(): NativeWalk {
  const socket = openNetfilter();
  const chains = new Map<string, Rules>();
  const elements = new Map<string, readonly NativeElement[] | undefined>();
  let looked = 0;
  let sinceTurn = 0;

  async function rulesOf({ family, table }: BaseChain, chain: string): Promise<Rules> {
    const key = `${family} ${table} ${chain}`;
    const known = chains.get(key);
    if (known !== undefined) return known;
    const message = writeMessage({
      type: SUBSYSTEM | MESSAGE.getRule,
      flags: NLM_F.request | NLM_F.dump,
      family: FAMILY[family],
    });
    message.text(RULE.table, table);
    message.text(RULE.chain, chain);
    const found = { listed: await list(socket, message.finish()), read: [] };
    chains.set(key, found);
    return found;
  }

  function elementsOf({ family, table }: BaseChain): ElementsOf {
    return async (set) => {
      const key = `${family} ${table} ${set}`;
      if (elements.has(key)) return told(elements.get(key));
      const message = writeMessage({
        type: SUBSYSTEM | MESSAGE.getSetElements,
        flags: NLM_F.request | NLM_F.dump,
        family: FAMILY[family],
      });
      message.text(ELEMENTS.table, table);
      message.text(ELEMENTS.set, set);
      const found = readElements(await list(socket, message.finish()));
      elements.set(key, found.length > ELEMENTS_MAX ? undefined : found);
      return told(elements.get(key));
    };
  }

  /** Each of them may be compared. */
  function told(found: readonly NativeElement[] | undefined): readonly NativeElement[] | undefined {
    sinceTurn += (found?.length ?? 0) / ELEMENTS_A_RULE;
    return found;
  }

  async function packetsFirst(): Promise<void> {
    sinceTurn += 1;
    if (sinceTurn < RULES_AT_ONCE) return;
    sinceTurn = 0;
    await nextTurn();
  }

  async function walk(base: BaseChain, chain: string, packet: NativePacket, depth: number): Promise<Fate> {
    if (depth === 0) return 'drop';
    const { listed, read } = await rulesOf(base, chain);
    for (const [index, payload] of listed.entries()) {
      looked += 1;
      if (looked > RULES_MAX) return 'drop';
      await packetsFirst();
      const rule = read[index] ?? nativeRule(readRule(payload));
      read[index] = rule;
      const at = await atRule(rule, packet, elementsOf(base));
      if (at.verdict === 'accept' || at.verdict === 'drop') return at.verdict;
      if (at.verdict === 'return') return 'on';
      if (!('chain' in at)) continue;
      const inner = await walk(base, at.chain, packet, depth - 1);
      if (inner !== 'on' || at.verdict === 'goto') return inner;
    }
    return 'on';
  }

  return {
    async accepts(chain, packet) {
      looked = 0;
      const fate = await walk(chain, chain.name, packet, DEPTH_MAX);
      return fate === 'accept' || (fate === 'on' && chain.policy === 'accept');
    },
    close: () => socket.close(),
  };
}

async function list(socket: NetfilterSocket, message: Buffer): Promise<readonly Buffer[]> {
  const answer = await socket.request(message);
  // What has gone meanwhile accepts nothing.
  return answer.ok ? answer.messages.map(({ payload }) => payload) : [];
}
