import { type Document, isMap, parseDocument, YAMLMap } from 'yaml';

/** An entry of the key file, as it stands there. */
export interface KeyEntry {
  readonly [option: string]: string | number | readonly string[] | KeyEntry;
}

/** The text with one more key, or with another in its place; comments and all else stay. Undefined: it can't be edited. */
export function withKey(text: string, name: string, entry: KeyEntry): string | undefined {
  return edited(text, (document) =>
    document.setIn(['keys', name], document.createNode(entry, { flow: true })),
  );
}

/** The text without a key. Undefined: it has none of that name, or can't be edited. */
export function withoutKey(text: string, name: string): string | undefined {
  return edited(text, (document) => document.deleteIn(['keys', name]));
}

/** The text with what stands at the top, such as the realm. */
export function withTop(text: string, option: string, value: string | KeyEntry): string | undefined {
  return edited(text, (document) => document.set(option, document.createNode(value, { flow: true })));
}

function edited(text: string, change: (document: Document) => unknown): string | undefined {
  const document = parseDocument(text, { version: '1.2', schema: 'core', logLevel: 'silent' });
  if (document.errors.length > 0) return undefined;
  if (document.contents === null) document.contents = document.createNode({}) as never;
  if (!isMap(document.contents)) return undefined;
  const keys = document.get('keys');
  // "keys:" with nothing behind it, as in a file that was begun by hand.
  if (keys === null || keys === undefined) document.set('keys', new YAMLMap());
  else if (!isMap(keys)) return undefined;
  return change(document) === false
    ? undefined
    : document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

/** The text with another credential for a key, and what it was before beside it. Undefined: it can't be edited. */
export function withRotated(
  text: string,
  name: string,
  {
    kind,
    credential,
    until,
  }: { readonly kind: string; readonly credential: KeyEntry[string]; readonly until: string },
): string | undefined {
  return edited(text, (document) => {
    const entry = document.getIn(['keys', name], true);
    if (!isMap(entry) || !entry.has(kind)) return false;
    const former = document.createNode({ [kind]: entry.toJS(document)[kind], until }, { flow: true });
    entry.set(kind, document.createNode(credential, { flow: true }));
    entry.set('before', former);
    return true;
  });
}

/** The text with another realm; the one before it is taken until then. Undefined: it can't be edited. */
export function withRealm(text: string, realm: string, until: string): string | undefined {
  return edited(text, (document) => {
    const former = document.get('realm');
    if (typeof former === 'string')
      document.set('old_realm', document.createNode({ realm: former, until }, { flow: true }));
    document.set('realm', realm);
    return true;
  });
}
