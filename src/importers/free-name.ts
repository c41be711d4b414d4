const NAME_MAX = 32;

/** A name that is free, made of a text from elsewhere. */
export function freeName(text: string, taken: ReadonlySet<string>): string {
  const plain = text
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, NAME_MAX - 4);
  const stem = plain === '' ? 'key' : plain;
  let name = stem;
  for (let count = 2; taken.has(name); count += 1) name = `${stem}-${count}`;
  return name;
}
