import { createHmac } from 'node:crypto';

/** Milliseconds that a code is shown for, as every authenticator takes it. */
export const STEP_MS = 30_000;

/** The code of a counter (RFC 4226), with SHA-1 as authenticators do. */
export function hotp(secret: Uint8Array, counter: number, digits: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(counter));
  const mac = createHmac('sha1', secret).update(bytes).digest();
  const offset = (mac[mac.length - 1] ?? 0) & 15;
  const number = mac.readUInt32BE(offset) & 0x7fffffff;
  return String(number % 10 ** digits).padStart(digits, '0');
}

/** The step of a moment in milliseconds since 1970 (RFC 6238). */
export function stepOf(wall: number): number {
  return Math.floor(wall / STEP_MS);
}
