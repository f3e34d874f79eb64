import type { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import type { RecoveryPoint } from '../../../src/vault/points/recovery-point.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { fingerprint } from '../vault/vault-lab.ts';
import type { Evidence, PointEvidence } from './findings.ts';
import type { Home } from './home.ts';
import type { HomesLab } from './homes-lab.ts';

const { signal } = new AbortController();

/** Looks at everything that is left, past the services, which do nothing meanwhile. */
export async function gather(lab: HomesLab, store: S3ObjectStore): Promise<Evidence> {
  const frozen: string[] = [];
  for (const home of lab.homes) {
    frozen.push(...home.frozen);
    if ((await home.real?.isFrozen()) === true) {
      frozen.push(`the guest of ${home.name}`);
    }
  }
  const vault = await lab.openVault(store);
  try {
    const points = await vault.points(signal);
    return {
      runs: await lab.runs(),
      points: [...(await lost(vault)), ...(await verified(vault, points))],
      limits: lab.limits.seen,
      frozen,
      different: await different(lab, vault, points),
    };
  } finally {
    await vault.close();
  }
}

/** The points that lists leave out because they cannot be read. */
async function lost(vault: Vault): Promise<PointEvidence[]> {
  const unreadable = await vault.inside.points.unreadable(signal);
  return unreadable.map(({ name, fault }) => {
    return { id: name.id, run: undefined, problems: [fault.message] };
  });
}

async function verified(vault: Vault, points: readonly RecoveryPoint[]): Promise<PointEvidence[]> {
  const found: PointEvidence[] = [];
  for (const { id, origin } of points) {
    const { problems } = await vault.verify(id, 3, { signal });
    found.push({ id, run: origin?.run, problems: problems.map((each) => JSON.stringify(each)) });
  }
  return found;
}

/** Returns the fake VMs whose newest point is not what their disks held when it was frozen. */
async function different(
  lab: HomesLab,
  vault: Vault,
  points: readonly RecoveryPoint[],
): Promise<string[]> {
  const wrong: string[] = [];
  for (const home of lab.homes) {
    for (const [vm, name] of home.fakes) {
      const newest = points.findLast(({ vmId }) => vmId === vm);
      if (newest !== undefined && !(await isSame(vault, newest, home))) {
        wrong.push(name);
      }
    }
  }
  return wrong;
}

async function isSame(vault: Vault, point: RecoveryPoint, home: Home): Promise<boolean> {
  const contents = home.contents.get(point.vmId) ?? [];
  const content = contents.findLast(({ atMs }) => atMs <= point.takenAtMs);
  for (const { diskId, name, sizeBytes } of point.disks) {
    const held = content?.disks.get(name);
    const disk = new MemoryDisk(sizeBytes);
    await vault.restoreDisk({ pointId: point.id, diskId }, disk.writer(), { signal });
    if (held === undefined || (await fingerprint(disk.reader())) !== (await fingerprint(held))) {
      return false;
    }
  }
  return true;
}
