import { createHash } from 'node:crypto';
import type { Clock } from '../kernel/clock.ts';
import { packFrame, type FrameKeys } from './frame.ts';
import { packKey, randomSuffix, type PackName } from './layout.ts';
import type { NodePointer } from './map-node.ts';
import type { MapNodes } from './map-tree.ts';
import { METADATA_FRAME_BYTES, FRAMES_MAX, SLOTS_MAX, type FrameEntry } from './pack-layout.ts';
import { packEnd, sealVerified } from './pack-writing.ts';
import { newUlid, type Ulid } from './ulid.ts';
import { REWRITE_LEVEL } from './zstd.ts';

/** A metadata pack is sent when it has this size: little, so that the memory it takes does not matter. */
const PACK_BYTES = 8 * 1024 * 1024;

interface Building {
  readonly name: PackName;
  readonly number: number;
  readonly keys: FrameKeys;
  readonly parts: Uint8Array[];
  readonly frames: FrameEntry[];
  readonly sizes: number[];
  readonly ids: Buffer[];
  /** Slots of the frame that is being filled. */
  open: Uint8Array[];
  openBytes: number;
  bytes: number;
}

/** Writes map nodes and small files into metadata packs. */
export class MetadataWriter {
  readonly #nodes: MapNodes;
  readonly #clock: Clock;
  #building: Building | undefined;
  /** Bytes sent. */
  storedBytes = 0;
  /** Logical packs sent. */
  readonly packsSent: Ulid[] = [];

  constructor(nodes: MapNodes, clock: Clock) {
    this.#nodes = nodes;
    this.#clock = clock;
  }

  /** Adds one slot. It is in the vault when `finish` has returned. */
  async add(content: Uint8Array, signal: AbortSignal): Promise<NodePointer> {
    const mac = this.#nodes.base.keys.mac16('map', content);
    const building = (this.#building ??= this.#start());
    const pointer: NodePointer = { pack: building.number, slot: building.sizes.length, mac };
    if (building.openBytes + content.length > METADATA_FRAME_BYTES) {
      closeFrame(building);
    }
    building.open.push(content);
    building.openBytes += content.length;
    building.sizes.push(content.length);
    building.ids.push(mac);
    this.#nodes.keep(pointer, content);
    if (
      building.bytes + building.openBytes > PACK_BYTES ||
      building.frames.length + 2 > FRAMES_MAX ||
      building.sizes.length + 1 > SLOTS_MAX
    ) {
      await this.finish(signal);
    }
    return pointer;
  }

  /** Sends what is there. */
  async finish(signal: AbortSignal): Promise<void> {
    const building = this.#building;
    if (building === undefined) {
      return;
    }
    this.#building = undefined;
    closeFrame(building);
    const { base, packs } = this.#nodes;
    const { name, keys, frames, sizes, ids, parts, number } = building;
    const place = { name, keys, offset: building.bytes };
    const end = packEnd(base, place, { frames, sizes, ids: Buffer.concat(ids) });
    const object = Buffer.concat([...parts, end]);
    const sha256 = createHash('sha256').update(object).digest();
    await base.store.put(packKey(name), object, signal, { sha256 });
    this.storedBytes += object.length;
    this.packsSent.push(name.ulid);
    await packs.learn(number, { objectSize: object.length, tail: object.subarray(building.bytes) });
  }

  #start(): Building {
    const { base, packs } = this.#nodes;
    const ulid = newUlid(this.#clock.nowMs());
    const name: PackName = { kind: 'metadata', ulid, generation: 0, rand: randomSuffix() };
    const keys = packs.frameKeys(name);
    const header = Buffer.from(keys.header);
    const number = base.numbers.of(name);
    const lists = { parts: [header], frames: [], sizes: [], ids: [], open: [] };
    return { name, number, keys, ...lists, openBytes: 0, bytes: header.length };
  }
}

function closeFrame(building: Building): void {
  if (building.open.length === 0) {
    return;
  }
  const raw = Buffer.concat(building.open);
  const packed = { raw, ...packFrame(raw, REWRITE_LEVEL) };
  const { bytes, entry } = sealVerified(building.keys, building.frames.length, packed);
  building.frames.push({ ...entry, slots: building.open.length });
  building.parts.push(bytes);
  building.bytes += bytes.length;
  building.open = [];
  building.openBytes = 0;
}
