/** What the system or the other side refused: the operation, the code and what fixes it. */
export class ControlError extends Error {
  readonly operation: string;
  readonly code: ControlCode;
  readonly fix: string;
  constructor(
    [operation, code]: readonly [operation: string, code: ControlCode],
    message: string,
    fix: string,
    options?: ErrorOptions,
  ) {
    super(`${message}; ${fix}`, options);
    this.name = 'ControlError';
    this.operation = operation;
    this.code = code;
    this.fix = fix;
  }
}

export type ControlCode =
  /** Another daemon answers on this socket. */
  | 'in use'
  | 'not permitted'
  /** Nobody listens, or nobody answers. */
  | 'no daemon'
  /** The other side spoke something else. */
  | 'protocol'
  /** The path can't be a socket. */
  | 'bad path'
  | 'failed';

/** The longest path of a Unix socket: `sun_path` has 108 bytes, the last of them zero. */
export const SOCKET_PATH_BYTES_MAX = 107;
