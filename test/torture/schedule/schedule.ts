import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { NO_FAULTS } from '../../support/simulated-store/scheduler.ts';
import { fixChance } from '../fixed-chance.ts';
import type { PreparedVault } from '../lab.ts';
import type { Mutant } from '../mutant-store.ts';
import { check } from './check.ts';
import { Clients } from './clients.ts';
import { collect } from './collector.ts';
import { operate } from './operator.ts';
import { read } from './reader.ts';
import { World } from './world.ts';
import { write } from './writer.ts';

export interface ScheduleResult {
  readonly problems: readonly string[];
  readonly history: readonly string[];
  readonly requests: number;
  readonly points: number;
  readonly checked: number;
  readonly happened: ReadonlyMap<string, number>;
}

/** Runs one schedule: everything in it follows from the seed. */
export async function runSchedule(
  prepared: PreparedVault,
  seed: number,
  mutant?: Mutant,
): Promise<ScheduleResult> {
  fixChance(`schedule ${String(seed)}`);
  const world = new World(prepared, seed, mutant);
  const clients = new Clients(world);
  startAll(world, clients);
  await clients.advance(drawDeathRate(world));
  await checkInPeace(world, clients);
  const { scheduler, ledger } = world;
  const broken = scheduler.bucket.brokenRules.map(({ message }) => message);
  return {
    problems: [...ledger.problems, ...broken],
    history: scheduler.history,
    requests: scheduler.steps,
    points: ledger.promised.length,
    checked: ledger.kept.length,
    happened: ledger.happened,
  };
}

function startAll(world: World, clients: Clients): void {
  const { random } = world;
  const vms = 1 + random(3);
  for (let vm = 0; vm < vms; vm++) {
    clients.start('writer', (store) => write(world, store, `vm-${String(vm)}`, 1 + random(4)));
  }
  for (let count = random(4); count > 0; count--) {
    clients.start('collector', (store) => collect(world, store, 1 + random(4)));
  }
  for (let count = 1 + random(2); count > 0; count--) {
    clients.start('operator', (store) => operate(world, store, 1 + random(4)));
  }
  if (random(2) === 0) {
    clients.start('reader', (store) => read(world, store, 1 + random(3)));
  }
}

function drawDeathRate({ random }: World): number {
  return [0, 0, 300, 100][random(4)] ?? 0;
}

/** What is left is collected once more, and everything must be there before and after. */
async function checkInPeace(world: World, clients: Clients): Promise<void> {
  world.scheduler.faults = NO_FAULTS;
  world.scheduler.settleGhosts();
  await checkAll(world, clients, 'after all');
  clients.start('collector', (store) => collect(world, store, 2));
  clients.start('writer', (store) => write(world, store, 'vm-0', 1));
  await clients.advance(drawDeathRate(world));
  await checkAll(world, clients, 'after a last collection');
}

async function checkAll(world: World, clients: Clients, when: string): Promise<void> {
  clients.start('check', (store: ObjectStore) => check(world, store, when));
  await clients.advance(0);
}
