import { readdir, readFile } from 'node:fs/promises';

const FILES_MAX = 20;
const ROOT = new URL('../', import.meta.url);

/** The folders under `top` with the number of files that each holds itself. */
async function folders(top: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const entry of await readdir(new URL(top, ROOT), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) {
      const folder = entry.parentPath.slice(ROOT.pathname.length);
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
  }
  return counts;
}

describe('the layout', () => {
  it.each(['src', 'test'])(`has no folder in %s with more than ${FILES_MAX} files`, async (top) => {
    const all = await folders(top);
    expect(all.size).toBeGreaterThan(10);
    expect([...all].filter(([, count]) => count > FILES_MAX)).toEqual([]);
  });

  it.each(['src/vault', 'src/engines/qemu'])('gives each folder of %s a ring', async (house) => {
    const rules = await readFile(new URL('.dependency-cruiser.cjs', ROOT), 'utf8');
    const entries = await readdir(new URL(house, ROOT), { withFileTypes: true });
    const rooms = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(rooms.length).toBeGreaterThan(5);
    expect(rooms.filter((room) => !rules.includes(`'${room}'`))).toEqual([]);
  });
});
