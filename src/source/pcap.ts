import { createFrameBatcher, type FrameCounts, type OnCaptureBatch } from './pcap-batch.ts';
import { classicMagic, createClassicFraming } from './pcap-classic.ts';
import { DAMAGED, type Framing, WANT_MORE } from './pcap-framing.ts';
import { createPcapngFraming, isPcapng } from './pcapng.ts';

/** Where and why a capture could not be read to its end. What came before it was read. */
export interface CaptureFault {
  /** Bytes from the (uncompressed) beginning. */
  readonly at: number;
  /** `cut`: it ends within a record. `damaged`: what is there can't be. `unknown`: it is whole, of a kind that can't be read. */
  readonly fault: 'cut' | 'damaged' | 'unknown';
  /** What was found, and what was expected. */
  readonly text: string;
}

/**
 * Reads a capture, classic or pcapng, as its bytes come, in memory bounded by its greatest record. It never
 * throws on input.
 */
export interface CaptureReader {
  /** Hands on every packet that `chunk` completes before it returns. False: there's damage; no more is read. */
  push(chunk: Uint8Array): boolean;
  /** To be called after the last chunk: what is wrong with the capture, or undefined. */
  end(): CaptureFault | undefined;
  readonly counts: Readonly<FrameCounts>;
}

/** Both formats are known by their first four bytes. */
const MAGIC_BYTES = 4;
/** It grows with what is pushed, never by what a length field says. */
const BUFFER_BYTES_FIRST = 4096;

export function createCaptureReader(onBatch: OnCaptureBatch): CaptureReader {
  const batcher = createFrameBatcher(onBatch);
  let framing: Framing | undefined;
  let buffer = new Uint8Array(BUFFER_BYTES_FIRST);
  /** Bytes of the buffer that are in use, and the capture's offset of the first. */
  let held = 0;
  let base = 0;
  let fault: CaptureFault | undefined;

  const append = (chunk: Uint8Array): void => {
    if (held + chunk.length > buffer.length) {
      const larger = new Uint8Array(Math.max(buffer.length * 2, held + chunk.length));
      larger.set(buffer.subarray(0, held));
      buffer = larger;
    }
    buffer.set(chunk, held);
    held += chunk.length;
  };
  const begin = (): Framing | undefined => {
    const magic = classicMagic(buffer, 0);
    if (magic !== undefined) return createClassicFraming(magic, batcher);
    return isPcapng(buffer, 0) ? createPcapngFraming(batcher) : undefined;
  };
  /** Reads what is whole and moves the rest to the front. */
  const drain = (reading: Framing): void => {
    let at = 0;
    for (;;) {
      const taken = reading.step(buffer, at, held);
      if (taken === DAMAGED)
        fault = {
          at: base + at,
          fault: reading.unknown() ? 'unknown' : 'damaged',
          text: reading.damage(),
        };
      if (taken === DAMAGED || taken === WANT_MORE) break;
      at += taken;
    }
    batcher.flush();
    buffer.copyWithin(0, at, held);
    held -= at;
    base += at;
  };

  return {
    counts: batcher.counts,
    push(chunk) {
      if (fault !== undefined) return false;
      append(chunk);
      if (held < MAGIC_BYTES) return true;
      framing ??= begin();
      if (framing === undefined) fault = { at: 0, fault: 'damaged', text: notACapture(buffer) };
      else drain(framing);
      return fault === undefined;
    },
    end() {
      if (fault !== undefined) return fault;
      if (base === 0) {
        const text =
          held === 0
            ? 'it is empty: a capture, as tcpdump -w writes one, begins with a header'
            : `${held} bytes are there, which is less than a capture's header`;
        fault = { at: held, fault: 'cut', text };
      } else if (held > 0) {
        const wanted = framing?.wanted() ?? 0;
        fault = { at: base, fault: 'cut', text: `${held} bytes are left of a record that needs ${wanted}` };
      }
      return fault;
    },
  };
}

const COMPRESSED: readonly (readonly [name: string, tool: string, magic: readonly number[]])[] = [
  ['zstd', 'zstd -dc', [0x28, 0xb5, 0x2f, 0xfd]],
  ['xz', 'xz -dc', [0xfd, 0x37, 0x7a, 0x58]],
  ['bzip2', 'bzip2 -dc', [0x42, 0x5a, 0x68]],
  ['lz4', 'lz4 -dc', [0x04, 0x22, 0x4d, 0x18]],
];

function notACapture(bytes: Uint8Array): string {
  for (const [name, tool, magic] of COMPRESSED) {
    if (magic.every((each, index) => bytes[index] === each)) {
      return `it is compressed with ${name}: unpack it first (${tool} FILE | nfknock replay -)`;
    }
  }
  const first = [...bytes.subarray(0, MAGIC_BYTES)]
    .map((each) => each.toString(16).padStart(2, '0'))
    .join('');
  return `it begins with ${first}, which is neither pcap (a1b2c3d4, a1b23c4d) nor pcapng (0a0d0d0a): name a capture such as \`tcpdump -w FILE\` writes`;
}
