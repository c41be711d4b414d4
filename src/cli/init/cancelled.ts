/** Somebody pressed ^C or Escape, or ended the session. */
export class Cancelled extends Error {
  constructor() {
    super('given up');
    this.name = 'Cancelled';
  }
}
