/** Why a proven packet opens nothing. */
export type RejectReason =
  | 'stale'
  | 'replayed'
  | 'expired'
  | 'door'
  | 'ports'
  | 'address'
  | 'from'
  | 'limit'
  | 'command'
  | 'nat'
  | 'user'
  | 'full'
  | 'unavailable';

/** How often a key has opened in all, and when last: the wall clock's milliseconds. */
export interface Used {
  readonly uses: number;
  readonly last: number;
}

/** What must be written, in the same transaction as the grant, before anything opens. */
export type UseChange =
  | {
      readonly change: 'seen';
      readonly key: string;
      readonly id: string;
      readonly stamp: number | null;
      readonly source: string;
    }
  /** Nothing of this key that was made then or earlier is believed again; what was noted of such packets goes. */
  | { readonly change: 'floor'; readonly key: string; readonly stamp: number };
