import { built } from './built.ts';

/**
 * With every test it is built before the first, by nobody's clock: on a busy machine the compiler takes longer than a test
 * may. A single file builds it when it asks for it.
 */
export function setup(): void {
  if (process.env['NFKNOCK_BUILD_FIRST'] !== undefined) built();
}
