import { Lexer, LineCounter, parseAllDocuments, type Document } from 'yaml';
import type { z } from 'zod';
import { Fault } from '../../kernel/fault.ts';
import { CareDocument } from './care-document.ts';
import { Locating, Misplaced, type Located } from './located.ts';
import { PolicyDocument } from './policy-document.ts';
import { problemsOf, type PlacedProblem } from './schema-places.ts';
import { plainWords } from '../../kernel/text/plain-text.ts';

/** About a thousand policies. */
export const POLICY_TEXT_MAX = 256 * 1024;
/** The parser's time grows with the tokens, so they are counted before it runs. */
const TOKENS_MAX = 60_000;
const POLICIES_MAX = 1000;
/** More problems at once help nobody. */
const PROBLEMS_MAX = 8;
const PROBLEM_CHARACTERS_MAX = 400;

/** What a text has, with where a field of it stands: `policies.yaml:12:5`. */
interface Read<Document> {
  readonly document: Document;
  readonly placeOf: (...path: readonly string[]) => string;
}

/** A policy of a text. */
export type ReadPolicy = Read<PolicyDocument>;
/** What a text says about the care of a vault. */
export type ReadCare = Read<CareDocument>;

export interface ReadText {
  readonly policies: readonly ReadPolicy[];
  readonly care: readonly ReadCare[];
}

/** The lists of a text. */
const LISTS = ['policies', 'care'] as const;

/**
 * Reads policies and the care of vaults from YAML: each document is a policy, or has a list
 * `policies`, a list `care`, or both.
 *
 * @param source how people call the text: the name of its file
 * @throws Fault `policy.invalid`, which names file, line and column of each problem
 */
export function readPolicies(text: string, source: string): ReadText {
  const name = plainWords(source, 200) || 'policies';
  if (text.length > POLICY_TEXT_MAX) {
    throw invalid([`${name}: larger than ${String(POLICY_TEXT_MAX / 1024)} KiB`]);
  }
  const lines = new LineCounter();
  const place = (at: number): string => {
    const { line, col } = lines.linePos(at);
    return `${name}:${String(line)}:${String(col)}`;
  };
  const told = (problems: readonly PlacedProblem[]): Fault =>
    invalid(problems.map(({ at, message }) => `${place(at)}: ${message}`));
  refuseManyTokens(text, name);
  const documents = parsed(text, lines);
  const broken = documents.flatMap(({ errors }) => errors).slice(0, PROBLEMS_MAX);
  if (broken.length > 0) {
    throw told(broken.map(({ pos, message }) => ({ at: pos[0], message: forPeople(message) })));
  }
  try {
    const locating = new Locating();
    const found = documents.map((document) => listsIn(locating.locate(document)));
    const telling = { told, place };
    const policies = found.flatMap((each) => each.policies);
    const care = found.flatMap((each) => each.care);
    return {
      policies: checked(policies, { schema: PolicyDocument, key: 'name', one: 'policy' }, telling),
      care: checked(care, { schema: CareDocument, key: 'vault', one: 'care of a vault' }, telling),
    };
  } catch (error) {
    throw error instanceof Misplaced ? told([error]) : error;
  }
}

interface Telling {
  readonly told: (problems: readonly PlacedProblem[]) => Fault;
  readonly place: (at: number) => string;
}

interface Kind<Document> {
  readonly schema: z.ZodObject & z.ZodType<Document>;
  /** The field by which one is told from another. */
  readonly key: keyof Document & string;
  readonly one: string;
}

function checked<Document>(
  found: readonly Located[],
  { schema, key, one }: Kind<Document>,
  { told, place }: Telling,
): Read<Document>[] {
  if (found.length > POLICIES_MAX) {
    throw told([{ at: found[POLICIES_MAX]?.at ?? 0, message: 'more than 1000 of a kind' }]);
  }
  const problems: PlacedProblem[] = [];
  const read: Read<Document>[] = [];
  const names = new Map<string, number>();
  for (const located of found) {
    const { data, error } = schema.safeParse(located.value);
    if (error !== undefined) {
      problems.push(...problemsOf(error, located, schema));
      continue;
    }
    const document = data as Document;
    const name = String(document[key]);
    const at = placeIn(located, [key]);
    const before = names.get(name);
    if (before !== undefined) {
      const message = `a ${one} called ${name} stands at ${place(before)} already`;
      problems.push({ at, message });
    }
    names.set(name, at);
    read.push({ document, placeOf: (...path) => place(placeIn(located, path)) });
  }
  if (problems.length > 0) {
    throw told(problems);
  }
  return read;
}

/** Returns where the innermost thing on the path stands. */
function placeIn(located: Located, path: readonly string[]): number {
  let innermost = located;
  for (const part of path) {
    innermost = innermost.inside.get(part) ?? innermost;
  }
  return innermost.at;
}

/** Returns what is in the lists, or the document itself if it is a policy. */
function listsIn(located: Located): Readonly<Record<(typeof LISTS)[number], readonly Located[]>> {
  if (located.value === null) {
    return { policies: [], care: [] };
  }
  if (LISTS.every((name) => !located.inside.has(name))) {
    return { policies: [located], care: [] };
  }
  const other = [...located.keys].find(([key]) => LISTS.every((name) => name !== key));
  if (other !== undefined) {
    const message = `${other[0]} stands beside policies or care; put it into one of them`;
    throw new Misplaced(other[1], message);
  }
  return { policies: listIn(located, 'policies'), care: listIn(located, 'care') };
}

function listIn(located: Located, name: string): readonly Located[] {
  const list = located.inside.get(name);
  if (list !== undefined && !Array.isArray(list.value)) {
    throw new Misplaced(list.at, `${name} must be a list`);
  }
  return [...(list?.inside.values() ?? [])];
}

function refuseManyTokens(text: string, source: string): void {
  // The lexer makes one token at a time, so nothing that follows is looked at.
  const tokens = new Lexer().lex(text);
  for (let count = 0; tokens.next().done !== true; count += 1) {
    if (count === TOKENS_MAX) {
      throw invalid([`${source}: too many words; split the file`]);
    }
  }
}

function parsed(text: string, lineCounter: LineCounter): Document.Parsed[] {
  const all = parseAllDocuments(text, {
    lineCounter,
    // Comparing all keys with all others takes minutes for a large map; Locating compares them.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
    version: '1.2',
    schema: 'core',
    merge: false,
  });
  return Array.isArray(all) ? all : [];
}

/** Adds the next step to messages of the parser that need one. */
function forPeople(message: string): string {
  const [sentence = ''] = message.split('\n');
  return /alias/i.test(sentence)
    ? `${sentence}; a text that begins with * needs quotes, such as "*/15 * * * *"`
    : sentence;
}

function invalid(problems: readonly string[]): Fault {
  const shown = problems
    .slice(0, PROBLEMS_MAX)
    .map((problem) => plainWords(problem, PROBLEM_CHARACTERS_MAX));
  const more = problems.length - shown.length;
  const rest = more > 0 ? `\n… and ${String(more)} more` : '';
  return new Fault('policy.invalid', `${shown.join('\n')}${rest}`, { problems: problems.length });
}
