import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { ObjectKey } from './object-store.ts';

/** docs/vault-format.md, section 4.1. */
export const KEY_VERSION = 0;
export const KEY_BYTES = 32;
export const MAC_BYTES = 16;

type Purpose = 'data' | 'metadata' | 'map' | 'point' | 'control' | 'format';

/** All keys of a vault, derived from its master key. */
export class KeyTree {
  readonly master: Buffer;
  /** 16 bytes. */
  readonly vaultId: Buffer;
  readonly #derived = new Map<Purpose, Buffer>();

  constructor(master: Uint8Array, vaultId: Uint8Array) {
    this.master = Buffer.from(master);
    this.vaultId = Buffer.from(vaultId);
  }

  purpose(purpose: Purpose): Buffer {
    let key = this.#derived.get(purpose);
    if (key === undefined) {
      key = this.#derive(purpose, KEY_BYTES);
      this.#derived.set(purpose, key);
    }
    return key;
  }

  chunkId(domain: string): Buffer {
    return this.#derive(`chunk-id/${domain}`, KEY_BYTES);
  }

  /** 33 words for the cut function. */
  cut(domain: string): Buffer {
    return this.#derive(`cut/${domain}`, 132);
  }

  /** The AES key of one object. */
  object(purpose: 'data' | 'metadata' | 'point', key: ObjectKey): Buffer {
    return Buffer.from(hkdfSync('sha256', this.purpose(purpose), '', key, KEY_BYTES));
  }

  mac(purpose: Purpose, ...parts: (string | Uint8Array)[]): Buffer {
    const hmac = createHmac('sha256', this.purpose(purpose));
    for (const part of parts) {
      hmac.update(part);
    }
    return hmac.digest();
  }

  mac16(purpose: Purpose, ...parts: (string | Uint8Array)[]): Buffer {
    return this.mac(purpose, ...parts).subarray(0, MAC_BYTES);
  }

  #derive(purpose: string, length: number): Buffer {
    const label = `hyperkeep/${purpose}/${KEY_VERSION}`;
    return Buffer.from(hkdfSync('sha256', this.master, this.vaultId, label, length));
  }
}

/** Compares without telling where they differ. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
