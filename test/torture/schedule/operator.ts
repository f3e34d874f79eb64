import { isFault } from '../../../src/kernel/fault.ts';
import { encodeControl } from '../../../src/vault/control/control-object.ts';
import { numberedKey, parsePackKey, PREFIXES } from '../../../src/vault/format/object-names.ts';
import { Holds } from '../../../src/vault/points/holds.ts';
import { retirePoints } from '../../../src/vault/retention/retiring.ts';
import { revivePoint } from '../../../src/vault/retention/reviving.ts';
import { SlotSet } from '../../../src/vault/slots/slot-set.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import type { Promised } from './ledger.ts';
import type { World } from './world.ts';

/** What an operator may be told, because others were faster or a point is held. */
const REFUSALS: readonly string[] = [
  'vault.point-not-found',
  'vault.point-held',
  'vault.point-condemned',
  'vault.point-retired',
  'request.invalid',
];

/** Retires, holds and revives promised points, and reports damage. */
export async function operate(world: World, store: ObjectStore, deeds: number): Promise<void> {
  const { ledger } = world;
  const vault = await world.open(store, 'other');
  for (let deed = 0; deed < deeds; deed++) {
    await world.linger(store, 25);
    const point = world.drawFrom(ledger.promised);
    if (point === undefined) {
      continue;
    }
    try {
      await doOne(world, vault, point);
    } catch (error) {
      if (!isFault(error) || !REFUSALS.includes(error.code)) {
        throw error;
      }
      ledger.count(`operator met ${error.code}`);
    }
  }
}

async function doOne(world: World, vault: Vault, { vmId, id, image }: Promised): Promise<void> {
  const { ledger, signal } = world;
  const { inside } = vault;
  const point = { vmId, id };
  switch (world.random(7)) {
    case 0: {
      const holds = new Holds(inside.base, inside.log);
      await holds.hold(inside.points, point, { reason: 'torture', atMs: 1 }, signal);
      ledger.count('point held');
      return;
    }
    case 1: {
      const revived = await revivePoint(inside, point, {}, { signal });
      ledger.count('point revived');
      ledger.promise({ vmId, id: revived.id, image });
      return;
    }
    case 2:
    case 3:
      await reportDamage(world, vault);
      return;
    default:
      ledger.retire(id);
      await retirePoints(inside, [point], { signal });
      ledger.count('point retired');
  }
}

/**
 * Reports an undamaged pack as damaged, as a scrub might: backups read and store its content again,
 * aliases lead there, and meanwhile everything must stay as it is.
 */
async function reportDamage(world: World, { inside: { base } }: Vault): Promise<void> {
  const { random, scheduler } = world;
  const packs = scheduler.bucket.page(random(2) === 0 ? 'm/' : 'd/', '', 100);
  const pack = parsePackKey(world.drawFrom(packs)?.key ?? '');
  if (pack === undefined) {
    return;
  }
  const slots = new SlotSet();
  const first = random(3);
  slots.add(pack.ulid, [{ first, count: 1 + random(4) }]);
  const key = numberedKey(PREFIXES.damaged, 1);
  await base.store.put(key, encodeControl(base.keys, 'bad', key, slots.encode()), world.signal);
  world.ledger.count('damage reported');
}
