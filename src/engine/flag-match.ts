import { TCP_FLAG } from '../packet/flags.ts';
import type { ScanReason } from './event.ts';

const { fin, syn, rst, psh, ack, urg } = TCP_FLAG;

/** What a TCP packet looks like by its six flags. */
export type Shape = 'ordinary' | 'backscatter' | ScanReason;

/**
 * `ordinary`: what a client sends first. `backscatter`: SYN+ACK or RST, the answers to packets that someone
 * else forged in our name. Everything else is a stealth scan, named as nmap names it.
 */
export function shapeOf(flags: number): Shape {
  if ((flags & rst) !== 0 || (flags & (syn | ack)) === (syn | ack)) return 'backscatter';
  if ((flags & syn) !== 0) return (flags & fin) === 0 ? 'ordinary' : 'flags';
  if (flags === 0) return 'null';
  if (flags === ack) return 'ack';
  if ((flags & (fin | ack)) === (fin | ack)) return 'maimon';
  if ((flags & (fin | psh | urg)) === (fin | psh | urg)) return 'xmas';
  return (flags & fin) !== 0 ? 'fin' : 'flags';
}
