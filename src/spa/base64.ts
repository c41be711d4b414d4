/** 1 for each byte of the alphabet that packets are written in; "=" is not one of them. */
const ALPHABET = new Uint8Array(256);
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/') {
  ALPHABET[character.charCodeAt(0)] = 1;
}

/** Whether every byte is a letter of base64. Looks at each once and keeps nothing: it runs on whatever strangers send. */
export function isBase64(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) {
    if (ALPHABET[bytes[at] ?? 0] === 0) return false;
  }
  return true;
}

/**
 * The bytes of base64 without "=". Only the one text that these bytes are written as is taken: with spare bits set, or
 * a letter too many, a used packet could be sent again as another.
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return encodeBase64(bytes) === text ? bytes : undefined;
}

/** Base64 without "=". */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64').replace(/=+$/, '');
}
