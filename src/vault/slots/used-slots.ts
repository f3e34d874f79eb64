/** Marks slots of packs as used, with a bit each. */
export class SlotBitmap {
  readonly #packs = new Map<number, Uint8Array>();

  add(pack: number, slot: number): void {
    const byte = slot >> 3;
    let bits = this.#packs.get(pack);
    if (bits === undefined || byte >= bits.length) {
      const larger = new Uint8Array(Math.max(64, 2 ** Math.ceil(Math.log2(byte + 1))));
      larger.set(bits ?? []);
      bits = larger;
      this.#packs.set(pack, bits);
    }
    bits[byte] = (bits[byte] ?? 0) | (1 << (slot & 7));
  }

  packs(): Iterable<number> {
    return this.#packs.keys();
  }

  *slots(pack: number): Iterable<number> {
    const bits = this.#packs.get(pack) ?? new Uint8Array();
    for (let slot = 0; slot < bits.length * 8; slot++) {
      if (((bits[slot >> 3] ?? 0) & (1 << (slot & 7))) !== 0) {
        yield slot;
      }
    }
  }
}
