import assert from 'node:assert/strict';
import { keepLocks } from '../../../src/vault/lock/keeper.ts';
import type { ObjectKey } from '../../../src/vault/store/object-store.ts';
import { openVault, signal } from '../vault/vault-lab.ts';
import type { Command } from './commands.ts';

const DAY_MS = 86_400_000;

/** Locks last a day longer than this requests; those of the beginning an hour. */
export const keep: Command = {
  run: async ({ points, retired }, { vault: store }) => {
    const vault = await openVault(store);
    const report = await keepLocks(vault.inside, { everything: true }, { signal });
    await vault.close();
    return async (truth) => {
      const refused = new Set(report.refused);
      const { features } = truth.vault;
      assert(features !== undefined);
      const needed: ObjectKey[] = [];
      for await (const { key } of truth.vault.list('', signal)) {
        const isOfPoint = points.some((id) => id !== retired && key.includes(id));
        if (isOfPoint || /^(?:fmt|keys|alias|hold)\//.test(key)) {
          needed.push(key);
        }
      }
      assert(needed.length > points.length, 'there is nothing to keep');
      for (const key of needed.filter((name) => !refused.has(name))) {
        const lock = await features.lockOf({ key }, signal);
        assert((lock?.untilMs ?? 0) > Date.now() + DAY_MS, `the lock of ${key} was not extended`);
      }
    };
  },
};
