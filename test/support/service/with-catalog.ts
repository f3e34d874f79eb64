import type { DataSource } from 'typeorm';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import { createDatabase, type TestDatabase } from './database.ts';

/**
 * Opens a catalog in a database of its own before the tests of a file, and drops it afterwards.
 * @param use gets it before any hook that is registered later runs
 * @param tables emptied before each test
 */
export function withCatalog(
  use: (source: DataSource) => void,
  tables: readonly string[] = [],
): void {
  let database: TestDatabase;
  let source: DataSource;
  beforeAll(async () => {
    database = await createDatabase();
    source = await openCatalog(database);
    use(source);
  });
  beforeEach(async () => {
    if (tables.length > 0) {
      await source.query(`TRUNCATE ${tables.map((table) => `"${table}"`).join()}`);
    }
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });
}
