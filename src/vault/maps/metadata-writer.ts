import { createHash } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import { packKey, randomSuffix, type PackName } from '../format/object-names.ts';
import type { NodePointer } from './map-node.ts';
import type { MapNodes } from './map-tree.ts';
import { PackDraft } from '../packs/pack-draft.ts';
import { FRAMES_MAX, SLOTS_MAX } from '../format/limits.ts';
import { newUlid, type Ulid } from '../bytes/ulid.ts';

/** A metadata pack is sent at this size, which is small so that its memory does not matter. */
const PACK_BYTES = 8 * 1024 * 1024;

interface Building {
  readonly name: PackName;
  readonly number: number;
  readonly draft: PackDraft;
}

/** Writes map nodes and small files into metadata packs. */
export class MetadataWriter {
  readonly #nodes: MapNodes;
  readonly #clock: Clock;
  #building: Building | undefined;
  /** Bytes sent. */
  storedBytes = 0;
  /** Logical packs that were sent. */
  readonly packsSent: Ulid[] = [];

  constructor(nodes: MapNodes, clock: Clock) {
    this.#nodes = nodes;
    this.#clock = clock;
  }

  /** Adds one slot. It is in the vault once `finish` has returned. */
  async add(content: Uint8Array, signal: AbortSignal): Promise<NodePointer> {
    const mac = this.#nodes.base.keys.mac16('map', content);
    const building = (this.#building ??= this.#start());
    const { number, draft } = building;
    const pointer: NodePointer = { pack: number, slot: draft.slots, mac };
    draft.add({ id: mac, size: content.length }, content);
    this.#nodes.keep(pointer, content);
    if (draft.bytes > PACK_BYTES || draft.frames + 2 > FRAMES_MAX || draft.slots + 1 > SLOTS_MAX) {
      await this.finish(signal);
    }
    return pointer;
  }

  /** Sends what was added. */
  async finish(signal: AbortSignal): Promise<void> {
    const building = this.#building;
    if (building === undefined) {
      return;
    }
    this.#building = undefined;
    const { base, packs } = this.#nodes;
    const { name, number, draft } = building;
    const { object, footerOffset } = draft.finish();
    const sha256 = createHash('sha256').update(object).digest();
    await base.store.put(packKey(name), object, signal, { sha256 });
    this.storedBytes += object.length;
    this.packsSent.push(name.ulid);
    await packs.learn(number, { objectSize: object.length, tail: object.subarray(footerOffset) });
  }

  #start(): Building {
    const { base, packs } = this.#nodes;
    const ulid = newUlid(this.#clock.nowMs());
    const name: PackName = { kind: 'metadata', ulid, generation: 0, rand: randomSuffix() };
    return { name, number: base.numbers.of(name), draft: new PackDraft(packs, name) };
  }
}
