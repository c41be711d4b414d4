/** Mutants that nobody outside can tell from the engine as it is: by file, the line before and after. */
interface Equivalent {
  readonly why: string;
  readonly mutants: Readonly<Record<string, readonly string[]>>;
}

export const EQUIVALENT: readonly Equivalent[] = [];
