import type { FrameKeys } from './frame.ts';
import type { PackName } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { PackFooter } from './pack-layout.ts';

/** A pack whose footer was read and verified. */
export interface OpenPack extends FrameKeys {
  readonly name: PackName;
  readonly objectKey: ObjectKey;
  readonly objectSize: number;
  readonly footer: PackFooter;
  /** The last bytes of the object, if they were read with the footer: only for metadata packs. */
  readonly tail?: Uint8Array;
}

/** A slot by its permanent name. */
export interface SlotReference {
  /** Number of its logical pack. */
  readonly pack: number;
  readonly slot: number;
  /** The 16-byte id that the footer must have for it; without it any id will do. */
  readonly id?: Uint8Array;
  /** Another name of it, which may lead elsewhere. */
  readonly via?: { readonly pack: number; readonly slot: number };
}

/**
 * A slot and the object that has its content: a generation of its own pack, or of one that an alias
 * leads to.
 */
export interface PlacedSlot extends SlotReference {
  readonly open: OpenPack;
}
