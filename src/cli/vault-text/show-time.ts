/** Formats a time in the user's time zone. */
export type ShowTime = (timeMs: number) => string;
