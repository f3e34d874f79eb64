/**
 * PostgreSQL's bigint arrives as a string; ours are all safe integers. Converted here and only
 * here.
 */
export const bigintColumn = {
  to: (value: number | null): number | null => value,
  from: (value: string | null): number | null => (value === null ? null : Number(value)),
};
