/** Bytes of a line that are kept; our own lines have at most a few thousand. */
const LINE_BYTES_MAX = 65_536;

const NEWLINE = 10;

/** Cuts bytes into lines, whatever the bytes are, with bounded memory. */
export interface Splitter {
  /** Takes the next bytes and gives every line that is whole now, without its newline. */
  push(bytes: Uint8Array): string[];
  /** What has come since the last newline, if anything; it is forgotten then. */
  end(): string | undefined;
}

/** A line longer than `max` bytes is cut there; the rest of it is skipped. */
export function createSplitter(max: number = LINE_BYTES_MAX): Splitter {
  let held: Uint8Array[] = [];
  let size = 0;

  function hold(bytes: Uint8Array): void {
    const part = bytes.subarray(0, max - size);
    if (part.length === 0) return;
    // A copy, since the caller reuses its buffer; `slice` of a Buffer is none.
    held.push(Buffer.from(part));
    size += part.length;
  }

  function take(): string {
    // Bytes that are no UTF-8, such as a letter cut in two, become U+FFFD.
    const line = Buffer.concat(held, size).toString('utf8');
    held = [];
    size = 0;
    return line;
  }

  return {
    push(bytes) {
      const lines: string[] = [];
      let start = 0;
      for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, start)) {
        hold(bytes.subarray(start, at));
        lines.push(take());
        start = at + 1;
      }
      hold(bytes.subarray(start));
      return lines;
    },
    end: () => (size === 0 ? undefined : take()),
  };
}
