import { defineConfig, type ViteUserConfig } from 'vitest/config';

// `unit` needs nothing; `kernel` needs root, makes network namespaces, and runs one file at a time,
// because every file owns the namespaces and queues that it makes.
const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          setupFiles: ['test/seed.ts'],
          // A busy machine is no failure.
          testTimeout: 60_000,
          include: [
            'test/unit/**/*.test.ts',
            'test/property/**/*.test.ts',
            'test/golden/**/*.test.ts',
            'test/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'kernel',
          include: ['test/kernel/**/*.test.ts', 'test/clients/**/*.test.ts', 'test/attacks/**/*.test.ts'],
          // A shared machine can hold one packet up for seconds; what is wrong is wrong twice. By hand nothing is tried again.
          retry: process.env['CI'] === undefined ? 0 : 1,
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

export default config;
