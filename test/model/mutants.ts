import type { ConfigurationName } from './configurations.ts';
import type { Rule } from './rules.ts';

/** Dropping this one loses nothing: what was merged would never be removed. */
export const PROGRESS = 'manifestNamesAliases' satisfies Rule;

/** Per rule the configuration in which dropping it loses something. */
export const MUTANTS: Record<Exclude<Rule, typeof PROGRESS>, ConfigurationName> = {
  writerChecksCondemned: 'commit',
  writerChecksParent: 'commit',
  parentIsSealed: 'commit',
  absentIsRetired: 'forget-all',
  retiredWins: 'commit',
  writerLooksForRequests: 'requests',
  marksAgain: 'commit',
  retiredBeforePoints: 'commit',
  beginsAgainWhenPointGone: 'forget',
  unsealedAreRoots: 'commit',
  sparedStayCondemned: 'commit',
  retirePermanent: 'commit',
  condemnedPermanent: 'commit',
  exactKey: 'generations',
  writesBeforeRemoving: 'generations',
  generationsOrdered: 'generations',
  removesOnlyCondemned: 'commit',
  aliasesMarked: 'merge',
  aliasesListedAgain: 'merge',
  wholeClassOnly: 'merge',
  aliasChecked: 'merge',
  aliasBeforeRemoving: 'merge',
  targetBeforeAlias: 'merge',
  mergeCopiesAll: 'merge',
  damagedAreMisses: 'damage',
  requestNeedsUnsealed: 'requests',
  requestSeenBeforeSealAsked: 'requests',
  holdsAfterRetired: 'holds',
  holdChecksRetired: 'holds',
  heldAreRoots: 'holds',
};
