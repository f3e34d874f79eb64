/** What a token may do, from the least on. Each includes those before it. */
export const SCOPES = ['read', 'operate', 'admin'] as const;

/**
 * `read`: see everything. `operate`: also start what gives nothing up, such as backups and
 * restores. `admin`: also what removes, decides over data, or lets others in.
 */
export type Scope = (typeof SCOPES)[number];

export function includes(given: Scope, needed: Scope): boolean {
  return SCOPES.indexOf(given) >= SCOPES.indexOf(needed);
}
