/** Converts PostgreSQL's bigint, which arrives as a string; ours are all safe integers. */
export const bigintColumn = {
  to: (value: number | null): number | null => value,
  from: (value: string | null): number | null => (value === null ? null : Number(value)),
};
