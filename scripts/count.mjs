// Reads a report of vitest and prints "PASSED FAILED". A test that was skipped or left to do has failed, and
// so has a file that could not be loaded: neither shows that anything works.
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const tests = report.testResults.flatMap((file) => file.assertionResults);
const passed = tests.filter((test) => test.status === 'passed').length;
const unloaded = report.testResults.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
).length;
for (const test of tests) {
  if (test.status !== 'passed' && test.status !== 'failed') {
    process.stderr.write(`   not run (${test.status}): ${test.fullName}\n`);
  }
}
process.stdout.write(`${passed} ${tests.length - passed + unloaded}\n`);
