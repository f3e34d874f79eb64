// node test/support/vault/verify-vault.main.ts FOLDER POINT: verifies a test vault at level 3 and
// restores it, as JSON.
import { MemoryDisk } from '../disk/memory-disk.ts';
import { openObjectStore } from '../../../src/vault/object-stores/location.ts';
import { DISK, openVault, signal } from './vault-lab.ts';

const [folder = '', pointId = ''] = process.argv.slice(2);
const vault = await openVault(await openObjectStore(folder, {}, signal));
const report = await vault.verify(pointId, 3, { signal });
const { disks } = await vault.point(pointId, signal);
const target = new MemoryDisk(disks[0]?.sizeBytes ?? 0);
const disk = { pointId, diskId: DISK };
const { writtenBytes, idsChecked } = await vault.restoreDisk(disk, target.writer(), { signal });
console.log(JSON.stringify({ report, restoredBytes: writtenBytes, idsChecked }));
