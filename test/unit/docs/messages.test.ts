import { join } from 'node:path';
import { expect, it } from 'vitest';
import { messages, messagesPage } from '../../../scripts/messages.ts';

const ROOT = join(import.meta.dirname, '../../..');

it('the list of messages is made from the code', async () => {
  expect(messages().length).toBeGreaterThan(300);
  await expect(messagesPage()).toMatchFileSnapshot(join(ROOT, 'docs/messages.md'));
});
