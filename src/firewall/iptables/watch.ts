import { readFileSync, realpathSync } from 'node:fs';
import { guarded, owned } from '../../guard/guard.ts';
import type { Family } from '../../packet/address.ts';
import type { RuleListener, RuleWatch } from '../firewall.ts';
import { attributeMap, type Message, NFGEN_BYTES } from '../netlink/attributes.ts';
import { type NetfilterSocket, openNetfilter } from '../netlink/socket.ts';
import { findTool, runTool, toolName } from './command.ts';

/** What the watch needs of the firewall. */
export interface Watched {
  /** Chains, jumps, rules and grants; costs a run of iptables-save for each family. */
  intact(): Promise<boolean>;
  /** The sets alone: a few questions over netlink. */
  setsIntact(): Promise<boolean>;
  /** Who changes the tables in our name. */
  pids(): readonly number[];
}

export interface RuleWatchOptions
  extends Pick<RuleListener, 'onDrift'>,
    Partial<Omit<RuleListener, 'onDrift'>> {
  readonly firewall: Watched;
}

/** NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h. */
const GROUP_NFTABLES = 7;
/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN: the kernel says it at the end of each transaction. */
const NEW_GENERATION: number = (10 << 8) | 15;
/** NFTA_GEN_PROC_PID of linux/netfilter/nf_tables.h. */
const ATTRIBUTE_PID = 2;

/** From a foreign change to a look at it, in ms: docker, ufw and others change many things in a row. */
const SETTLE_MS = 150;
/** Between two looks at the rules, in ms, at least: two programs that both want to be first must not spin. */
const PAUSE_MS = 1000;
/** The kernel tells nobody of sets, nor of iptables-legacy: these are looked at every this many ms. */
const POLL_MS = 3000;
/** The rules are looked at every this many polls, even where nothing was told. */
const RULES_EVERY_POLLS = 10;

/**
 * Notices within 5 s that someone flushed, removed or reordered what is nfknock's. Where rules are nf_tables
 * the kernel tells of each change, and by whom; the rest is polled.
 */
export function watchRules(options: RuleWatchOptions): RuleWatch {
  const { firewall, onDrift, onSound = () => {}, onError = () => {}, onLost = () => {} } = options;
  let closed = false;
  let busy = false;
  let wanted = false;
  let resting = false;
  let timer: NodeJS.Timeout | undefined;
  let restTimer: NodeJS.Timeout | undefined;
  let polls = 0;
  /** True once we know that the kernel tells of changes to the kind of rules that we write. */
  let told = false;
  owned(
    'rules watch',
    isNftables().then(
      (nftables) => {
        told = nftables && socket !== undefined;
      },
      () => {},
    ),
  );
  const socket = listen(
    (pid) => {
      // Rules that name a set may be written by this process itself.
      if (pid !== process.pid && !firewall.pids().includes(pid)) soon();
    },
    (count) => {
      onLost(count);
      soon();
    },
  );

  const soon = (): void => {
    wanted = true;
    if (closed || busy || resting || timer !== undefined) return;
    timer = setTimeout(
      guarded('rules watch', () => {
        timer = undefined;
        owned('rules watch', look('rules'));
      }),
      SETTLE_MS,
    );
  };
  const rest = (): void => {
    resting = true;
    clearTimeout(restTimer);
    restTimer = setTimeout(
      guarded('rules watch', () => {
        resting = false;
        if (wanted) soon();
      }),
      PAUSE_MS,
    );
  };

  const look = async (at: 'rules' | 'sets'): Promise<void> => {
    if (closed || busy) return;
    busy = true;
    if (at === 'rules') wanted = false;
    try {
      if (!(await firewall.setsIntact())) await drifted('sets');
      else if (at === 'rules' && !(await firewall.intact())) await drifted('rules');
      else if (at === 'rules' && !closed) onSound();
    } catch (error) {
      wanted = true;
      if (!closed) onError(error);
    } finally {
      busy = false;
      if (at === 'rules' && !closed) rest();
      else if (wanted) soon();
    }
  };
  const drifted = async (what: 'rules' | 'sets'): Promise<void> => {
    if (!closed) await onDrift(what);
  };

  const poll = setInterval(
    guarded('rules watch', () => {
      polls += 1;
      owned('rules watch', look(!told || polls % RULES_EVERY_POLLS === 0 ? 'rules' : 'sets'));
    }),
    POLL_MS,
  );
  poll.unref();
  // What was changed before we began to listen.
  soon();
  return {
    close() {
      closed = true;
      clearInterval(poll);
      clearTimeout(timer);
      clearTimeout(restTimer);
      socket?.close();
    },
  };
}

/**
 * Rules that iptables-legacy holds beside those of iptables-nft: the kernel asks both, so that a packet that we
 * let in may be dropped there, or one that they accept dropped here. Undefined where there are none.
 */
export async function legacyBeside(): Promise<string | undefined> {
  const found: string[] = [];
  for (const family of [4, 6] as const) {
    if (await hasLegacyRules(family)) found.push(toolName('iptables-legacy-save', family));
  }
  if (found.length === 0) return undefined;
  return `rules of iptables-legacy exist beside nfknock's: \`${found.join('` and `')}\` shows them; move them to iptables`;
}

/** What each program called `iptables` said of itself: asked once, as it can't change its mind. */
const variants = new Map<string, Promise<boolean>>();

/** True where `iptables` writes nf_tables, of whose changes the kernel tells. */
export async function isNftables(): Promise<boolean> {
  const path = findTool('iptables');
  if (path === undefined) return false;
  // Another program may be put in its place (update-alternatives).
  const program = realpathSync(path);
  const known = variants.get(program);
  if (known !== undefined) return known;
  const asked = runTool(path, ['-V']).then(({ output }) => output.includes('nf_tables'));
  variants.set(program, asked);
  owned(
    'rules watch',
    asked.catch(() => variants.delete(program)),
  );
  return asked;
}

async function hasLegacyRules(family: Family): Promise<boolean> {
  if (!(await isNftables()) || !hasLegacyTables(family)) return false;
  const path = findTool(toolName('iptables-legacy-save', family));
  if (path === undefined) return true;
  const { output } = await runTool(path, []);
  return /^-A /m.test(output);
}

function hasLegacyTables(family: Family): boolean {
  try {
    return readFileSync(`/proc/self/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`, 'utf8').trim() !== '';
  } catch {
    return false;
  }
}

/** Undefined where the kernel has no nf_tables or lets us not listen: then all is polled. */
function listen(
  onChange: (pid: number) => void,
  onLost: (count: number) => void,
): NetfilterSocket | undefined {
  let socket: NetfilterSocket | undefined;
  try {
    socket = openNetfilter({
      onEvent: (message) => {
        if (message.type === NEW_GENERATION) onChange(processOf(message));
      },
      onOverrun: onLost,
    });
    socket.join(GROUP_NFTABLES);
    return socket;
  } catch {
    socket?.close();
    return undefined;
  }
}

function processOf(message: Message): number {
  const pid = attributeMap(message.payload.subarray(NFGEN_BYTES)).get(ATTRIBUTE_PID);
  return pid !== undefined && pid.length >= 4 ? pid.readUInt32BE(0) : -1;
}
