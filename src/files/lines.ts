import { open } from 'node:fs/promises';

/** What the system says where it has no room to open anything. */
const SHORTAGES: readonly string[] = ['EMFILE', 'ENFILE', 'ENOMEM'];

/** Read at a time: what a turn of the event loop has to look through. */
const PIECE_BYTES = 65_536;
/** A table of /proc is read so far: two million routes, or one and a half million connections. */
export const TABLE_BYTES_MAX: number = 256 * 1024 * 1024;

/**
 * Shows the lines of a file's first `bytesMax` bytes, a piece in each turn of the event loop; none of a file that is not
 * there or may not be read. Rejects where descriptors or memory are short.
 */
export async function readLines(
  file: string,
  bytesMax: number,
  visit: (lines: readonly string[]) => void,
): Promise<void> {
  const handle = await open(file).catch((error: NodeJS.ErrnoException) => {
    if (SHORTAGES.includes(error.code ?? '')) throw error;
    return undefined;
  });
  if (handle === undefined) return;
  const piece = Buffer.alloc(PIECE_BYTES);
  let rest = '';
  try {
    for (let total = 0; total < bytesMax; ) {
      const { bytesRead } = await handle.read(piece, 0, piece.length, null);
      if (bytesRead === 0) break;
      total += bytesRead;
      const lines = (rest + piece.toString('latin1', 0, bytesRead)).split('\n');
      rest = (lines.pop() ?? '').slice(-PIECE_BYTES);
      visit(lines);
    }
    visit([rest]);
  } finally {
    await handle.close();
  }
}
