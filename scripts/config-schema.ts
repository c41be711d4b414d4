import type { Schema } from '../src/config/kind.ts';
import { root } from '../src/config/schema.ts';

/** docs/nfknock.schema.json: the configuration for editors. Written and checked in test/unit/docs/schema.test.ts. */
export function configSchema(): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: 'https://nfknock.example/nfknock.schema.json',
    title: 'The configuration of nfknock (nfknock.yaml)',
    ...root.schema,
    // Nothing at all is no configuration.
    type: 'object',
  };
}
