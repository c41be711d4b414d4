import type { Command } from '../../src/engine/command.ts';
import type { Late } from './late.ts';
import { packetText, type RefPacket } from './packet.ts';

/** One thing that happens, at its time in milliseconds: a packet, a command, or only that the time comes. */
export type Move =
  | { readonly at: number; readonly packet: RefPacket }
  | { readonly at: number; readonly late: Late; readonly packet: RefPacket }
  | { readonly at: number; readonly command: Command }
  | { readonly at: number; readonly waited: true };

export function moveText(move: Move): string {
  if ('waited' in move) return `${move.at} ms: nothing`;
  if ('late' in move) return `${move.at} ms: ${packetText(move.packet)} ${JSON.stringify(move.late)}`;
  return `${move.at} ms: ${'packet' in move ? packetText(move.packet) : JSON.stringify(move.command)}`;
}
