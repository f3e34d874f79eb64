import { Aliases } from '../../src/vault/packs/aliases.ts';
import { parsePackKey, sealKey } from '../../src/vault/format/object-names.ts';
import type { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { SilentLog } from '../../src/kernel/log.ts';
import { changeObject, cut, flip, keysOf, remove } from '../support/vault/vault-damage.ts';
import { signal, VM } from '../support/vault/vault-lab.ts';
import {
  anotherPack,
  flipFooter,
  flipFrame,
  forgePack,
  nextGeneration,
  openPack,
  otherContent,
  otherIds,
  rubbishFrame,
  same,
  type Forge,
} from './forgery.ts';
import type { ProofLab } from './proof-lab.ts';

type Apply = (lab: ProofLab, store: MemoryObjectStore) => Promise<unknown>;

const change =
  (of: (lab: ProofLab) => string, damage: Parameters<typeof changeObject>[2]): Apply =>
  async (lab, store) =>
    changeObject(store, of(lab), damage);

/**
 * The whole first pack, or a changed one, under a name of its own, and an alias that leads there.
 */
const aliased =
  (forge = same): Apply =>
  async (lab, store) => {
    const to = anotherPack(lab.shared);
    await forgePack(lab.vault, store, lab.shared, { forge, name: to });
    const { base } = lab.vault.inside;
    const { slots } = (await openPack(lab.vault, lab.shared)).footer;
    const from = { ulid: parsePackKey(lab.shared)?.ulid ?? '', slot: 0 };
    await new Aliases({ ...base, store }, new SilentLog()).write(
      [{ from, to: { ulid: to.ulid, slot: 0 }, count: slots }],
      signal,
    );
  };

const regenerated =
  (forge = same): Apply =>
  async (lab, store) =>
    forgePack(lab.vault, store, lab.shared, { forge, name: nextGeneration(lab.shared) });

const wrongContent: Apply = async (lab, store) =>
  forgePack(lab.vault, store, lab.shared, { forge: otherContent() });

/** The same names for chunks that are valid, but not those that the point was made of. */
const otherChunks =
  (lab: ProofLab): Forge =>
  (slot, content) => {
    const { content: other } = otherContent()(slot, content, content) ?? { content };
    return { content: other, id: lab.chunkId(other) };
  };

const both =
  (...steps: Apply[]): Apply =>
  async (lab, store) => {
    for (const step of steps) {
      await step(lab, store);
    }
  };

const shared = (lab: ProofLab): string => lab.shared;
const own = (lab: ProofLab): string => lab.own;
const metadata = (lab: ProofLab): string => lab.metadata;

/**
 * Every kind of damage that some check claims to find, and things that must not count as damage.
 */
export const DAMAGES: Readonly<Record<string, Apply>> = {
  nothing: async () => undefined,

  'a data pack is missing': change(own, remove),
  'a metadata pack is missing': change(metadata, remove),
  'a pack is cut short': change(own, cut(-1)),
  'a trailer is flipped': change(own, flip(-1)),
  'a header is flipped': change(own, flip(20)),
  'a footer is flipped': change(own, flip(-70)),
  'a footer is flipped, with its checksums': change(own, flipFooter),
  'the object of another pack lies there': async (lab, store) => {
    const other = await store.get(lab.shared, signal);
    await changeObject(store, lab.own, () => other);
  },
  'the footer has other ids': async (lab, store) =>
    forgePack(lab.vault, store, lab.own, { forge: otherIds }),

  'a node is another one': async (lab, store) =>
    forgePack(lab.vault, store, lab.metadata, { forge: otherContent() }),
  'a frame of the map is flipped': change(metadata, flip(100)),
  'the map has an impossible depth': async (lab, store) =>
    lab.forgePoint(store, (document) => ({
      ...document,
      disks: document.disks.map((disk) => ({ ...disk, depth: disk.depth + 1 })),
    })),
  'a file is another one': async (lab, store) => {
    const { document } = await lab.vault.inside.points.load({ ...VM, id: lab.second }, signal);
    const slots = document.files.flatMap((file) => file.slots.map(({ slot }) => slot));
    await forgePack(lab.vault, store, lab.metadata, { forge: otherContent(new Set(slots)) });
  },
  'a file is shorter than the point says': async (lab, store) =>
    lab.forgePoint(store, (document) => ({
      ...document,
      files: document.files.map((file) => ({ ...file, sizeBytes: file.sizeBytes + 1 })),
    })),
  'the parent is not the one it was made from': async (lab, store) =>
    lab.forgePoint(store, (document) => ({
      ...document,
      parent: { id: lab.first, mac: '0'.repeat(32) },
    })),
  'the point is flipped': change((lab) => lab.pointObject, flip(80)),
  'the point is another one than was sealed': async (lab, store) => {
    const key = sealKey(VM.vmId, lab.second);
    const seal = await store.get(key, signal);
    await lab.forgePoint(store, (document) => ({ ...document, vmName: 'another' }));
    await changeObject(store, key, () => seal);
  },
  'the seal is of another point': async (lab, store) => {
    const other = await store.get(sealKey(VM.vmId, lab.first), signal);
    await changeObject(store, sealKey(VM.vmId, lab.second), () => other);
  },

  'a frame is flipped': change(own, flip(100)),
  'the number of a frame is flipped': change(own, flip(64)),
  'a frame is flipped, with its checksum': async (lab, store) =>
    changeObject(store, lab.own, flipFrame(await openPack(lab.vault, lab.own), 0)),
  'a frame does not decompress': async (lab, store) =>
    changeObject(store, lab.shared, rubbishFrame(await openPack(lab.vault, lab.shared), 0)),

  'content is not what its id says': wrongContent,
  'content that only the other point needs is not what its id says': async (lab, store) => {
    const { spare } = await lab.slots();
    await forgePack(lab.vault, store, lab.shared, { forge: otherContent(new Set(spare)) });
  },

  'a frame is flipped, and another generation is whole': both(
    regenerated(),
    change(shared, flip(100)),
  ),
  'content is wrong, and another generation is whole': both(regenerated(), wrongContent),
  'content is wrong in two generations': both(regenerated(otherContent()), wrongContent),
  'the newer of two generations is wrong': both(regenerated(otherContent())),
  'the newer of two generations has other chunks': async (lab, store) =>
    regenerated(otherChunks(lab))(lab, store),
  'an alias leads to the right one': aliased(),
  'an alias leads to wrong content': aliased(otherContent()),
  'an alias leads to other chunks': async (lab, store) => aliased(otherChunks(lab))(lab, store),
  'content is wrong, and an alias leads to the right one': both(aliased(), wrongContent),
  'a pack is gone, and an alias leads to the right one': both(aliased(), change(shared, remove)),
  'a pack is gone, and an alias leads to wrong content': both(
    aliased(otherContent()),
    change(shared, remove),
  ),
  'content is wrong, and an alias leads to other chunks': async (lab, store) =>
    both(aliased(otherChunks(lab)), wrongContent)(lab, store),
  'all chunks are others': async (lab, store) =>
    forgePack(lab.vault, store, lab.shared, { forge: otherChunks(lab) }),

  'a mark of damage is flipped': async (_lab, store) =>
    changeObject(store, (await keysOf(store, 'bad/'))[0] ?? '', flip(40)),
  'a key object is flipped': async (_lab, store) =>
    changeObject(store, (await keysOf(store, 'keys/'))[0] ?? '', flip(40)),
};
