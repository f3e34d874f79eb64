/** Where a chunk is: the number that this process gave its pack, and its slot in the pack. */
export interface SlotPlace {
  pack: number;
  slot: number;
}
