/** Which way a frame went, where the capture says so. */
export const WAY = { unknown: 0, inbound: 1, outbound: 2, other: 3 } as const;
