import { setImmediate as nextTurn, setTimeout } from 'node:timers/promises';
import type { Cidr } from '../../packet/cidr.ts';
import type { SetChange, SetEntry } from '../change.ts';
import { FirewallError } from '../firewall.ts';
import { swapSet } from '../rules/names.ts';
import type { SetSpec } from '../rules/rules.ts';
import {
  COMMAND,
  createMessage,
  ENTRIES_PER_MESSAGE,
  entriesMessage,
  indexMessage,
  type ListedSet,
  listAllMessage,
  listMessage,
  nameMessage,
  readIndex,
  readListed,
  refusedEntry,
  swapMessage,
  testMessage,
} from './ipset-message.ts';
import type { Answer, NetfilterSocket } from './socket.ts';

/** Sets in the kernel, told over netlink. Errors are FirewallErrors. */
export interface Sets {
  /**
   * Makes the set, or keeps the one that is there; one of another size is replaced with its entries kept, but not while it
   * holds more than may be.
   */
  create(spec: SetSpec): Promise<void>;
  /** Carries out the changes in their order. An entry that is there, or gone, already is no error. */
  change(changes: readonly SetChange[]): Promise<void>;
  /** What a set holds; undefined where there is none of this name. */
  list(name: string): Promise<readonly SetEntry[] | undefined>;
  /** True where the entry is in the set. */
  has(name: string, target: Cidr): Promise<boolean>;
  /** The number by which rules know the set; it stays while the set is there, whatever it is called. */
  index(name: string): Promise<number>;
  /** All sets, nfknock's and others', without their entries. */
  all(): Promise<readonly ListedSet[]>;
  /** The names of all sets. */
  names(): Promise<readonly string[]>;
  flush(name: string): Promise<void>;
  /** Idempotent. */
  destroy(name: string): Promise<void>;
}

/** Linux's errno, and IPSET_ERR_* of linux/netfilter/ipset/ip_set.h from 4096 on. */
const EPERM = 1;
const ENOENT = 2;
const EEXIST = 17;
const IPSET_ERR_BUSY = 4100;
const IPSET_ERR_EXIST = 4103;
const IPSET_ERR_REFERENCED = 4108;
/** IPSET_ERR_HASH_FULL of linux/netfilter/ipset/ip_set_hash.h. */
const IPSET_ERR_FULL = 4352;

const FIXES: ReadonlyMap<number, readonly [code: string, fix: string]> = new Map([
  [EPERM, ['NOT_PERMITTED', 'run as root or with CAP_NET_ADMIN']],
  [ENOENT, ['NO_SET', 'run `nfknock rules install`']],
  [EEXIST, ['SET_DIFFERS', 'a set of this name but of another kind is there: `ipset destroy` it']],
  [12, ['NO_MEMORY', 'the kernel has no memory left for sets; lower `bans.limit`']],
  [22, ['INVALID', 'the kernel did not understand the request; report this as a bug']],
  [4097, ['PROTOCOL', 'the kernel did not understand the request; report this as a bug']],
  [4098, ['NO_SET_TYPE', 'load the modules ip_set_hash_ip and ip_set_hash_net']],
  [4099, ['TOO_MANY_SETS', 'load the module ip_set with a higher max_sets, or use `grants: rule`']],
  [IPSET_ERR_BUSY, ['IN_USE', 'a rule still names the set; take that rule out first']],
  [4101, ['EXISTS', 'a set of this name is there already']],
  [4102, ['TYPE_MISMATCH', 'a set of this name but of another kind is there: `ipset destroy` it']],
  [IPSET_ERR_REFERENCED, ['IN_USE', 'a rule still names the set; take that rule out first']],
  [IPSET_ERR_FULL, ['FULL', 'the set holds as many entries as it may; raise `bans.limit`']],
]);

/** A rule that was taken out lets go of its set some 10 ms later, after the kernel's grace period. */
const DESTROY_PAUSE_MS = 20;
const DESTROY_ATTEMPTS_MAX = 15;
/** Messages on their way at once, made and taken in by the kernel in one turn: some 4 ms. Each may come back whole. */
const MESSAGES_IN_FLIGHT = 4;
/** Of a list, of some 150 entries each: a millisecond. */
const MESSAGES_READ_AT_ONCE = 16;

