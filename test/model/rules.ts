/**
 * The rules of docs/vault-format.md, section 10, and of decisions/0045, one switch each. All are
 * true in the protocol; a mutant has one that is false.
 */
export const RULES = {
  /** W2: after W1 a writer lists gc/ and compares what it did not inherit. */
  writerChecksCondemned: true,
  /** W2: a writer whose parent is gone compares what it inherited, too. */
  writerChecksParent: true,
  /** Only a sealed point is a parent. */
  parentIsSealed: true,
  /** A parent that is absent counts as retired. */
  absentIsRetired: true,
  /** W3: after its seal a writer looks for a retire object of its point. */
  retiredWins: true,
  /** ... and for a request to retire it. */
  writerLooksForRequests: true,
  /** G2: a collector marks again after its manifest was put. */
  marksAgain: true,
  /** retire/ is listed to its end before s/. */
  retiredBeforePoints: true,
  /** A point that was listed and is gone when its map is read makes the collector list again. */
  beginsAgainWhenPointGone: true,
  /** Points without a seal are roots. */
  unsealedAreRoots: true,
  /** A condemned slot is never deduplicated against again, also when a collector spared it. */
  sparedStayCondemned: true,
  /** retire/ objects are permanent. */
  retirePermanent: true,
  /** gc/ objects are permanent. */
  condemnedPermanent: true,
  /** Compaction removes exactly the object it read. */
  exactKey: true,
  /** ... and only after its own generation was put. */
  writesBeforeRemoving: true,
  /** Of two generations with the same slots only the one with the smaller key may go. */
  generationsOrdered: true,
  /** A collection removes only what its manifest condemns. */
  removesOnlyCondemned: true,
  /** Marking takes a slot and its aliases for one. */
  aliasesMarked: true,
  /** alias/ is listed again at G2. */
  aliasesListedAgain: true,
  /** A manifest names a dead slot under all its names. */
  manifestNamesAliases: true,
  /** At G2 a slot with a name that the manifest lacks is spared. */
  wholeClassOnly: true,
  /** Whoever put an alias lists gc/ before it removes the old pack. */
  aliasChecked: true,
  /** The alias is put before the old packs are removed. */
  aliasBeforeRemoving: true,
  /** The new pack is put before its alias. */
  targetBeforeAlias: true,
  /** A merge copies what no collection has cleared, not only what is live. */
  mergeCopiesAll: true,
  /** Damaged slots are not deduplicated against. */
  damagedAreMisses: true,
  /** A request to retire becomes binding only if no seal is found after the request was seen. */
  requestNeedsUnsealed: true,
  requestSeenBeforeSealAsked: true,
  /** hold/ is listed after retire/. */
  holdsAfterRetired: true,
  /** Holding looks at retire/ after its put. */
  holdChecksRetired: true,
  /** A held point is a root, also when it is retired. */
  heldAreRoots: true,
} as const satisfies Record<string, true>;

export type Rule = keyof typeof RULES;
export type Rules = Readonly<Record<Rule, boolean>>;

export function without(...broken: readonly Rule[]): Rules {
  return { ...RULES, ...Object.fromEntries(broken.map((rule) => [rule, false])) };
}
