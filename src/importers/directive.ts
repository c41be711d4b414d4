/** A name and a value on a line of a foreign file. */
export interface Directive {
  /** In small letters, as none of them depends on case. */
  readonly name: string;
  readonly value: string;
  readonly line: number;
}
