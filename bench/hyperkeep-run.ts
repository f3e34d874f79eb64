// One operation on a vault in a process of its own, so that what it costs can be measured:
//   create VAULT
//   back-up VAULT IMAGE VM
//   restore VAULT VM FILE
//   increment VAULT IMAGE VM OFFSETS LENGTH
// or, as the service does it, any number of them in one process that has the vault open:
//   serve VAULT    one command a line on standard input, without VAULT; costs on standard output
import { createHash } from 'node:crypto';
import { enableCompileCache } from 'node:module';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import type { ChangeSet } from '../src/disk/change-set.ts';
import type * as ImageCode from '../src/formats/image.ts';
import type * as LocationCode from '../src/vault/object-stores/location.ts';
import type * as MeteredCode from '../src/vault/object-stores/metered.ts';
import type * as VaultModule from '../src/vault/vault.ts';
import type { Vault as OpenVault } from '../src/vault/vault.ts';
import type { NewPoint } from '../src/vault/writing/new-point.ts';

interface ProductCode {
  readonly image: typeof ImageCode;
  readonly location: typeof LocationCode;
  readonly metered: typeof MeteredCode;
  readonly vault: typeof VaultModule;
}

/** The built code, as people run it. `BENCH_SOURCE=1` measures the sources. */
async function load(): Promise<ProductCode> {
  const isSource = process.env['BENCH_SOURCE'] === '1';
  const root = process.env['BENCH_ROOT'] ?? '';
  const file = async (name: string): Promise<unknown> =>
    import(isSource ? `${root}/src/${name}.ts` : `${root}/dist/${name}.js`);
  return {
    image: (await file('formats/image')) as typeof ImageCode,
    location: (await file('vault/object-stores/location')) as typeof LocationCode,
    metered: (await file('vault/object-stores/metered')) as typeof MeteredCode,
    vault: (await file('vault/vault')) as typeof VaultModule,
  };
}

// As bin/hyperkeep.mjs does.
enableCompileCache(`${process.env['BENCH_CACHE'] ?? ''}/code`);
const code = await load();
const { Vault } = code.vault;
const { signal } = new AbortController();
const [command = '', location = '', ...rest] = process.argv.slice(2);
const passphrase = process.env['BENCH_PASSPHRASE'] ?? '';
const cacheFolder = process.env['BENCH_CACHE'] ?? '';
const level = Number(process.env['BENCH_LEVEL'] ?? 0);
const linkBytesPerSecond = Number(process.env['BENCH_LINK'] ?? 0);

/** A store behind a link of a given rate, which its uploads share. */
class LinkedStore extends code.metered.MeteredObjectStore {
  #link: Promise<unknown> = Promise.resolve();

  override async put(
    ...[key, data, stop, options]: Parameters<
      InstanceType<typeof MeteredCode.MeteredObjectStore>['put']
    >
  ): Promise<void> {
    const sent = this.#link.then(() => pause((data.length / linkBytesPerSecond) * 1000));
    this.#link = sent;
    await sent;
    await super.put(key, data, stop, options);
  }
}

const directory = await code.location.openObjectStore(location, {}, signal);
const store =
  linkBytesPerSecond > 0
    ? new LinkedStore(directory)
    : new code.metered.MeteredObjectStore(directory);

/** A UUID for a name, the same in every run. */
function idOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, '$1-$2-4$3-8$4-$5');
}

async function open(): Promise<OpenVault> {
  return Vault.open(store, { kind: 'passphrase', passphrase }, { cacheFolder, warm: true }, signal);
}

async function backUp(
  vault: OpenVault,
  image: string,
  vmName: string,
  changes: ChangeSet,
): Promise<object> {
  await using reader = await code.image.openImage(image, 'raw', signal);
  const vm = { vmId: idOf(vmName), vmName, ...(level > 0 ? { compressionLevel: level } : {}) };
  await using writer = await vault.beginPoint(vm as NewPoint, signal);
  const { statistics } = await writer.addDisk(
    { diskId: idOf(`${vmName} disk`), name: 'disk', sizeBytes: reader.size, reader, changes },
    { signal },
  );
  await writer.commit(
    { takenAtMs: Date.now(), consistency: 'imported', notes: [], configuration: {} },
    signal,
  );
  return { statistics, traffic: store.traffic };
}

async function restore(vault: OpenVault, vmName: string, file: string): Promise<object> {
  const [disk, point] = await newestDisk(vault, idOf(vmName));
  await using writer = await code.image.createImage(file, 'raw', disk.sizeBytes, signal);
  const place = { pointId: point.id, diskId: disk.diskId };
  const statistics = await vault.restoreDisk(place, writer, { signal });
  await writer.flush(signal);
  return { statistics, traffic: store.traffic };
}

async function newestDisk(
  vault: OpenVault,
  vmId: string,
): Promise<
  [
    Awaited<ReturnType<OpenVault['point']>>['disks'][number],
    Awaited<ReturnType<OpenVault['point']>>,
  ]
> {
  const points = await vault.points(signal, vmId);
  const point = points.reduce((newest, one) => (one.id > newest.id ? one : newest));
  const [disk] = point.disks;
  if (disk === undefined) {
    throw new Error(`the point ${point.id} has no disk`);
  }
  return [disk, point];
}

async function perform(vault: OpenVault, [name = '', ...rest]: readonly string[]): Promise<object> {
  const [first = '', second = '', offsets = '', length = ''] = rest;
  switch (name) {
    case 'back-up':
      return backUp(vault, first, second, { method: 'full', reason: 'imported-image' });
    case 'restore':
      return restore(vault, first, second);
    case 'increment': {
      const extents = offsets.split(',').map((offset) => ({
        offset: Number(offset),
        length: Number(length),
        content: 'data' as const,
      }));
      return backUp(vault, first, second, { method: 'changed-extents', extents });
    }
    default:
      throw new Error(`no such command: ${name}`);
  }
}

async function create(): Promise<object> {
  const name = { name: 'bench', passphrase, cacheFolder };
  const { vault } = await Vault.create(store, name, signal);
  await vault.close();
  return {};
}

async function performOnce(): Promise<object> {
  const vault = await open();
  const result = await perform(vault, [command, ...rest]);
  await vault.close();
  return result;
}

async function serve(): Promise<void> {
  const vault = await open();
  console.log('{}');
  for await (const line of createInterface({ input: process.stdin })) {
    const before = process.cpuUsage();
    await perform(vault, JSON.parse(line) as string[]);
    const { user, system } = process.cpuUsage(before);
    const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
    console.log(JSON.stringify({ cpuS: (user + system) / 1e6, peakMemoryBytes }));
  }
  await vault.close();
}

if (command === 'serve') {
  await serve();
} else {
  console.log(JSON.stringify(await (command === 'create' ? create() : performOnce())));
}
