/** No slot. */
export const NONE = -1;

/*
 * All that is known of an entry lies side by side, in a cell of words: a packet of a flood is a new source, whose
 * entry is in no cache, and each array of its own would be one more wait for memory. The order is that of use.
 */
/** 4 or 6; of a free cell FREE. */
export const FAMILY = 0;
export const FREE = 0;
export const ADDRESS = 1;
export const EXTRA = 5;
/** The next entry of the bucket; of a free cell, the next free one. */
export const CHAIN = 6;
export const HASH = 7;
export const OLDER = 8;
export const NEWER = 9;
export const LEVEL = 10;
export const CELL_WORDS = 11;
