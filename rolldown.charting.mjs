import { join } from 'node:path';
import { licences } from './scripts/licences.mjs';

// dist/report/charting.min.js: of the charting library what a report draws with, since each report holds it whole.

/** Parts that nothing here can come to: what translates options of versions before 4, and Chinese. */
const LEFT_OUT = {
  'echarts/lib/preprocessor/backwardCompat.js': 'export default () => undefined;',
  'echarts/lib/i18n/langZH.js': 'export default {};',
};

export default {
  input: join(import.meta.dirname, 'src/report/charting.ts'),
  platform: 'browser',
  transform: { define: { 'process.env.NODE_ENV': '"production"' }, target: 'es2022' },
  plugins: [
    {
      name: 'left-out',
      load: (id) => Object.entries(LEFT_OUT).find(([file]) => id.endsWith(file))?.[1] ?? null,
    },
    licences('charting.LICENCES.txt'),
  ],
  output: {
    file: 'dist/report/charting.min.js',
    format: 'iife',
    name: 'echarts',
    minify: true,
    comments: false,
    banner: '/*! Apache ECharts (Apache-2.0), zrender (BSD-3-Clause), tslib (0BSD) */',
  },
};
