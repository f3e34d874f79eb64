/**
 * The rules of docs/vault-format.md, section 10, and of decisions/0045, one switch each. All are
 * true in the protocol; a mutant has one that is false.
 */
export const RULES = {
  /** W2.a, W2.b: after W1 a writer lists gc/ and compares what it did not inherit. */
  writerChecksCondemned: true,
  /** W2.c: a writer whose parent is gone compares what it inherited, too. */
  writerChecksParent: true,
  /** W0.c, W3.e: only a sealed point is a parent. */
  parentIsSealed: true,
  /** W2.c: a parent that is absent counts as retired. */
  absentIsRetired: true,
  /** W3.b: after its seal a writer looks for a retire object of its point. */
  retiredWins: true,
  /** W3.b: and for a request to retire it. */
  writerLooksForRequests: true,
  /** G2.a: a collector marks again after its manifest was put. */
  marksAgain: true,
  /** G0.b, G2.a: retire/ is listed to its end before s/. */
  retiredBeforePoints: true,
  /**
   * G0.f: a point that was listed and is gone when its map is read makes the collector list again.
   */
  beginsAgainWhenPointGone: true,
  /** G0.d: points without a seal are roots. */
  unsealedAreRoots: true,
  /**
   * W0.b: a condemned slot is never deduplicated against again, also when a collector spared it.
   */
  sparedStayCondemned: true,
  /** G5.a: retire/ objects are permanent. */
  retirePermanent: true,
  /** G5.a: gc/ objects are permanent. */
  condemnedPermanent: true,
  /** G3.c: compaction removes exactly the object it read. */
  exactKey: true,
  /** G3.c: and only after its own generation was put. */
  writesBeforeRemoving: true,
  /** G3.f: of two generations with the same slots only the one with the smaller key may go. */
  generationsOrdered: true,
  /** G2.b: a collection removes only what its manifest condemns. */
  removesOnlyCondemned: true,
  /** G0.c: marking takes a slot and its aliases for one. */
  aliasesMarked: true,
  /** G2.a: alias/ is listed again at G2. */
  aliasesListedAgain: true,
  /** G1.b: a manifest names a dead slot under all its names. */
  manifestNamesAliases: true,
  /** G2.b: at G2 a slot with a name that the manifest lacks is spared. */
  wholeClassOnly: true,
  /** G3.d: whoever put an alias lists gc/ before it removes the old pack. */
  aliasChecked: true,
  /** G3.d: the alias is put before the old packs are removed. */
  aliasBeforeRemoving: true,
  /** W1.b, G3.d: the new pack is put before its alias. */
  targetBeforeAlias: true,
  /** G3.d: a merge copies what no collection has cleared, not only what is live. */
  mergeCopiesAll: true,
  /** W0.b: damaged slots are not deduplicated against. */
  damagedAreMisses: true,
  /**
   * G0.i: a request to retire becomes binding only if no seal is found after the request was seen.
   */
  requestNeedsUnsealed: true,
  /** G0.i: the seal is asked for after the request was seen. */
  requestSeenBeforeSealAsked: true,
  /** G0.b, G2.a: hold/ is listed after retire/. */
  holdsAfterRetired: true,
  /** W4.a: holding looks at retire/ after its put. */
  holdChecksRetired: true,
  /** G0.d: a held point is a root, also when it is retired. */
  heldAreRoots: true,
} as const satisfies Record<string, true>;

export type Rule = keyof typeof RULES;
export type Rules = Readonly<Record<Rule, boolean>>;

export function without(...broken: readonly Rule[]): Rules {
  return { ...RULES, ...Object.fromEntries(broken.map((rule) => [rule, false])) };
}
