const NEWLINE = 10;
const FIRST_BYTES = 1024;

/** Cuts what comes off a socket into lines, and holds no more than a line and what one read brought. */
export interface LineBuffer {
  push(chunk: Uint8Array): void;
  /** The next whole line without its newline; null: none is there yet; 'too long': none will be. */
  next(): string | null | 'too long';
  /** True where `next` would answer something. */
  ready(): boolean;
  /** What stands after the last newline. */
  rest(): string;
  /** Bytes of memory held. */
  held(): number;
}

/** `lineBytesMax` counts the line without its newline. */
export function createLineBuffer(lineBytesMax: number): LineBuffer {
  let bytes = Buffer.alloc(0);
  let start = 0;
  let end = 0;
  /** Up to here no newline stands. */
  let searched = 0;
  let newline = -1;

  function find(): void {
    if (newline >= 0) return;
    const at = bytes.subarray(0, end).indexOf(NEWLINE, searched);
    newline = at;
    searched = at < 0 ? end : at;
  }

  function make(room: number): void {
    if (end + room <= bytes.length) return;
    const used = end - start;
    let size = Math.max(FIRST_BYTES, bytes.length);
    while (size < used + room) size *= 2;
    const larger = size === bytes.length ? bytes : Buffer.allocUnsafeSlow(size);
    bytes.copy(larger, 0, start, end);
    bytes = larger;
    searched -= start;
    if (newline >= 0) newline -= start;
    start = 0;
    end = used;
  }

  function tooLong(): boolean {
    return (newline < 0 ? end : newline) - start > lineBytesMax;
  }

  return {
    push(chunk) {
      make(chunk.length);
      bytes.set(chunk, end);
      end += chunk.length;
      find();
    },
    next() {
      find();
      if (tooLong()) return 'too long';
      if (newline < 0) return null;
      const line = bytes.toString('utf8', start, newline);
      start = newline + 1;
      searched = start;
      newline = -1;
      // An idle client gives its memory back.
      if (start === end) {
        bytes = Buffer.alloc(0);
        start = 0;
        end = 0;
        searched = 0;
      }
      find();
      return line;
    },
    ready: () => newline >= 0 || tooLong(),
    rest: () => bytes.toString('utf8', Math.max(start, bytes.subarray(0, end).lastIndexOf(NEWLINE) + 1), end),
    held: () => bytes.length,
  };
}
