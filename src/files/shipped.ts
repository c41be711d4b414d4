import { existsSync } from 'node:fs';

/**
 * A file that comes with the program, by its place in the package. It is looked for from here upwards: the code runs
 * from the sources, compiled file by file, and bundled into few files, which lie at different depths.
 */
export function shipped(name: string): URL {
  let place = new URL('./', import.meta.url);
  while (!existsSync(new URL('package.json', place)) && place.pathname !== '/') place = new URL('../', place);
  return new URL(name, place);
}
