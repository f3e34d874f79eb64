import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../kernel/fault.ts';
import { readFile } from '../kernel/files/files.ts';

const ID_FILE = 'host-id';
const Id = z.uuid();

/**
 * Returns the id of this host, which is made at the first start and kept in the home, mode 0600. A
 * home without it is another host.
 * @throws Fault `service.host-id-damaged`: a new id would make every VM a VM of another host
 */
export async function readOrMakeHostId(home: string): Promise<string> {
  const path = join(home, ID_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') {
      throw error;
    }
    const made = randomUUID();
    await writeDurably(path, `${made}\n`);
    return made;
  }
  const parsed = Id.safeParse(text.trim());
  if (!parsed.success) {
    throw new Fault(
      'service.host-id-damaged',
      `${path} does not hold the id of this host (a UUID). Bring the file back from a copy of the home, or remove it: then this host is a new one.`,
      { path },
    );
  }
  return parsed.data;
}
