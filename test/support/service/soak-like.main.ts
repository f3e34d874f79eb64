// node test/support/service/soak-like.main.ts HOME
//
// Has a database server and a service, as soaks do, and goes on until a signal ends it. Says the
// process of the service and the address of the database.
import { createDatabase } from './database.ts';
import { RealService } from './real-service.ts';

const database = await createDatabase();
const settings = { DATABASE_URL: database.url };
const [, , home = ''] = process.argv;
const service = await RealService.start(home, new AbortController().signal, settings);
console.log(JSON.stringify({ service: service.pid, database: database.url }));