export function openSets(socket: NetfilterSocket): Sets {
  const ask = async (operation: string, message: Buffer): Promise<void> => {
    const answer = await socket.request(message);
    if (!answer.ok) throw errorOf(operation, answer.refusal.errno);
  };
  const listed = async (operation: string, message: Buffer): Promise<readonly ListedSet[] | undefined> => {
    const answer = await socket.request(message);
    if (answer.ok) return await readInPieces(answer.messages);
    if (answer.refusal.errno === ENOENT) return undefined;
    throw errorOf(operation, answer.refusal.errno);
  };
  const list: Sets['list'] = async (name) => {
    const pieces = await listed(`list the set ${name}`, listMessage(name, 'entries'));
    return pieces?.flatMap((piece) => piece.entries);
  };
  const all: Sets['all'] = async () => (await listed('list the sets', listAllMessage())) ?? [];
  const change: Sets['change'] = async (changes) => {
    for (const each of changes) await changeOne(socket, each);
  };
  const destroy: Sets['destroy'] = async (name) => {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await socket.request(nameMessage(COMMAND.destroy, name));
      if (answer.ok || answer.refusal.errno === ENOENT) return;
      const { errno } = answer.refusal;
      const used = errno === IPSET_ERR_BUSY || errno === IPSET_ERR_REFERENCED;
      if (!used || attempt === DESTROY_ATTEMPTS_MAX) throw errorOf(`destroy the set ${name}`, errno);
      await setTimeout(DESTROY_PAUSE_MS);
    }
  };

  /**
   * Swaps in a set of another size: the rules that name the set see either the old one or the new one. While it holds
   * more than may be, it stays as it is: whose entries they are takes them out a piece at a time, and the next to create
   * the set makes it smaller.
   */
  const resize = async (spec: SetSpec): Promise<void> => {
    const entries = (await list(spec.name)) ?? [];
    if (entries.length > spec.limit) return;
    const name = swapSet(spec.family);
    await destroy(name);
    await ask(`create the set ${name}`, createMessage({ ...spec, name }));
    await change([{ set: name, family: spec.family, action: 'add', entries }]);
    await ask(`swap the sets ${spec.name} and ${name}`, swapMessage(spec.name, name));
    await destroy(name);
  };

  return {
    async create(spec) {
      const answer = await socket.request(createMessage(spec));
      if (answer.ok) return;
      if (answer.refusal.errno !== EEXIST) throw errorOf(`create the set ${spec.name}`, answer.refusal.errno);
      const there = await listed(`look at the set ${spec.name}`, listMessage(spec.name, 'header'));
      if (there?.[0]?.limit !== spec.limit) await resize(spec);
    },
    change,
    list,
    async has(name, target) {
      const answer = await socket.request(testMessage(name, target));
      if (answer.ok) return true;
      const { errno } = answer.refusal;
      if (errno === IPSET_ERR_EXIST || errno === ENOENT) return false;
      throw errorOf(`look into the set ${name}`, errno);
    },
    async index(name) {
      const answer = await socket.request(indexMessage(name));
      if (!answer.ok) throw errorOf(`look at the set ${name}`, answer.refusal.errno);
      return readIndex(answer.messages[0]?.payload ?? Buffer.alloc(0));
    },
    all,
    names: async () => [...new Set((await all()).map((set) => set.name))],
    flush: (name) => ask(`flush the set ${name}`, nameMessage(COMMAND.flush, name)),
    destroy,
  };
}

/** A set of many entries takes long to read: packets come in between. */
async function readInPieces(messages: Extract<Answer, { ok: true }>['messages']): Promise<ListedSet[]> {
  const read: ListedSet[] = [];
  for (const { payload } of messages) {
    read.push(readListed(payload));
    if (read.length % MESSAGES_READ_AT_ONCE === 0) await nextTurn();
  }
  return read;
}

async function changeOne(socket: NetfilterSocket, { set, action, entries }: SetChange): Promise<void> {
  const command = action === 'add' ? COMMAND.add : COMMAND.del;
  for (let first = 0; first < entries.length; first += ENTRIES_PER_MESSAGE * MESSAGES_IN_FLIGHT) {
    const answers: Promise<Answer>[] = [];
    for (let piece = 0; piece < MESSAGES_IN_FLIGHT; piece += 1) {
      const from = first + piece * ENTRIES_PER_MESSAGE;
      if (from < entries.length) answers.push(socket.request(entriesMessage(command, set, entries, from)));
    }
    for (const answer of await Promise.all(answers)) {
      if (answer.ok) continue;
      const at = refusedEntry(answer.refusal.echo);
      const which = at === undefined ? '' : ` (entry ${at + 1} of ${entries.length})`;
      const verb = action === 'add' ? 'add to' : 'delete from';
      throw errorOf(`${verb} the set ${set}${which}`, answer.refusal.errno);
    }
  }
}

function errorOf(operation: string, errno: number): FirewallError {
  const [code, fix] = FIXES.get(errno) ?? [`ERRNO_${errno}`, 'see errno(3), or ip_set.h from 4096 on'];
  return new FirewallError(operation, code, fix);
}
