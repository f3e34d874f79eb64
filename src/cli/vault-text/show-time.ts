/** A moment in the zone of whoever looks. */
export type ShowTime = (timeMs: number) => string;
