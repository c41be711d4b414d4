import { randomInt } from 'node:crypto';
import type { Protocol } from '../../packet/port.ts';
import { EPHEMERAL_FIRST } from '../../policy/limits.ts';

/** The lowest port that is no well-known service's. */
const FIRST = 1024;
const STEPS = 4;

/**
 * Draws ports that none of `taken` is: of 1024 to 32767, so that this machine and traceroutes never ask from one. Adds
 * what it draws to `taken`.
 */
export function drawPort(taken: Set<number>): number {
  for (;;) {
    const port = randomInt(FIRST, EPHEMERAL_FIRST);
    if (taken.has(port)) continue;
    taken.add(port);
    return port;
  }
}

/** A sequence of both protocols that no scan meets in its order, up or down. */
export function drawSequence(taken: Set<number>): readonly string[] {
  for (;;) {
    const drawn = new Set(taken);
    const ports = Array.from({ length: STEPS }, () => drawPort(drawn));
    const rising = ports.every((port, at) => at === 0 || port > (ports[at - 1] ?? 0));
    const falling = ports.every((port, at) => at === 0 || port < (ports[at - 1] ?? 0));
    if (rising || falling) continue;
    for (const port of ports) taken.add(port);
    const first: Protocol = randomInt(2) === 0 ? 'tcp' : 'udp';
    const other: Protocol = first === 'tcp' ? 'udp' : 'tcp';
    return ports.map((port, at) => `${port}/${at % 2 === 0 ? first : other}`);
  }
}
