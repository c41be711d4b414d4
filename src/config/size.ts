const UNITS: readonly (readonly [unit: string, bytes: number])[] = [
  ['GB', 1024 ** 3],
  ['MB', 1024 ** 2],
  ['kB', 1024],
  ['B', 1],
];

/** Reads `512B`, `64kB`, `10MB`, `2GB` into bytes; a kB is 1024 bytes, as logrotate counts. Undefined otherwise. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,9}) ?(B|kB|KB|MB|GB)$/.exec(text);
  const unit = UNITS.find(([name]) => name.toLowerCase() === match?.[2]?.toLowerCase());
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit[1];
}

/** Writes bytes in the largest unit that holds them whole. */
export function formatSize(bytes: number): string {
  for (const [unit, size] of UNITS) if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  return `${bytes}B`;
}
