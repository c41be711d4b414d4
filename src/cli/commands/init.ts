import type { CommonOptions, ExitCode } from '../exit.ts';

export interface InitOptions extends CommonOptions {
  readonly yes?: boolean;
  readonly confirmBy?: string;
  readonly opens?: string;
  readonly door?: string;
  readonly allow?: string;
  readonly by?: string;
  readonly ssh?: string;
  readonly never?: string;
  readonly host?: string;
  readonly out?: string;
  readonly within?: string;
  readonly replace?: boolean;
  readonly ipv4Only?: boolean;
  readonly policy?: string;
}

/** `nfknock init`. */
export async function command(_: readonly string[], options: InitOptions): Promise<ExitCode> {
  const { init } = await import('../init/init.ts');
  return await init(options);
}
