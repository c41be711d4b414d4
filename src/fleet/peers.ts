import { isMemberName } from '../policy/fleet.ts';
import type { Budget } from './budget.ts';
import type { PresenceEntry } from './bus.ts';
import type { Host, Presence } from './host.ts';
import type { BusClock } from './offset.ts';
import { parsePresence } from './presence.ts';
import type { Reader } from './reader.ts';
import { createTwin } from './twin.ts';

/** A member that has said nothing new for so long is lost. */
const LOST_AFTER = 5_000;
/** Members of one fleet. */
const MEMBERS_MAX = 1_024;

export interface MemberState {
  readonly member: string;
  readonly presence: Presence | null;
  /** Since when it has not been heard of, in milliseconds. */
  readonly silent: number;
  readonly isLost: boolean;
  readonly bans: number;
}

interface Peer {
  presence: Presence | null;
  /** When its presence changed last, on the daemon's clock. */
  heard: number;
  isLost: boolean;
  differs: boolean;
}

/** The other members, by what they say of themselves. */
export interface Peers {
  /** This member says this of itself next: as it stands on the bus. */
  say(presence: Presence): string;
  meet(entries: readonly PresenceEntry[]): void;
  /** Whether another machine goes by this member's name. */
  hasTwin(): boolean;
  noticeLost(): void;
  names(): readonly string[];
  /** Whether any other is there. */
  isAnyThere(): boolean;
  /** How far the clock of any of them may be off, in milliseconds. */
  uncertainty(): number;
  states(): readonly MemberState[];
}

interface PeersParts {
  readonly name: string;
  readonly host: Host;
  readonly clock: BusClock;
  readonly budget: Budget;
  readonly reader: Reader;
  now(): number;
}

export function createPeers({ name, host, clock, budget, reader, now }: PeersParts): Peers {
  const peers = new Map<string, Peer>();
  const twin = createTwin(now);

  function meetOne(member: string, text: string | null): void {
    if (member === name) {
      if (twin.meet(text)) host.report({ news: 'twin' });
      return;
    }
    if (!isMemberName(member)) return;
    const presence = text === null ? undefined : parsePresence(text);
    const there = peers.get(member);
    const peer: Peer = there ?? {
      presence: null,
      heard: Number.NEGATIVE_INFINITY,
      isLost: true,
      differs: false,
    };
    peers.set(member, peer);
    if (there === undefined) reader.catchUp(member);
    if (presence === undefined) return;
    reader.said(member, presence.number, presence.started);
    if (presence.now === peer.presence?.now) return;
    // What it said before it went away is still there: only what is new tells that it lives.
    const lives = Math.abs(clock.now() - presence.now) < LOST_AFTER;
    peer.presence = presence;
    if (!lives) return;
    peer.heard = now();
    if (peer.isLost) host.report({ news: 'member', member, reason: 'joined' });
    peer.isLost = false;
    const own = host.doors();
    const differs = Object.entries(presence.doors).some(
      ([door, mac]) => own[door] !== undefined && own[door] !== mac,
    );
    if (differs && !peer.differs) host.report({ news: 'member', member, reason: 'differs' });
    peer.differs = differs;
  }

  function noticeLost(): void {
    for (const [member, peer] of peers) {
      if (peer.isLost || now() - peer.heard < LOST_AFTER) continue;
      peer.isLost = true;
      host.report({ news: 'member', member, reason: 'lost' });
    }
  }

  /** The engine's owner has taken it out: nobody complains of it any more. */
  function forget(member: string): void {
    peers.delete(member);
    reader.forget(member);
    budget.forget(member);
  }

  return {
    meet(entries) {
      for (const { member, text } of entries.slice(0, MEMBERS_MAX)) meetOne(member, text);
      const named = new Set(entries.map(({ member }) => member));
      for (const [member, { isLost }] of peers) if (isLost && !named.has(member)) forget(member);
    },
    say(presence) {
      const text = JSON.stringify(presence);
      twin.say(text);
      return text;
    },
    hasTwin: twin.isThere,
    noticeLost,
    names: () => [...peers.keys()],
    isAnyThere() {
      for (const peer of peers.values()) if (!peer.isLost) return true;
      return false;
    },
    uncertainty() {
      let most = 0;
      for (const { isLost, presence } of peers.values())
        if (!isLost) most = Math.max(most, presence?.uncertainty ?? 0);
      return most;
    },
    states: () =>
      [...peers].map(([member, { presence, heard: at, isLost }]) => ({
        ...{ member, presence, silent: now() - at, isLost, bans: budget.bansOf(member) },
      })),
  };
}
