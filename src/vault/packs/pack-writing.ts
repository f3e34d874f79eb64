import { Fault } from '../../kernel/fault.ts';
import { FOOTER_INDEX, seal } from '../bytes/aead.ts';
import { frameBytes, openFrame, sealFrame, type FrameKeys, type PackedFrame } from './frame.ts';
import type { PackName } from '../format/object-names.ts';
import {
  encodeFooter,
  packTrailer,
  PREFIX_BYTES,
  type FooterContent,
  type FrameEntry,
} from './pack-layout.ts';
import type { VaultBase } from './vault-base.ts';

/** What all writers of packs share: docs/vault-format.md, section 6. */

/** A frame as it will be sent, without its number of slots. */
export interface SealedFrame {
  readonly bytes: Uint8Array;
  readonly entry: Omit<FrameEntry, 'slots'>;
}

/**
 * Encrypts a frame and reads it back from the memory that will be sent (W1.a).
 * @throws Fault `vault.write-damaged`
 */
export function sealVerified(
  keys: FrameKeys,
  index: number,
  { raw, body, compressed }: PackedFrame & { readonly raw: Uint8Array },
): SealedFrame {
  const bytes = Buffer.alloc(frameBytes(body.length));
  sealFrame(keys, index, body, bytes);
  const shape = { index, rawBytes: raw.length, compressed };
  requireWhole(index, () => Buffer.compare(openFrame(keys, shape, bytes), raw) === 0);
  const sealedBytes = bytes.length - PREFIX_BYTES;
  return { bytes, entry: { sealedBytes, rawBytes: raw.length, compressed } };
}

/**
 * @param isWhole reads the frame back; whatever it throws counts as damage
 * @throws Fault `vault.write-damaged`
 */
export function requireWhole(frame: number, isWhole: () => boolean): void {
  let whole = false;
  try {
    whole = isWhole();
  } catch {
    // Any error means that the frame did not come back as it went in; the fault below says so.
  }
  if (!whole) {
    throw new Fault(
      'vault.write-damaged',
      "A frame did not come back from memory as it went in, so nothing was sent. Test this machine's memory, then try again.",
      { frame },
    );
  }
}

/** Returns footer and trailer, which follow the last frame. The frames end at `offset`. */
export function packEnd(
  { context, keys: { version: keyVersion } }: VaultBase,
  { name, keys, offset }: { name: PackName; keys: FrameKeys; offset: number },
  footer: FooterContent,
): Buffer {
  const place = { key: keys.key, index: FOOTER_INDEX, additional: keys.header };
  const sealed = seal(place, encodeFooter(footer));
  const trailer = packTrailer({ ...context, keyVersion }, name, { offset, sealed });
  return Buffer.concat([sealed, trailer]);
}
