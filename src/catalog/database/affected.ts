import type { EntityManager } from 'typeorm';

/** Runs one statement. @returns how many rows it changed */
export async function affected(
  database: Pick<EntityManager, 'query'>,
  statement: string,
  parameters: readonly unknown[],
): Promise<number> {
  const [, amount] = await database.query<[unknown, number]>(statement, [...parameters]);
  return amount;
}
