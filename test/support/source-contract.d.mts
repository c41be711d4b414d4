import type { OnBatch, Source } from '../../src/source/source.ts';

export declare function sourceFaults(given: {
  open(onBatch: OnBatch): Source;
  send(port: number, count: number): Promise<void>;
  settled(): Promise<void>;
}): Promise<readonly string[]>;
