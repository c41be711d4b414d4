import type { BusListener, Done } from './bus.ts';

/** How bytes travel. The simulation delays and loses them; without it they arrive in the next turn. */
export interface Wire {
  carry(member: string, way: 'request' | 'answer' | 'doorbell', arrive: () => void): void;
}

export interface Link {
  listen(listener: BusListener): void;
  request<T>(done: Done<T>, carryOut: () => T): void;
  hear(member: string, message: Uint8Array): void;
  cut(reason: string): void;
  join(run: string): void;
  close(): void;
}

/** One member's connection: what is on its way when it is cut is lost, and its sender is told that it may have arrived. */
export function createLink(member: string, wire: Wire, isUp: () => boolean): Link {
  let listener: BusListener | undefined;
  let joined = false;
  let life = 0;
  const pending = new Set<(reason: string) => void>();
  return {
    listen(to) {
      listener = to;
    },
    request<T>(done: Done<T>, carryOut: () => T) {
      let answered = false;
      const fail = (reason: string, unsure: boolean): void => {
        if (answered) return;
        answered = true;
        pending.delete(lost);
        done({ ok: false, reason, unsure });
      };
      const lost = (reason: string): void => fail(reason, true);
      if (!joined) {
        wire.carry(member, 'answer', () => fail('not connected', false));
        return;
      }
      pending.add(lost);
      const made = life;
      wire.carry(member, 'request', () => {
        // A cut loses the request; what has arrived is carried out though its answer may be lost.
        if (made !== life || !isUp()) return;
        const value = carryOut();
        wire.carry(member, 'answer', () => {
          if (made !== life || answered) return;
          answered = true;
          pending.delete(lost);
          done({ ok: true, value });
        });
      });
    },
    hear(from, message) {
      const made = life;
      if (!joined) return;
      wire.carry(member, 'doorbell', () => {
        if (made === life) listener?.heard(from, message);
      });
    },
    cut(reason) {
      if (!joined) return;
      joined = false;
      life += 1;
      for (const lost of [...pending]) lost(reason);
      listener?.disconnected(reason);
    },
    join(run) {
      if (joined || listener === undefined) return;
      const made = life;
      wire.carry(member, 'answer', () => {
        if (made !== life || joined || !isUp()) return;
        joined = true;
        listener?.connected(run);
      });
    },
    close() {
      life += 1;
      joined = false;
      listener = undefined;
      pending.clear();
    },
  };
}
