import { fixChance } from './fixed-chance.ts';

// Modules draw when they are loaded too: the hash of ULIDs, which says in which share of a
// collection a pack is. Whoever imports this first has the same draw in every process.
fixChance('load');
