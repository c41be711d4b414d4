import { readdirSync } from 'node:fs';

export const CAPTURES: string = new URL('../../fixtures/captures/', import.meta.url).pathname;
export const GOLDEN: string = new URL('.', import.meta.url).pathname;

/** One golden file: which capture is replayed with which configuration. */
export interface GoldenCase {
  readonly golden: string;
  readonly capture: string;
  readonly config: string;
}

/** `CAPTURE.CONFIG.jsonl` holds the events of CAPTURE.pcap with CONFIG.yaml. */
export function goldenCases(): GoldenCase[] {
  return readdirSync(GOLDEN)
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => {
      const [capture = '', config = ''] = name.split('.');
      return { golden: `${GOLDEN}${name}`, capture: `${CAPTURES}${capture}.pcap`, config: `${CAPTURES}${config}.yaml` };
    });
}

/** Every capture that is kept. */
export function captures(): string[] {
  return readdirSync(CAPTURES).filter((name) => name.endsWith('.pcap'));
}
